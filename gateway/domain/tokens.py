"""Token accounts and mints as a reader sees them, decoded byte by byte; see token_layout."""

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from gateway.domain.addresses import encode_base58
from gateway.domain.token_layout import Extension, Kind, TokenDataError, is_some, split
from gateway.domain.token_metadata import symbol_of_extension

_FROZEN: Final = 2
_POINTER_BYTES: Final = 64
# mint, owner, amount, delegate, state, native reserve, delegated amount, close authority; an
# optional value is a u32 (0 or 1) and the value.
_ACCOUNT: Final = struct.Struct("<32s32sQI32sBIQQI32s")
# mint authority, supply, decimals, is initialized, freeze authority
_MINT: Final = struct.Struct("<I32sQBBI32s")


@dataclass(frozen=True, slots=True)
class TokenAccount:
    """A token account. Amounts are base units; addresses are "" where there is none.

    `withheld_amount` are Token-2022 transfer fees that wait to be harvested. A native account
    holds wrapped SOL.
    """

    mint: str
    owner: str
    amount: int
    delegate: str
    delegated_amount: int
    frozen: bool
    native: bool
    close_authority: str
    withheld_amount: int


@dataclass(frozen=True, slots=True)
class Mint:
    """A mint. `symbol` is what its maker wrote into it: "" if nothing, never proof.

    `metadata_pointer` is the account, perhaps the mint itself, that has its metadata; "" if unsaid.
    """

    decimals: int
    supply: int
    symbol: str
    metadata_pointer: str = ""


@dataclass(frozen=True, slots=True)
class TokenFilter:
    """Which token accounts: all, or those of `mints`; perhaps only the associated ones."""

    mints: tuple[str, ...] = ()
    associated_only: bool = False


@dataclass(frozen=True, slots=True)
class TokenHolding:
    """A token account of a wallet, and what is known of it.

    `account` is None if it did not decode, `mint` if its mint could not be read; `error_reason`
    says why, as the contract names it.
    """

    address: str
    program: str
    lamports: int
    account: TokenAccount | None = None
    mint: Mint | None = None
    is_associated: bool = False
    error_reason: str = ""


@dataclass(frozen=True, slots=True)
class WalletTokens:
    """A wallet's token accounts in order of their addresses, or why they could not be read.

    `context_slot` is that of the oldest answer.
    """

    address: str
    context_slot: int = 0
    holdings: Sequence[TokenHolding] = ()
    error_reason: str = ""


def parse_token_account(data: bytes, program: str) -> TokenAccount:
    """Decodes an account of a token program; raises TokenDataError."""
    return read_account(*split(data, program, Kind.ACCOUNT))


def read_account(base: bytes, extensions: Mapping[int, bytes]) -> TokenAccount:
    """Decodes an account that `split` has taken apart; raises TokenDataError."""
    (mint, owner, amount, has_delegate, delegate, state, is_native, _reserve, delegated,
     has_closer, closer) = _ACCOUNT.unpack(base)  # fmt: skip
    if state not in (1, _FROZEN):
        raise TokenDataError(f"account state {state}")
    withheld = extensions.get(Extension.TRANSFER_FEE_AMOUNT)
    if withheld is not None and len(withheld) != 8:
        raise TokenDataError("withheld fees of another size")
    return TokenAccount(
        mint=encode_base58(mint),
        owner=encode_base58(owner),
        amount=amount,
        delegate=_optional(has_delegate, delegate),
        delegated_amount=delegated if has_delegate else 0,
        frozen=state == _FROZEN,
        native=is_some(is_native),
        close_authority=_optional(has_closer, closer),
        withheld_amount=int.from_bytes(withheld or b"", "little"),
    )


def parse_mint(data: bytes, program: str, *, is_cut: bool = False) -> Mint:
    """Decodes a mint of a token program, of which perhaps only the beginning was read.

    Raises TokenDataError.
    """
    base, extensions = split(data, program, Kind.MINT, is_cut=is_cut)
    decimals, supply = read_mint_base(base)
    try:
        metadata = extensions.get(Extension.TOKEN_METADATA)
        symbol = symbol_of_extension(metadata) if metadata is not None else ""
    except TokenDataError:
        if not is_cut:
            raise
        symbol = ""  # behind a name of kilobytes
    return Mint(decimals, supply, symbol, _pointer(extensions))


def read_mint_base(base: bytes) -> tuple[int, int]:
    """Returns the decimals and the supply of a mint's fixed part; raises TokenDataError."""
    has_authority, _, supply, decimals, initialized, has_freezer, _ = _MINT.unpack(base)
    is_some(has_authority)
    is_some(has_freezer)
    if initialized != 1:
        raise TokenDataError("mint is not initialized")
    return decimals, supply


def _pointer(extensions: Mapping[int, bytes]) -> str:
    """Returns where the metadata is: MetadataPointer is an authority and an address, or zeros."""
    pointer = extensions.get(Extension.METADATA_POINTER)
    if pointer is None:
        return ""
    if len(pointer) != _POINTER_BYTES:
        raise TokenDataError("metadata pointer of another size")
    return encode_base58(pointer[32:]) if any(pointer[32:]) else ""


def _optional(tag: int, address: bytes) -> str:
    return encode_base58(address) if is_some(tag) else ""
