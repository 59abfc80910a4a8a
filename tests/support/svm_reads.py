"""What a node tells of single wallets: token accounts, lists of signatures, whole transactions."""

import base64
import json
from collections.abc import Sequence
from typing import Any

from solders.account import Account
from solders.message import MessageV0, MessageV1
from solders.pubkey import Pubkey
from solders.token.state import Mint, TokenAccount
from solders.transaction_status import (
    TransactionConfirmationStatus,
    TransactionErrorType,
    TransactionStatus,
)

from tests.support.svm_chain import Landed, SvmChain

TOKEN_PROGRAMS = (
    Pubkey.from_string("TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA"),
    Pubkey.from_string("TokenzQdBNbLqP5VEhdkAS6EPFLC1PHnBqCXEpPxuEb"),
)
_FIRST_BLOCK_S = 1_700_000_000
_ACCOUNT_KIND = 2


def token_accounts(chain: SvmChain, owner: Pubkey, where: dict[str, str]) -> list[tuple[Any, Any]]:
    """Return (address, account) of an owner's token accounts, of a program or of a mint.

    Raises ValueError for what is no mint, as a node answers -32602 and "could not find mint".
    """
    if "mint" in where and chain.svm.get_account(Pubkey.from_string(where["mint"])) is None:
        raise ValueError("could not find mint")
    wanted = where.get("programId")
    programs = [Pubkey.from_string(wanted)] if wanted else TOKEN_PROGRAMS
    found = [item for program in programs for item in chain.svm.get_program_accounts(program)]
    return [
        (address, account)
        for address, account in found
        if _is_token_account(account)
        and account.data[32:64] == bytes(owner)
        and str(Pubkey(account.data[:32])) == where.get("mint", str(Pubkey(account.data[:32])))
    ]


def level_of(chain: SvmChain, landed: Landed) -> str:
    """Return how settled a transaction is."""
    age = chain.height - landed.height
    if age >= chain.timing.finalize_after_blocks:
        return "finalized"
    return "confirmed" if age >= chain.timing.confirm_after_blocks else "processed"


def slot_of(chain: SvmChain, landed: Landed) -> int:
    """Return the slot that a transaction is in."""
    return landed.height + chain.slot - chain.height


def is_visible(chain: SvmChain, landed: Landed, commitment: str) -> bool:
    """Return whether a transaction is as settled as a caller wants."""
    return chain.height - landed.height >= chain.timing.age(commitment)


def list_signatures(chain: SvmChain, address: Pubkey, options: dict[str, Any]) -> list[Any]:
    """Return an address's transactions, newest first, between `before` and `until`.

    Both are places in the ledger: they need not be transactions of the address.
    """
    commitment = str(options.get("commitment", "finalized"))
    ledger = list(reversed(chain.history()))
    names = [str(item.signature) for item in ledger]
    before, until = options.get("before"), options.get("until")
    if before and before not in names:
        return []
    start = names.index(before) + 1 if before else 0
    end = names.index(until) if until in names else len(ledger)
    shown = [
        _listed(chain, item)
        for item in ledger[start:end]
        if address in item.keys and is_visible(chain, item, commitment)
    ]
    return shown[: options.get("limit", 1000)]


def transaction_json(chain: SvmChain, landed: Landed) -> dict[str, Any]:
    """Return a transaction in base64 with what it did."""
    message = landed.transaction.message
    own = len(message.account_keys)
    writable = 0
    if isinstance(message, MessageV0):
        writable = sum(len(item.writable_indexes) for item in message.address_table_lookups)
    loaded = [str(key) for key in landed.keys[own:]]
    version: object = "legacy"
    if isinstance(message, MessageV0 | MessageV1):
        version = 0 if isinstance(message, MessageV0) else 1
    return {
        "slot": slot_of(chain, landed),
        "blockTime": _FIRST_BLOCK_S + landed.height,
        "transaction": [base64.b64encode(bytes(landed.transaction)).decode(), "base64"],
        "version": version,
        "meta": {
            "err": error_json(landed.error),
            "fee": landed.outcome.fee_lamports,
            "preBalances": [a.lamports if a else 0 for a in landed.before],
            "postBalances": [a.lamports if a else 0 for a in landed.after],
            "preTokenBalances": _token_balances(chain, landed.before),
            "postTokenBalances": _token_balances(chain, landed.after),
            "loadedAddresses": {"writable": loaded[:writable], "readonly": loaded[writable:]},
            "logMessages": list(landed.outcome.logs),
            "computeUnitsConsumed": landed.outcome.units_consumed,
        },
    }


def error_json(error: TransactionErrorType | None) -> Any:
    """Return an error as a node writes it."""
    # solders knows how a node writes each of the errors, but only as part of a status.
    processed = TransactionConfirmationStatus.Processed
    return json.loads(TransactionStatus(0, None, None, error, processed).to_json())["err"]


def _listed(chain: SvmChain, landed: Landed) -> dict[str, Any]:
    return {
        "signature": str(landed.signature),
        "slot": slot_of(chain, landed),
        "err": error_json(landed.error),
        "memo": None,
        "blockTime": _FIRST_BLOCK_S + landed.height,
        "confirmationStatus": level_of(chain, landed),
    }


def _token_balances(chain: SvmChain, accounts: Sequence[Account | None]) -> list[Any]:
    shown = []
    for index, account in enumerate(accounts):
        if account is None or not _is_token_account(account):
            continue
        token = TokenAccount.from_bytes(account.data[:165])
        mint = chain.svm.get_account(token.mint)
        decimals = Mint.from_bytes(mint.data[:82]).decimals if mint else 0
        shown.append(
            {
                "accountIndex": index,
                "mint": str(token.mint),
                "owner": str(token.owner),
                "programId": str(account.owner),
                "uiTokenAmount": {
                    "amount": str(token.amount),
                    "decimals": decimals,
                    "uiAmountString": "",
                },
            }
        )
    return shown


def _is_token_account(account: Account) -> bool:
    size = len(account.data)
    return account.owner in TOKEN_PROGRAMS and (
        size == 165 or (size > 165 and size != 355 and account.data[165] == _ACCOUNT_KIND)
    )
