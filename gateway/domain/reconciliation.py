"""The chain's own record of a finalized transaction against what its batch was to do. Pure.

What the plan's instructions do to lamports and tokens is worked out from the balances before, and
must give the balances after, to the unit, of every account that the transaction names: also of
accounts that are made or closed on the way. Nothing here believes the record more than the plan.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from gateway.domain.attempts import LandedAttempt, Receipt
from gateway.domain.history import TokenReading, TransactionDetails
from gateway.domain.ledger import Balances, DiffersError
from gateway.domain.plans import Kind

MATCHED: Final = "matched"
UNAVAILABLE: Final = "unavailable"


def compare(attempt: LandedAttempt, accounts: Sequence[str], landed: TransactionDetails) -> Receipt:
    """Compares error, fee, lamports and tokens of every account with the plan.

    `accounts` are the transaction's, in its order, as it was signed.
    """
    balances = Balances(
        lamports=dict(zip(landed.keys, landed.pre_balances, strict=True)),
        tokens=_tokens(landed.keys, landed.pre_tokens),
        after_lamports=dict(zip(landed.keys, landed.post_balances, strict=True)),
        rent_lamports=attempt.rent_lamports,
    )
    verdict = MATCHED
    try:
        _require_record(attempt, accounts, landed)
        balances.charge(accounts[0], landed.fee_lamports)
        for step in attempt.prologue:
            balances.apply(step)
        for move in attempt.moves:
            balances.carry_out(move, is_closing=attempt.kind is Kind.CLOSING)
        _require_lamports(balances, landed)
        _require_tokens(balances.tokens, _tokens_left(balances, landed))
    except DiffersError as error:
        verdict = f"differs: {error}"
    return Receipt(
        attempt.signature,
        verdict,
        landed.slot,
        landed.fee_lamports,
        balances.rent_paid_lamports,
        balances.refunded_lamports,
    )


def _require_record(
    attempt: LandedAttempt, accounts: Sequence[str], landed: TransactionDetails
) -> None:
    if landed.error:
        raise DiffersError(f"it failed: {landed.error}")
    if landed.fee_lamports != attempt.fee_lamports:
        raise DiffersError(f"the fee is {landed.fee_lamports}, planned {attempt.fee_lamports}")
    if list(accounts) != list(landed.keys):
        raise DiffersError("the record is of other accounts")


def _require_lamports(balances: Balances, landed: TransactionDetails) -> None:
    before = dict(zip(landed.keys, landed.pre_balances, strict=True))
    for address, after in balances.after_lamports.items():
        planned = balances.lamports[address] - before[address]
        if after - before[address] != planned:
            change = after - before[address]
            raise DiffersError(f"{address} changed by {change} lamports, planned {planned}")


def _require_tokens(
    planned: Mapping[str, tuple[str, int]], after: Mapping[str, tuple[str, int]]
) -> None:
    for address in sorted(planned.keys() | after.keys()):
        wanted, found = planned.get(address), after.get(address)
        if wanted == found:
            continue
        if wanted is None or found is None:
            raise DiffersError(
                f"the token account {address} is {'there' if found else 'gone'}, unlike planned"
            )
        raise DiffersError(f"{address} holds {found[1]} base units, planned {wanted[1]}")


def _tokens_left(balances: Balances, landed: TransactionDetails) -> dict[str, tuple[str, int]]:
    """Returns the token accounts after the transaction.

    Some nodes (Surfpool) still list one that was closed, even with what it held before. But there
    is no account without lamports.
    """
    listed = _tokens(landed.keys, landed.post_tokens)
    return {address: found for address, found in listed.items() if balances.after_lamports[address]}


def _tokens(keys: Sequence[str], found: Sequence[TokenReading]) -> dict[str, tuple[str, int]]:
    """Returns (mint, amount) by token account."""
    return {keys[item.account_index]: (item.mint, item.amount) for item in found}
