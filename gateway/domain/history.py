"""A wallet's transactions: what the cluster tells of each, and what it means for the wallet."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from gateway.domain.addresses import ADDRESS_BYTES, encode_base58

SIGNATURE_BYTES: Final = 64
_V1: Final = 0x81
_V1_KEYS_AT: Final = 42
_I64_MAX: Final = 2**63 - 1
# More than a transaction can name: 64 are its limit, with lookup tables 256.
_KEYS_MAX: Final = 256


@dataclass(frozen=True, slots=True)
class SignatureRecord:
    """One entry of an address's list of transactions. `error` is "" if it succeeded."""

    signature: str
    slot: int
    error: str
    block_time_s: int | None


@dataclass(frozen=True, slots=True)
class TokenReading:
    """A token account's amount before or after a transaction. `owner` is "" if not told."""

    account_index: int
    mint: str
    owner: str
    amount: int
    decimals: int


@dataclass(frozen=True, slots=True)
class TransactionDetails:
    """A finalized transaction. Balances are in order of `keys`, its accounts."""

    slot: int
    block_time_s: int | None
    version: str
    keys: Sequence[str]
    error: str
    fee_lamports: int
    pre_balances: Sequence[int]
    post_balances: Sequence[int]
    pre_tokens: Sequence[TokenReading]
    post_tokens: Sequence[TokenReading]


@dataclass(frozen=True, slots=True)
class TokenMove:
    """A token account of the wallet whose amount changed, in base units."""

    token_account: str
    mint: str
    before_amount: int
    after_amount: int
    decimals: int


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """A transaction as a wallet sees it; with an `error_reason` only its `record` is known."""

    record: SignatureRecord
    version: str = ""
    change_lamports: int = 0
    fee_lamports: int = 0
    paid_fee: bool = False
    token_moves: Sequence[TokenMove] = ()
    error_reason: str = ""


@dataclass(frozen=True, slots=True)
class WireAccounts:
    """What a wire transaction says of itself: its first signature, version and own accounts."""

    signature: str
    version: str
    keys: Sequence[str]


def read_wire(wire: bytes) -> WireAccounts:
    """Reads a signed transaction's signature and accounts; raises ValueError.

    Legacy and v0: compact-u16 count, signatures, then (v0: 0x80) 3 bytes of header, compact-u16
    count, accounts. v1: 0x81, header, 36 bytes, two counts, accounts, ... signatures at the end.
    """
    if len(wire) < _V1_KEYS_AT:
        raise ValueError("too short for a transaction")
    if wire[0] == _V1:
        signers, count, at = wire[1], wire[_V1_KEYS_AT - 1], _V1_KEYS_AT
        signatures = wire[len(wire) - SIGNATURE_BYTES * signers :]
        keys = _keys(wire[: len(wire) - SIGNATURE_BYTES * signers], at, count)
        version = "1"
    else:
        signers, start = _compact_u16(wire, 0)
        end = start + SIGNATURE_BYTES * signers
        signatures = wire[start:end]
        prefix = wire[end] if end < len(wire) else 0
        versioned = prefix >= 0x80
        if versioned and prefix != 0x80:
            raise ValueError("unknown transaction version")
        count, at = _compact_u16(wire, end + versioned + 3)
        keys = _keys(wire, at, count)
        version = "0" if versioned else "legacy"
    if not 1 <= signers <= count or len(signatures) != SIGNATURE_BYTES * signers:
        raise ValueError("too short for its signatures")
    return WireAccounts(encode_base58(signatures[:SIGNATURE_BYTES]), version, keys)


def as_seen_by(
    address: str,
    record: SignatureRecord,
    details: TransactionDetails,
    token_accounts: Collection[str] = (),
) -> HistoryEntry:
    """Says what a transaction did to a wallet; raises ValueError if that contradicts the list.

    `token_accounts` are those of the wallet in whose lists the transaction stands, if it need not
    name the wallet itself.
    """
    if (details.slot, bool(details.error)) != (record.slot, bool(record.error)):
        raise ValueError("the transaction is not the one that was listed")
    change = 0
    if address in details.keys:
        place = details.keys.index(address)
        change = details.post_balances[place] - details.pre_balances[place]
    elif not any(account in details.keys for account in token_accounts):
        raise ValueError("the transaction names neither the wallet nor its token accounts")
    if abs(change) > _I64_MAX:
        raise ValueError("the change is more than any cluster holds")
    return HistoryEntry(
        record=record,
        version=details.version,
        change_lamports=change,
        fee_lamports=details.fee_lamports,
        paid_fee=details.keys[0] == address,
        token_moves=list(_token_moves(address, details, token_accounts)),
    )


def _token_moves(
    address: str, details: TransactionDetails, token_accounts: Collection[str]
) -> Iterator[TokenMove]:
    def is_ours(item: TokenReading) -> bool:
        # Nodes tell no owner for transactions of the first years.
        return item.owner == address or (
            not item.owner and details.keys[item.account_index] in token_accounts
        )

    before = {item.account_index: item for item in details.pre_tokens if is_ours(item)}
    after = {item.account_index: item for item in details.post_tokens if is_ours(item)}
    for index in sorted(before.keys() | after.keys()):
        one, other = before.get(index), after.get(index)
        known = other or one
        if known is None or (one and other and one.mint != other.mint):
            raise ValueError("a token account changed its mint")
        amounts = (one.amount if one else 0, other.amount if other else 0)
        if amounts[0] != amounts[1]:
            yield TokenMove(details.keys[index], known.mint, *amounts, known.decimals)


def _keys(data: bytes, at: int, count: int) -> list[str]:
    if not 1 <= count <= _KEYS_MAX or len(data) < at + ADDRESS_BYTES * count:
        raise ValueError("too short for its accounts")
    ends = range(at, at + ADDRESS_BYTES * count, ADDRESS_BYTES)
    keys = [encode_base58(data[start : start + ADDRESS_BYTES]) for start in ends]
    if len(set(keys)) != count:
        raise ValueError("an account is named twice")
    return keys


def _compact_u16(data: bytes, at: int) -> tuple[int, int]:
    """Returns a number of 7 bits a byte, low ones first, and where it ends."""
    number = 0
    for shift in (0, 7, 14):
        if at >= len(data):
            break
        byte = data[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, at
    raise ValueError("a count is cut short or too long")
