"""What a plan must know of mints and token accounts: the state, and the extensions that matter.

See token_layout. Anything that does not fit raises ValueError: no amount is guessed.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from gateway.domain.token_layout import ACCOUNT_BYTES, Extension, Kind, split
from gateway.domain.token_programs import TOKEN_2022
from gateway.domain.tokens import read_account, read_mint_base

_FROZEN: Final = 2
_BASIS: Final = 10_000
_RATE: Final = struct.Struct("<QQH")  # epoch, maximum, basis points

# What an account of such a mint has besides: type and length (4) and the value.
_ACCOUNT_EXTENSION_BYTES: Final[Mapping[int, int]] = {
    Extension.TRANSFER_FEE_CONFIG: 12,
    Extension.NON_TRANSFERABLE: 4,
    Extension.TRANSFER_HOOK: 5,
    Extension.PAUSABLE: 4,
}
_IMMUTABLE_OWNER_BYTES: Final = 4
# ConfidentialTransferAccount: approved (1), key (32), ciphertexts (3 of 64 and one of 36), then two
# switches: confidential credits, others.
_PLAIN_CREDITS: Final = slice(262, 263)


@dataclass(frozen=True, slots=True)
class FeeRate:
    """A mint's transfer fee: basis points of the amount, rounded up, at most `maximum`."""

    basis_points: int
    maximum: int

    @property
    def is_nil(self) -> bool:
        """True if it withholds nothing, whatever the amount."""
        return not (self.basis_points and self.maximum)

    def of(self, amount: int) -> int:
        """Returns what is withheld of a transfer of `amount` base units."""
        return min(-(-amount * self.basis_points // _BASIS), self.maximum)

    def gross(self, net: int) -> int:
        """Returns the least amount of which `net` arrives: exactly so, whatever is rounded.

        What arrives of g is the larger of floor(g * (1 - rate)) and g - maximum.
        """
        capped = net + self.maximum
        if self.basis_points == _BASIS:
            return capped
        return min(capped, -(-net * _BASIS // (_BASIS - self.basis_points)))


@dataclass(frozen=True, slots=True)
class MintTerms:
    """A mint as a plan sees it. `refusal` says why its tokens cannot be moved, "" if they can.

    `fee` is the rate that holds, perhaps one that withholds nothing; None only for a mint that can
    never have one. `later_fee` is the rate that was announced to follow it at a later epoch.
    """

    address: str
    program: str
    decimals: int
    account_bytes: int
    fee: FeeRate | None = None
    later_fee: FeeRate | None = None
    is_frozen_by_default: bool = False
    refusal: str = ""


@dataclass(frozen=True, slots=True)
class TokenState:
    """A token account as a plan sees it. Amounts are base units; "" where there is no address."""

    program: str
    lamports: int
    data_bytes: int
    mint: str
    owner: str
    amount: int
    delegate: str
    is_frozen: bool
    is_native: bool
    close_authority: str
    withheld_amount: int = 0
    requires_memo: bool = False
    is_confidential: bool = False
    refuses_plain_credits: bool = False


def read_mint(address: str, program: str, data: bytes, epoch: int) -> MintTerms:
    """Decodes a mint; `epoch` decides which of two transfer fees holds. Raises ValueError."""
    base, extensions = split(data, program, Kind.MINT)
    decimals, _ = read_mint_base(base)
    size = ACCOUNT_BYTES
    if program == TOKEN_2022:
        extra = sum(_ACCOUNT_EXTENSION_BYTES.get(number, 0) for number in extensions)
        size += 1 + _IMMUTABLE_OWNER_BYTES + extra
    fee, later_fee = _fees(extensions.get(Extension.TRANSFER_FEE_CONFIG), epoch)
    return MintTerms(
        address=address,
        program=program,
        decimals=decimals,
        account_bytes=size,
        fee=fee,
        later_fee=later_fee,
        is_frozen_by_default=extensions.get(Extension.DEFAULT_STATE, b"")[:1] == bytes([_FROZEN]),
        refusal=_refusal(extensions),
    )


def read_token_account(program: str, lamports: int, data: bytes) -> TokenState:
    """Decodes a token account; raises ValueError."""
    base, extensions = split(data, program, Kind.ACCOUNT)
    account = read_account(base, extensions)
    confidential = extensions.get(Extension.CONFIDENTIAL_ACCOUNT)
    return TokenState(
        program=program,
        lamports=lamports,
        data_bytes=len(data),
        mint=account.mint,
        owner=account.owner,
        amount=account.amount,
        delegate=account.delegate,
        is_frozen=account.frozen,
        is_native=account.native,
        close_authority=account.close_authority,
        withheld_amount=account.withheld_amount,
        requires_memo=extensions.get(Extension.MEMO_TRANSFER, b"")[:1] == b"\1",
        is_confidential=confidential is not None,
        refuses_plain_credits=confidential is not None and confidential[_PLAIN_CREDITS] == b"\0",
    )


def _fees(config: bytes | None, epoch: int) -> tuple[FeeRate | None, FeeRate | None]:
    """Reads TransferFeeConfig (two authorities, withheld amount, older and newer rate).

    Returns the rate that holds and the one that is to follow it.
    """
    if config is None:
        return None, None
    if len(config) != 72 + 2 * _RATE.size:
        raise ValueError("malformed transfer fee")
    _, maximum, basis_points = _RATE.unpack_from(config, 72)
    since, later_maximum, later_basis_points = _RATE.unpack_from(config, 72 + _RATE.size)
    if max(basis_points, later_basis_points) > _BASIS:
        raise ValueError("malformed transfer fee")
    older, newer = FeeRate(basis_points, maximum), FeeRate(later_basis_points, later_maximum)
    return (newer, None) if epoch >= since else (older, newer)


def _refusal(extensions: Mapping[int, bytes]) -> str:
    if Extension.NON_TRANSFERABLE in extensions:
        return "the mint's tokens are non-transferable"
    if any(extensions.get(Extension.TRANSFER_HOOK, b"")[32:64]):
        return "the mint has a transfer hook, a program that is not decoded here"
    if extensions.get(Extension.PAUSABLE, b"")[32:33] == b"\1":
        return "the mint is paused"
    return ""
