"""Sealed records as a file: what `python -m gateway ... records export` writes and `import` reads.

JSON lines: a version, masters, the wallets derived from them and imported ones, and the counts.
Nothing in it is secret; it opens with the password and the signer's two secrets only.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from solward.signer.v1 import records_pb2 as pb

VERSION = 1
_START = {"type": "solward-records", "version": VERSION}


class RecordsFileError(ValueError):
    """The file is no records file, or not a whole one; the message names the line."""


@dataclass(frozen=True, slots=True)
class Records:
    """Sealed masters and wallets, as the signer takes them."""

    masters: list[pb.MasterRecord] = field(default_factory=list)
    wallets: list[pb.WalletRecord] = field(default_factory=list)

    def of_masters(self, fingerprints: Sequence[str]) -> "Records":
        """Return some masters and the wallets derived from them. Raises KeyError for an unknown."""
        known = {master.master_fingerprint: master for master in self.masters}
        wanted = {fingerprint: known[fingerprint] for fingerprint in fingerprints}
        wallets = [wallet for wallet in self.wallets if wallet.master_fingerprint in wanted]
        return Records(list(wanted.values()), wallets)


def encode(
    masters: Sequence[pb.MasterRecord], wallets: Sequence[pb.WalletRecord], key_group: str
) -> Iterator[str]:
    """Yield the lines of a file, with newlines, for records of one key group."""
    yield _line(_START)
    for master in masters:
        yield _line(
            {
                "type": "master",
                "fingerprint": master.master_fingerprint,
                "sealed_record": master.sealed_record,
                "key_group": key_group,
            }
        )
    for wallet in wallets:
        yield _line(
            {
                "type": "wallet",
                "address": wallet.address,
                "sealed_record": wallet.sealed_record,
                "key_group": key_group,
                "ownership_tag": wallet.ownership_tag,
                "master_fingerprint": wallet.master_fingerprint,
                "derivation_index": wallet.derivation_index,
            }
        )
    yield _line({"type": "end", "masters": len(masters), "wallets": len(wallets)})


def decode(lines: Iterable[str]) -> Records:
    """Read a whole file. Raises RecordsFileError."""
    found, last = Records(), None
    for number, text in enumerate(lines, start=1):
        last = _parsed(text, number)
        if (last == _START) is not (number == 1):
            raise RecordsFileError(f"line {number}: not a records file of version {VERSION}")
        try:
            if last["type"] == "master":
                found.masters.append(_master(last))
            elif last["type"] == "wallet":
                found.wallets.append(_wallet(last))
        except (KeyError, TypeError, ValueError) as error:
            raise RecordsFileError(f"line {number}: not a record") from error
    counts = {"type": "end", "masters": len(found.masters), "wallets": len(found.wallets)}
    if last != counts:
        raise RecordsFileError("the last line is missing or counts otherwise: the file was cut")
    return found


def _master(line: dict[str, Any]) -> pb.MasterRecord:
    return pb.MasterRecord(
        master_fingerprint=line["fingerprint"], sealed_record=line["sealed_record"]
    )


def _wallet(line: dict[str, Any]) -> pb.WalletRecord:
    return pb.WalletRecord(
        address=line["address"],
        master_fingerprint=line["master_fingerprint"],
        derivation_index=line["derivation_index"],
        sealed_record=line["sealed_record"],
        ownership_tag=line["ownership_tag"],
    )


def _parsed(text: str, number: int) -> dict[str, Any]:
    try:
        line = json.loads(text)
    except ValueError as error:
        raise RecordsFileError(f"line {number}: not JSON") from error
    if not isinstance(line, dict):
        raise RecordsFileError(f"line {number}: not a record")
    return line


def _line(values: dict[str, Any]) -> str:
    return json.dumps(values, separators=(",", ":")) + "\n"
