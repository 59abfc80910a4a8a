"""Instructions of the token programs, as far as plans are made of them.

Sources: SPL Token (p-token) and Token-2022, the Associated Token Account program, Memo.
"""

import struct
from typing import Final

from gateway.domain.instructions import SYSTEM_PROGRAM, AccountUse, Instruction
from gateway.domain.plans import Asset

TOKEN: Final = "TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA"  # noqa: S105 - a program's address
TOKEN_2022: Final = "TokenzQdBNbLqP5VEhdkAS6EPFLC1PHnBqCXEpPxuEb"  # noqa: S105 - likewise
TOKEN_PROGRAMS: Final = (TOKEN, TOKEN_2022)
ASSOCIATED_TOKEN: Final = "ATokenGPvbdGVxr1b2hvZbsiqW5xWH25efTNsLJA8knL"  # noqa: S105 - likewise
MEMO: Final = "MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr"
NATIVE_MINT: Final = "So11111111111111111111111111111111111111112"
NATIVE_MINTS: Final = frozenset({NATIVE_MINT, "9pan9bMn5HatX4EJdBwg9VgCz7Uz5HL8N1m5D3NdXej9"})

CLOSE_ACCOUNT: Final = 9
TRANSFER_CHECKED: Final = 12
WITHDRAW_EXCESS_LAMPORTS: Final = 38
TRANSFER_CHECKED_WITH_FEE: Final = b"\x1a\x01"
HARVEST_WITHHELD: Final = b"\x1a\x04"

# What the ATA program calls in turn: GetAccountDataSize, CreateAccount, InitializeImmutableOwner,
# InitializeAccount3. Where somebody sent lamports ahead it is Allocate and Assign instead of
# CreateAccount, after a Transfer if those lamports are less than the rent.
_CREATE_TRACE_ENTRIES: Final = 5


def create_idempotent(
    payer: str,
    account: str,
    owner: str,
    asset: Asset,
    *,
    held_lamports: int = 0,
    missing_lamports: int = 0,
) -> Instruction:
    """ATA program, CreateIdempotent (1): makes `account` for `owner` if it is not there.

    `held_lamports` are there already, though no account is; the payer adds `missing_lamports`.
    """
    return Instruction(
        ASSOCIATED_TOKEN,
        (
            AccountUse(payer, is_signer=True, is_writable=True),
            AccountUse(account, is_writable=True),
            AccountUse(owner),
            AccountUse(asset.mint),
            AccountUse(SYSTEM_PROGRAM),
            AccountUse(asset.token_program),
        ),
        b"\1",
        _CREATE_TRACE_ENTRIES + (1 + (missing_lamports > 0) if held_lamports else 0),
    )


def transfer_checked(
    source: str, destination: str, owner: str, asset: Asset, amount: int, fee: int | None = None
) -> Instruction:
    """TransferChecked (12), or TransferCheckedWithFee (26, 1), which fails on another fee.

    TransferChecked takes whatever fee holds when it lands: it is for mints that can have none.
    """
    if fee is None:
        data = struct.pack("<BQB", TRANSFER_CHECKED, amount, asset.decimals)
    else:
        data = TRANSFER_CHECKED_WITH_FEE + struct.pack("<QBQ", amount, asset.decimals, fee)
    return Instruction(
        asset.token_program,
        (
            AccountUse(source, is_writable=True),
            AccountUse(asset.mint),
            AccountUse(destination, is_writable=True),
            AccountUse(owner, is_signer=True),
        ),
        data,
    )


def close_account(account: str, destination: str, owner: str, program: str) -> Instruction:
    """CloseAccount (9): an account's lamports go to `destination`."""
    return _sweep(CLOSE_ACCOUNT, account, destination, owner, program)


def withdraw_excess_lamports(
    account: str, destination: str, owner: str, program: str
) -> Instruction:
    """WithdrawExcessLamports (38): lamports above the rent floor go to `destination`."""
    return _sweep(WITHDRAW_EXCESS_LAMPORTS, account, destination, owner, program)


def harvest_withheld(mint: str, account: str) -> Instruction:
    """Token-2022, HarvestWithheldTokensToMint (26, 4): an account that withholds does not close."""
    return Instruction(
        TOKEN_2022,
        (AccountUse(mint, is_writable=True), AccountUse(account, is_writable=True)),
        HARVEST_WITHHELD,
    )


def memo(text: str) -> Instruction:
    """Memo program: what a transfer into an account that requires a memo must follow."""
    return Instruction(MEMO, (), text.encode())


def _sweep(number: int, account: str, destination: str, owner: str, program: str) -> Instruction:
    return Instruction(
        program,
        (
            AccountUse(account, is_writable=True),
            AccountUse(destination, is_writable=True),
            AccountUse(owner, is_signer=True),
        ),
        bytes([number]),
    )
