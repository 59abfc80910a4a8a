"""Address lookup tables as an operator pins them: read from a node, or from a list of their own.

The signer's policy holds the SHA-256 of a table's addresses, 32 bytes each, one after another. Who
pins a table vouches for every address in it, so read it from a node of your own, and compare it
with the list it was made from.
"""

import base64
import binascii
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import httpx
from solders.pubkey import Pubkey

PROGRAM = "AddressLookupTab1e1111111111111111111111111"
ENTRIES_MAX = 256
_KEY_BYTES = 32
_HEADER_BYTES = 56  # type, slots of deactivation and last extension, an authority
_TIMEOUT_S = 20.0
_ACTIVE = b"\xff" * 8


class LookupTableError(Exception):
    """The table could not be read, is none, or is another; the message says which."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table: `content` is its addresses, concatenated. `authority` may extend it ("": nobody)."""

    content: bytes
    authority: str = ""

    @property
    def addresses(self) -> list[str]:
        """Return the addresses by index."""
        starts = range(0, len(self.content), _KEY_BYTES)
        return [str(Pubkey.from_bytes(self.content[at : at + _KEY_BYTES])) for at in starts]

    @property
    def digest(self) -> str:
        """Return what the policy pins: lower hex SHA-256 of the content."""
        return hashlib.sha256(self.content).hexdigest()


def from_list(addresses: Sequence[str]) -> Table:
    """Return the table that holds these addresses in this order. Raises LookupTableError."""
    if not 1 <= len(addresses) <= ENTRIES_MAX:
        raise LookupTableError(f"a table holds 1 to {ENTRIES_MAX} addresses")
    try:
        return Table(b"".join(bytes(Pubkey.from_string(address)) for address in addresses))
    except ValueError:
        raise LookupTableError("the list holds something that is no address") from None


def from_chain(rpc_url: str, address: str) -> Table:
    """Read a finalized table from a node. Raises LookupTableError."""
    order = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "getAccountInfo",
        "params": [address, {"commitment": "finalized", "encoding": "base64"}],
    }
    try:
        answer = httpx.post(rpc_url, json=order, timeout=_TIMEOUT_S).raise_for_status().json()
        account = answer["result"]["value"]
        if account is None:
            raise LookupTableError(f"{address}: there is no such account")
        return _decode(address, account)
    except (httpx.HTTPError, httpx.InvalidURL):
        # The URL may hold a key: it is not shown.
        raise LookupTableError("the node does not answer") from None
    except (ValueError, KeyError, TypeError, IndexError):
        raise LookupTableError("the node's answer is not understood") from None


def _decode(address: str, account: dict[str, Any]) -> Table:
    try:
        data = base64.b64decode(account["data"][0], validate=True)
    except binascii.Error:
        raise LookupTableError("the node's answer is not understood") from None
    content = data[_HEADER_BYTES:]
    if account["owner"] != PROGRAM or data[:4] != b"\x01\0\0\0":
        raise LookupTableError(f"{address}: it is not an address lookup table")
    if data[4:12] != _ACTIVE:
        raise LookupTableError(f"{address}: the lookup table is being closed")
    if not content or len(content) % _KEY_BYTES or len(content) > ENTRIES_MAX * _KEY_BYTES:
        raise LookupTableError(f"{address}: the lookup table holds no addresses")
    return Table(content, str(Pubkey.from_bytes(data[22:54])) if data[21] else "")
