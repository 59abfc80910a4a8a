"""What a plan must know of mints and token accounts: the state, and the extensions that matter.

Layouts as of SPL Token and Token-2022 (little endian): a mint is 82 bytes, an account 165.
Token-2022 adds, from byte 165, one byte for the kind and extensions as u16 type, u16 length, value.
Anything that does not fit raises ValueError: no amount is guessed.
"""

import struct
from dataclasses import dataclass
from typing import Final

from gateway.domain.addresses import encode_base58
from gateway.domain.amounts import U64_MAX
from gateway.domain.token_programs import TOKEN_2022, TOKEN_PROGRAMS

_ACCOUNT_BYTES: Final = 165
_MINT_BYTES: Final = 82
_MINT_KIND, _ACCOUNT_KIND = 1, 2
_INITIALIZED, _FROZEN = 1, 2
_BASIS: Final = 10_000
_EXTENSION: Final = struct.Struct("<HH")
_RATE: Final = struct.Struct("<QQH")  # epoch, maximum, basis points
# mint, owner, amount, delegate, state, native, delegated amount, close authority
_ACCOUNT: Final = struct.Struct("<32s32sQI32sBIQQI32s")

_TRANSFER_FEE_CONFIG, _TRANSFER_FEE_AMOUNT, _DEFAULT_STATE, _MEMO_TRANSFER = 1, 2, 6, 8
_CONFIDENTIAL_ACCOUNT, _NON_TRANSFERABLE, _TRANSFER_HOOK, _PAUSABLE = 5, 9, 14, 26
# What an account of such a mint has besides: type and length (4) and the value.
_ACCOUNT_EXTENSION_BYTES: Final = {
    _TRANSFER_FEE_CONFIG: 12,
    _NON_TRANSFERABLE: 4,
    _TRANSFER_HOOK: 5,
    _PAUSABLE: 4,
}
_IMMUTABLE_OWNER_BYTES: Final = 4


@dataclass(frozen=True, slots=True)
class FeeRate:
    """A mint's transfer fee: basis points of the amount, rounded up, at most `maximum`."""

    basis_points: int
    maximum: int

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
    """A mint as a plan sees it. `refusal` says why its tokens cannot be moved, "" if they can."""

    address: str
    program: str
    decimals: int
    account_bytes: int
    fee: FeeRate | None = None
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


def read_mint(address: str, program: str, data: bytes, epoch: int) -> MintTerms:
    """Decodes a mint; `epoch` decides which of two transfer fees holds. Raises ValueError."""
    if program not in TOKEN_PROGRAMS or len(data) < _MINT_BYTES:
        raise ValueError("not a mint of a token program")
    extensions = _extensions(data, _MINT_BYTES, _MINT_KIND, program)
    decimals, initialized = data[44], data[45]
    if initialized != 1:
        raise ValueError("the mint is not initialized")
    extra = sum(_ACCOUNT_EXTENSION_BYTES.get(number, 0) for number in extensions)
    size = _ACCOUNT_BYTES
    if program == TOKEN_2022:
        size += 1 + _IMMUTABLE_OWNER_BYTES + extra
    return MintTerms(
        address=address,
        program=program,
        decimals=decimals,
        account_bytes=size,
        fee=_fee(extensions.get(_TRANSFER_FEE_CONFIG), epoch),
        is_frozen_by_default=extensions.get(_DEFAULT_STATE, b"")[:1] == bytes([_FROZEN]),
        refusal=_refusal(extensions),
    )


def read_token_account(program: str, lamports: int, data: bytes) -> TokenState:
    """Decodes a token account; raises ValueError."""
    if program not in TOKEN_PROGRAMS or len(data) < _ACCOUNT_BYTES:
        raise ValueError("not a token account")
    extensions = _extensions(data, _ACCOUNT_BYTES, _ACCOUNT_KIND, program)
    (mint, owner, amount, has_delegate, delegate, state, is_native, _, _, has_closer, closer) = (
        _ACCOUNT.unpack_from(data)
    )
    if state not in {_INITIALIZED, _FROZEN}:
        raise ValueError("the token account is not initialized")
    return TokenState(
        program=program,
        lamports=lamports,
        data_bytes=len(data),
        mint=encode_base58(mint),
        owner=encode_base58(owner),
        amount=amount,
        delegate=encode_base58(delegate) if has_delegate else "",
        is_frozen=state == _FROZEN,
        is_native=bool(is_native),
        close_authority=encode_base58(closer) if has_closer else "",
        withheld_amount=int.from_bytes(extensions.get(_TRANSFER_FEE_AMOUNT, b""), "little"),
        requires_memo=extensions.get(_MEMO_TRANSFER, b"")[:1] == b"\1",
        is_confidential=_CONFIDENTIAL_ACCOUNT in extensions,
    )


def _extensions(data: bytes, size: int, kind: int, program: str) -> dict[int, bytes]:
    if len(data) == size:
        return {}
    if program != TOKEN_2022 or len(data) <= _ACCOUNT_BYTES or data[_ACCOUNT_BYTES] != kind:
        raise ValueError("account of another kind")
    found: dict[int, bytes] = {}
    at = _ACCOUNT_BYTES + 1
    while at + _EXTENSION.size <= len(data):
        number, length = _EXTENSION.unpack_from(data, at)
        if number == 0:
            break
        end = at + _EXTENSION.size + length
        if end > len(data) or number in found:
            raise ValueError("malformed extensions")
        found[number] = data[at + _EXTENSION.size : end]
        at = end
    return found


def _fee(config: bytes | None, epoch: int) -> FeeRate | None:
    """Reads TransferFeeConfig: two authorities, withheld amount, older and newer rate."""
    if config is None:
        return None
    if len(config) != 72 + 2 * _RATE.size:
        raise ValueError("malformed transfer fee")
    older, newer = _RATE.unpack_from(config, 72), _RATE.unpack_from(config, 72 + _RATE.size)
    since, maximum, basis_points = newer if epoch >= newer[0] else older
    if basis_points > _BASIS or maximum > U64_MAX or since < 0:
        raise ValueError("malformed transfer fee")
    return FeeRate(basis_points, maximum) if basis_points and maximum else None


def _refusal(extensions: dict[int, bytes]) -> str:
    if _NON_TRANSFERABLE in extensions:
        return "the mint's tokens are non-transferable"
    if any(extensions.get(_TRANSFER_HOOK, b"")[32:64]):
        return "the mint has a transfer hook, a program that is not decoded here"
    if extensions.get(_PAUSABLE, b"")[32:33] == b"\1":
        return "the mint is paused"
    return ""
