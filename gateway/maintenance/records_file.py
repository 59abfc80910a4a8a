"""Sealed records as a file: JSON lines, the first with the version, the last with the counts.

    {"type": "solward-records", "version": 1}
    {"type": "master", "fingerprint": ..., "sealed_record": ..., "key_group": ...}
    {"type": "wallet", "address": ..., "sealed_record": ..., "key_group": ..., "ownership_tag": ...}
    {"type": "end", "masters": 1, "wallets": 1}

Nothing in it is secret: what is sealed opens with the password and the signer's two secrets only.
Masters stand before the wallets derived from them. A file without its last line was cut.
"""

import base64
import hashlib
import re
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Annotated, Final

import msgspec

from gateway.domain.addresses import require_address
from gateway.domain.errors import InvalidArgumentError
from gateway.domain.wallets import (
    DERIVATION_INDEX_MAX,
    IMPORTED_INDEX,
    require_name,
    require_tags,
)

VERSION: Final = 1
_LINE_BYTES_MAX: Final = 64 * 1024
_FINGERPRINT: Final = re.compile(r"[0-9a-f]{32}")
_SEALED: Final = re.compile(r"[A-Za-z0-9$,._-]{1,8192}")
_RECORD_FIELDS: Final = 8  # solward1, kind, KDF, parameters, key id, salt, nonce, ciphertext
_U64_MAX: Final = 2**64 - 1

Count = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


class Start(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="solward-records"):
    """The first line."""

    version: int


class MasterLine(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="master"):
    """One master. What the signer does not know (a name, a time) may be absent."""

    fingerprint: str
    sealed_record: str
    key_group: str
    name: str = ""
    created_at: datetime | None = None


class WalletLine(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="wallet"):
    """One wallet; of an imported one `master_fingerprint` is "" and `derivation_index` -1."""

    address: str
    sealed_record: str
    key_group: str
    ownership_tag: str
    master_fingerprint: str = ""
    derivation_index: int = IMPORTED_INDEX
    name: str = ""
    tags: tuple[str, ...] = ()
    total_trades: Count = 0
    total_volume_lamports: int = 0
    created_at: datetime | None = None
    last_used_at: datetime | None = None


class End(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="end"):
    """The last line: how many of each there were."""

    masters: Count
    wallets: Count


Line = MasterLine | WalletLine
_encoder: Final = msgspec.json.Encoder()
_decoder: Final = msgspec.json.Decoder(Start | MasterLine | WalletLine | End)


def encode(line: Start | Line | End) -> bytes:
    """Returns one line, with its newline."""
    return _encoder.encode(line) + b"\n"


def read_lines(raw_lines: Iterable[bytes]) -> Iterator[Line]:
    """Yields what a file holds, checked line by line.

    Raises InvalidArgumentError naming the line. A cut file is only found out at its end: whoever
    calls must not keep anything before the iteration has ended.
    """
    masters = wallets = number = 0
    ended = False
    for number, raw in enumerate(raw_lines, start=1):
        if ended:
            raise _bad(number, "follows the last line")
        line = _decoded(raw, number)
        if isinstance(line, Start) is not (number == 1):
            raise _bad(number, 'only the first line says "solward-records"')
        if isinstance(line, Start):
            if line.version != VERSION:
                raise _bad(number, f"version {line.version} is not {VERSION}")
        elif isinstance(line, End):
            if (line.masters, line.wallets) != (masters, wallets):
                raise _bad(number, f"counts other than {masters} masters, {wallets} wallets")
            ended = True
        else:
            _check(line, number)
            masters += isinstance(line, MasterLine)
            wallets += isinstance(line, WalletLine)
            yield line
    if not ended:
        raise _bad(number + 1, "the last line is missing: the file was cut")


def _decoded(raw: bytes, number: int) -> Start | Line | End:
    if len(raw) > _LINE_BYTES_MAX:
        raise _bad(number, "too long")
    try:
        line: Start | Line | End = _decoder.decode(raw)
    except msgspec.DecodeError:
        raise _bad(number, "not a line of a records file") from None
    return line


def _check(line: Line, number: int) -> None:
    try:
        require_name(line.name)
        if isinstance(line, MasterLine):
            kind, valid = "mnemonic", _FINGERPRINT.fullmatch(line.fingerprint) is not None
        else:
            require_address(line.address, "address")
            require_tags(line.tags)
            kind, valid = "wallet", _is_identity(line)
    except InvalidArgumentError as error:
        raise _bad(number, error.message) from None
    if not valid:
        raise _bad(number, "no signer makes such an identity")
    if not _SEALED.fullmatch(line.sealed_record) or not _is_of(
        line.sealed_record, kind, line.key_group
    ):
        raise _bad(number, f"not a sealed {kind} of its key group")


def _is_identity(line: WalletLine) -> bool:
    if not 0 <= line.total_volume_lamports <= _U64_MAX:
        return False
    if not _SEALED.fullmatch(line.ownership_tag):
        return False
    if line.master_fingerprint == "":
        return line.derivation_index == IMPORTED_INDEX
    return (
        _FINGERPRINT.fullmatch(line.master_fingerprint) is not None
        and 0 <= line.derivation_index <= DERIVATION_INDEX_MAX
    )


def _is_of(record: str, kind: str, key_group: str) -> bool:
    """True if a record is of a kind and a key group: the name follows from its own KDF fields."""
    fields = record.split("$")
    if len(fields) != _RECORD_FIELDS or fields[1] != kind:
        return False
    digest = hashlib.sha256("$".join(fields[2:6]).encode()).digest()
    return base64.urlsafe_b64encode(digest)[:22].decode() == key_group


def _bad(number: int, why: str) -> InvalidArgumentError:
    return InvalidArgumentError(f"line {number}: {why}")
