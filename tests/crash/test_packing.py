"""What orders of each kind take and cost, on real processes: the table of docs/distribution.md.

CRASH_TRANSACTIONS says how many transactions each takes (40 for the whole proof).
"""

import os
from collections.abc import Callable
from functools import partial

import pytest

from solward.gateway.v1 import distribution_service_pb2 as pb
from tests.crash.conftest import MakeDesk, open_vault
from tests.crash.ground import held
from tests.crash.kinds import drain, pay
from tests.crash.token_kinds import close, drain_tokens, pay_tokens
from tests.crash.trials import Trial
from tests.crash.vault import Vault

TRANSACTIONS = int(os.environ.get("CRASH_TRANSACTIONS", "3"))
PRICE = 7_777
CLOSE = pb.CloseEmptyAccountsRequest.MODE_CLOSE
Make = Callable[[Vault, int], Trial]


def pay_holders(vault: Vault, count: int) -> Trial:
    """Tokens to many who all have accounts."""
    return pay_tokens(vault, count, with_fee=False, existing=range(count))


TABLE: dict[str, tuple[Make, dict[str, int]]] = {
    "SOL": (pay, {"legacy": 20, "1": 62}),
    "a token, accounts exist": (pay_holders, {"legacy": 19, "1": 60}),
    "a token, accounts are made": (
        partial(pay_tokens, with_fee=False, existing=()),
        {"legacy": 9, "1": 10},
    ),
    "SOL of many, a payer pays": (partial(drain, by="payer"), {"legacy": 8, "1": 11}),
    "SOL of many, the first pays": (partial(drain, by="first"), {"legacy": 9, "1": 12}),
    "SOL of many, each pays": (partial(drain, by="each"), {"legacy": 1, "1": 1}),
    "a token of many": (
        partial(drain_tokens, with_fee=False, is_received=True),
        {"legacy": 6, "1": 11},
    ),
    "closing one's own": (
        partial(close, mode=CLOSE, with_fee=False, is_own=True),
        {"legacy": 26, "1": 62},
    ),
    "closing many's": (partial(close, mode=CLOSE, with_fee=False), {"legacy": 7, "1": 11}),
}


@pytest.fixture(scope="module", params=["legacy", "1"])
def version(request: pytest.FixtureRequest) -> str:
    """A transaction format."""
    return str(request.param)


@pytest.fixture(scope="module")
def vault(make_desk: MakeDesk, version: str) -> Vault:
    """A desk that plans in that format, and pays for priority."""
    return open_vault(make_desk(version=version, price=PRICE))


@pytest.mark.timeout(60 + 5 * TRANSACTIONS)
@pytest.mark.parametrize("row", TABLE)
def test_the_table(vault: Vault, version: str, row: str) -> None:
    """So many transfers fit a transaction, one more takes another, and the estimate is the bill.

    The bill is what the payer has less in the end: fees and rent, less what is refunded, and what
    of the total was its own.
    """
    make, per_transaction = TABLE[row]
    count = per_transaction[version] * (TRANSACTIONS - 1) + 1
    trial = make(vault, count)
    estimate = trial.plan.estimate
    assert TRANSACTIONS == trial.plan.transaction_count == estimate.transaction_count
    before = balance(vault)
    trial.execute()
    done = vault.desk.finish(trial.plan, timeout_s=60 + TRANSACTIONS)
    vault.desk.until(trial.plan, lambda found: not found.reconciliation.pending_count)
    trial.settle()
    assert pb.Distribution.STATE_COMPLETED == done.state
    assert TRANSACTIONS == vault.desk.attempts(trial.plan, "finalized")
    assert estimate.priority_fee_lamports >= TRANSACTIONS
    assert estimate.base_fee_lamports + estimate.priority_fee_lamports == done.fees_paid_lamports
    assert estimate.required_lamports - estimate.refund_lamports == before - balance(vault)


def balance(vault: Vault) -> int:
    """What the wallet that pays holds."""
    return held(vault.ground.accounts([vault.payer.address])[0]).lamports
