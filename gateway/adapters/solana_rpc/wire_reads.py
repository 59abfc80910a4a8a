"""Results that concern single wallets: token accounts, lists of signatures, whole transactions."""

from typing import Literal

from msgspec import Struct

from gateway.adapters.solana_rpc.wire import AccountWire, MetaWire, Unsigned
from gateway.domain.addresses import decode_base58, is_address
from gateway.domain.amounts import U64_MAX

# The last second that a protobuf Timestamp holds.
_TIME_S_MAX = 253_402_300_799


class KeyedAccountWire(Struct, frozen=True):
    """An account and its address."""

    pubkey: str
    account: AccountWire

    def __post_init__(self) -> None:
        """Refuses what is no address."""
        if not is_address(self.pubkey):
            raise ValueError("pubkey is not an address")


class SignatureWire(Struct, frozen=True, rename="camel"):
    """An entry of getSignaturesForAddress."""

    signature: str
    slot: Unsigned
    err: object
    block_time: int | None = None

    def __post_init__(self) -> None:
        """Refuses what no u64 holds and what is no signature or time."""
        _check_slot(self.slot)
        _check_time(self.block_time)
        if not is_signature(self.signature):
            raise ValueError("signature is not 64 bytes")


class AmountWire(Struct, frozen=True):
    """A token amount: base units as decimal text, because JSON's numbers are often doubles."""

    amount: str
    decimals: Unsigned

    def __post_init__(self) -> None:
        """Refuses what is no u64 and more decimals than a mint can have."""
        if not (self.amount.isascii() and self.amount.isdigit() and len(self.amount) <= 20):
            raise ValueError("amount is not a number")
        if int(self.amount) > U64_MAX or self.decimals > 255:
            raise ValueError("amount above u64 or decimals above 255")


class TokenBalanceWire(Struct, frozen=True, rename="camel"):
    """A token account before or after a transaction."""

    account_index: Unsigned
    mint: str
    ui_token_amount: AmountWire
    owner: str | None = None

    def __post_init__(self) -> None:
        """Refuses what is no address."""
        if not is_address(self.mint) or not (self.owner is None or is_address(self.owner)):
            raise ValueError("mint or owner is not an address")


class LoadedWire(Struct, frozen=True):
    """The accounts that lookup tables loaded."""

    writable: list[str]
    readonly: list[str]

    def __post_init__(self) -> None:
        """Refuses what is no address."""
        if not all(map(is_address, (*self.writable, *self.readonly))):
            raise ValueError("a loaded address is none")


class DetailedMetaWire(MetaWire, frozen=True, rename="camel"):
    """What a transaction did, tokens included."""

    loaded_addresses: LoadedWire | None = None
    pre_token_balances: list[TokenBalanceWire] | None = None
    post_token_balances: list[TokenBalanceWire] | None = None


class DetailedTransactionWire(Struct, frozen=True, rename="camel"):
    """A transaction in a block, with its bytes; msgspec decodes the base64."""

    slot: Unsigned
    transaction: tuple[bytes, Literal["base64"]]
    meta: DetailedMetaWire
    block_time: int | None = None
    version: Literal["legacy"] | int | None = None

    def __post_init__(self) -> None:
        """Refuses what no u64 holds and what is no time."""
        _check_slot(self.slot)
        _check_time(self.block_time)


def is_signature(text: str) -> bool:
    """True if `text` is base58 of 64 bytes."""
    try:
        return 64 <= len(text) <= 88 and len(decode_base58(text)) == 64
    except ValueError:
        return False


def _check_slot(slot: int) -> None:
    if slot > U64_MAX:
        raise ValueError("integer above u64")


def _check_time(seconds: int | None) -> None:
    if seconds is not None and not 0 <= seconds <= _TIME_S_MAX:
        raise ValueError("block time is no time")
