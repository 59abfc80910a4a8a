"""RPC nodes that lose, delay, lie and go away: nothing happens twice, and nobody has to help."""

import random
import time
from typing import Any

import pytest

from solward.gateway.v1 import distribution_service_pb2 as pb
from tests.crash.bad_nodes import ASKED_AFTER_EXPIRY, FAULTS
from tests.crash.desk import EVERYTHING
from tests.crash.kinds import KINDS
from tests.crash.node_faults import PATIENCE_MS, Sometimes
from tests.crash.scene import until
from tests.crash.vault import Vault

COMPLETED = pb.Distribution.STATE_COMPLETED
_NAMES = list(KINDS)
CASES = (
    [(name, kind) for name in FAULTS for kind in KINDS]
    if EVERYTHING
    else [(name, _NAMES[number % len(_NAMES)]) for number, name in enumerate(FAULTS)]
)


@pytest.fixture(scope="module")
def launch() -> dict[str, Any]:
    """A gateway that does not wait long for an answer."""
    return {"request_timeout_ms": PATIENCE_MS}


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_a_bad_node(vault: Vault, name: str, kind: str) -> None:
    """Every third call goes wrong in one way for as long as it takes; all is done once.

    It did go wrong, and nobody had to give another session.
    """
    desk = vault.desk
    method, fault = FAULTS[name]
    trial = KINDS[kind].make(vault, KINDS[kind].count)
    # Now and then nothing lands for a while: a node that lies then has something to lie about.
    desk.node.chain.hold = True
    sometimes = Sometimes(random.Random(name), {name: (fault, 0.34)})
    desk.node.spoil(method, sometimes)
    trial.execute()
    given = desk.sessions_given
    if method in ASKED_AFTER_EXPIRY:
        until(lambda: desk.attempts(trial.plan, "sent") > 0)
        desk.node.chain.expire_blockhashes()
    time.sleep(0.4)
    desk.node.chain.release()
    time.sleep(0.4)
    until(lambda: sometimes.have_all_happened)
    desk.node.behave()
    done = desk.finish(trial.plan)
    trial.settle()
    assert COMPLETED == done.state
    assert given == desk.sessions_given
    assert sometimes.happened[name] > 0


@pytest.mark.parametrize("kind", KINDS if EVERYTHING else _NAMES[:1])
def test_a_node_that_is_started_again(vault: Vault, kind: str) -> None:
    """It breaks all connections with transactions on their way, and serves again: as before."""
    desk = vault.desk
    trial = KINDS[kind].make(vault, KINDS[kind].count)
    desk.node.chain.hold = True
    trial.execute()
    given = desk.sessions_given
    until(lambda: desk.attempts(trial.plan, "sent") > 0)
    desk.node.go_away()
    try:
        desk.until(trial.plan, lambda found: "connection failed" in found.last_error)
    finally:
        desk.node.come_back()
    desk.node.chain.release()
    done = desk.finish(trial.plan)
    trial.settle()
    assert COMPLETED == done.state
    assert given == desk.sessions_given
