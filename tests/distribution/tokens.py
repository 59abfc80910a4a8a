"""Mints and token accounts on the SVM, written byte by byte with any extensions."""

import struct
from dataclasses import dataclass, field
from typing import Protocol

from solders.account import Account
from solders.pubkey import Pubkey

from gateway.adapters.solana_tx import SoldersTransactions
from gateway.domain.token_programs import TOKEN, TOKEN_2022

FEE_CONFIG, FEE_AMOUNT, DEFAULT_STATE, IMMUTABLE_OWNER, MEMO_TRANSFER = 1, 2, 6, 7, 8
NON_TRANSFERABLE, NON_TRANSFERABLE_ACCOUNT, TRANSFER_HOOK, PAUSABLE = 9, 13, 14, 26
CONFIDENTIAL_MINT, CONFIDENTIAL_ACCOUNT, CPI_GUARD = 4, 5, 11
CONFIDENTIAL_TERMS = bytes(32) + b"\1" + bytes(32)
"""ConfidentialTransferMint: no authority, accounts approved by themselves, no auditor."""


def fee_config(basis_points: int, maximum: int, *, since: int = 0, before: int = 0) -> bytes:
    """TransferFeeConfig with one rate for all epochs, or one since an epoch and `before` it."""
    older = struct.pack("<QQH", 0, maximum, before if since else basis_points)
    return bytes(64) + bytes(8) + older + struct.pack("<QQH", since, maximum, basis_points)


def mint_data(extensions: dict[int, bytes], decimals: int = 6) -> bytes:
    """A mint that nobody may mint or freeze."""
    base = struct.pack("<I32sQBBI32s", 0, bytes(32), 2**63, decimals, 1, 0, bytes(32))
    return _extended(base, 1, extensions)


def _extended(base: bytes, kind: int, extensions: dict[int, bytes]) -> bytes:
    if not extensions:
        return base
    values = b"".join(
        struct.pack("<HH", number, len(value)) + value
        for number, value in sorted(extensions.items())
    )
    return base.ljust(165, b"\0") + bytes([kind]) + values


def confidential(*, plain_credits: bool) -> bytes:
    """ConfidentialTransferAccount without a balance, which takes plain transfers or does not."""
    return bytes(261) + bytes([True, plain_credits]) + bytes(32)


class Machine(Protocol):
    """What holds accounts: LiteSVM, or something that looks like it."""

    def get_account(self, address: Pubkey, /) -> Account | None:
        """Returns an account."""
        ...

    def set_account(self, address: Pubkey, data: Account, /) -> None:
        """Replaces an account."""
        ...

    def minimum_balance_for_rent_exemption(self, data_len: int, /) -> int:
        """Returns the rent floor of so many bytes, in lamports."""
        ...


class Chain(Protocol):
    """Anything with such a machine."""

    @property
    def svm(self) -> Machine:
        """The machine."""
        ...


@dataclass
class TokenWorld:
    """A mint on a chain, and accounts of it."""

    chain: Chain
    program: str = TOKEN
    decimals: int = 6
    extensions: dict[int, bytes] = field(default_factory=dict)
    mint: str = field(default_factory=lambda: str(Pubkey.new_unique()))

    def __post_init__(self) -> None:
        """Writes the mint."""
        self.write_mint()

    def write_mint(self) -> None:
        """Writes the mint, anew where its extensions changed; nobody may mint or freeze."""
        self._write(self.mint, mint_data(self.extensions, self.decimals))

    def account_of(self, owner: str) -> str:
        """The owner's associated account."""
        return SoldersTransactions().associated_token_address(owner, self.program, self.mint)

    def open(
        self,
        owner: str,
        amount: int = 0,
        *,
        state: int = 1,
        delegate: str = "",
        close_authority: str = "",
        native: bool = False,
        extensions: dict[int, bytes] | None = None,
        excess_lamports: int = 0,
        address: str = "",
    ) -> str:
        """Writes an account, the associated one unless another address is given."""
        found = address or self.account_of(owner)
        base = struct.pack(
            "<32s32sQI32sBIQQI32s",
            bytes(Pubkey.from_string(self.mint)),
            bytes(Pubkey.from_string(owner)),
            amount,
            bool(delegate),
            bytes(Pubkey.from_string(delegate)) if delegate else bytes(32),
            state,
            native,
            1_488_440 if native else 0,
            0,
            bool(close_authority),
            bytes(Pubkey.from_string(close_authority)) if close_authority else bytes(32),
        )
        extra: dict[int, bytes] = {IMMUTABLE_OWNER: b""} if self.program == TOKEN_2022 else {}
        if FEE_CONFIG in self.extensions:
            extra[FEE_AMOUNT] = bytes(8)
        self._write(found, _extended(base, 2, extra | (extensions or {})), excess_lamports)
        return found

    def amount(self, owner: str) -> int:
        """What the owner's associated account holds; 0 without one."""
        account = self.chain.svm.get_account(Pubkey.from_string(self.account_of(owner)))
        return int.from_bytes(account.data[64:72], "little") if account and account.data else 0

    def exists(self, account: str) -> bool:
        """True if there is such an account."""
        found = self.chain.svm.get_account(Pubkey.from_string(account))
        return found is not None and found.lamports > 0

    def _write(self, address: str, data: bytes, excess_lamports: int = 0) -> None:
        lamports = self.chain.svm.minimum_balance_for_rent_exemption(len(data)) + excess_lamports
        owner = Pubkey.from_string(self.program)
        self.chain.svm.set_account(
            Pubkey.from_string(address), Account(lamports, data, owner, False, 0)
        )
