"""kill -9 at the steps of a v0 payout by a lookup table: what the table held is in the database."""

import hashlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from solward.gateway.v1 import distribution_service_pb2 as pb
from tests.crash.cases import VICTIMS, come_to_an_end, kill_at
from tests.crash.desk import EVERYTHING
from tests.crash.parts import POLICY
from tests.crash.steps import STEPS
from tests.crash.trials import Change, Effect, Trial
from tests.crash.vault import Vault
from tests.distribution.tables import content_of, write_table
from tests.gateway.support import new_id
from tests.postgres.samples import address_of
from tests.support.processes import SignerProcess

TABLE = address_of(0, "crash table")
HELD = [address_of(number, "crash table's") for number in range(200)]
STRANGERS = 60
SHARE = 10**7
CASES = (
    [(step, victim) for step in STEPS for victim in VICTIMS]
    if EVERYTHING
    else [
        ("signed_not_stored", "gateway"),
        ("stored_not_sent", "gateway"),
        ("expired_not_stored", "gateway"),
        ("finalized_not_stored", "postgres"),
    ]
)


@pytest.fixture(scope="module")
def signer() -> Iterator[SignerProcess]:
    """A signer whose policy pins the table."""
    pin = hashlib.sha256(content_of(HELD)).hexdigest()
    tables = f'[lookup_table]\n"{TABLE}" = "{pin}"\n[[group]]'
    with tempfile.TemporaryDirectory(prefix="sw-") as directory:
        policy = POLICY.format(rate=1_000_000).replace("[[group]]", tables)
        process = SignerProcess(Path(directory), policy=policy)
        try:
            yield process.start()
        finally:
            process.close()


@pytest.fixture(scope="module")
def launch(signer: SignerProcess) -> dict[str, Any]:
    """One desk for all cases."""
    return {"signer": signer}


def pay_by_table(vault: Vault) -> Trial:
    """SOL to 200 whom the table holds, and to some whom it does not: 54 and 20 at a time."""
    desk = vault.desk
    write_table(desk.node.chain, HELD, at=TABLE)
    desk.orders += 1
    salt = f"{desk.database}/{desk.orders}"
    addresses = HELD + [address_of(number, salt) for number in range(STRANGERS)]
    order = pb.CreateDistributionRequest(
        request_id=new_id(),
        source_wallet_id=vault.payer.id,
        recipients=pb.Recipients(addresses=pb.RecipientAddresses(addresses=addresses)),
        total_amount=SHARE * len(addresses),
        split=pb.Split(even=pb.EvenSplit()),
        lookup_table_addresses=[TABLE],
    )
    distributions = desk.client().distributions
    plan = desk.patiently(lambda: distributions.CreateDistribution(order)).distribution
    assert ("0", [TABLE]) == (plan.transaction_version, list(plan.lookup_table_addresses))
    assert plan.transaction_count == 7
    effects = [
        Effect(
            one.recipient_address,
            (
                Change(one.recipient_address, one.amount),
                Change(vault.payer.address, -one.amount),
            ),
        )
        for one in desk.transfers(plan)
    ]
    return Trial(desk, vault.ground, plan, [vault.payer.address], effects, lambda _: None)


@pytest.mark.parametrize(("step", "victim"), CASES)
def test_a_kill_at_a_step(vault: Vault, step: str, victim: str) -> None:
    """Held at a step, one process is killed and started again, and the table shows something else
    by then: everybody is paid once, from what was stored, and the chain's record agrees.
    """
    desk, trial = vault.desk, pay_by_table(vault)
    write_table(desk.node.chain, [*HELD, address_of(1, "later")], at=TABLE)
    kill_at(trial, STEPS[step], victim)
    done = come_to_an_end(trial, STEPS[step], victim)
    if done.state == pb.Distribution.STATE_COMPLETED:
        desk.until(trial.plan, lambda found: found.reconciliation.matched_count == 7)
