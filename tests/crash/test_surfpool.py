"""The same troubles on Surfpool, a chain that somebody else wrote, behind a proxy that spoils.

Smaller, because Surfpool executes some 15 transactions in a second.
"""

import random
import time
from collections.abc import Callable, Sequence

import httpx
import pytest

from solward.gateway.v1 import distribution_service_pb2 as pb
from solward_client.devstack.surfpool import Surfpool
from tests.crash import node as faults
from tests.crash.accounts import settle_accounts
from tests.crash.conftest import MakeDesk
from tests.crash.desk import EVERYTHING, Desk

RECIPIENTS, TOTAL = (60 if EVERYTHING else 30), 10**8
FUNDS = 10**10
SEED = 4
VICTIMS = ("gateway", "signer", "postgres") if EVERYTHING else ("gateway",)
pytestmark = pytest.mark.localnet
TROUBLES: dict[str, dict[faults.Fault, float]] = {
    "drops, lost replies, 429": {
        faults.drop: 0.15,
        faults.lose_reply: 0.15,
        faults.too_many: 0.1,
    },
    "duplicates, malformed, stale": {
        faults.twice: 0.15,
        faults.malformed: 0.15,
        faults.stale(40): 0.2,
    },
    "wrong heights and slots, forgotten signatures, delays": {
        faults.wrong_number(100_000): 0.2,
        faults.forgetful: 0.2,
        faults.delay: 0.1,
    },
}


def ask(chain: Surfpool, method: str, *params: object) -> object:
    """Calls the chain itself, past the proxy."""
    request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    return httpx.post(chain.rpc_url, json=request, timeout=30).json()["result"]


def funder(chain: Surfpool) -> Callable[[str], None]:
    """Asks the chain's faucet, and waits until it is there."""

    def fund(address: str) -> None:
        ask(chain, "requestAirdrop", address, FUNDS)
        deadline = time.monotonic() + 20
        while balances(chain)([address]) != [FUNDS]:
            assert time.monotonic() < deadline
            time.sleep(0.05)

    return fund


def balances(chain: Surfpool) -> Callable[[Sequence[str]], list[int]]:
    """Reads what addresses hold, past the proxy."""

    def read(addresses: Sequence[str]) -> list[int]:
        found = ask(chain, "getMultipleAccounts", list(addresses), {"commitment": "confirmed"})
        assert isinstance(found, dict)
        return [account["lamports"] if account else 0 for account in found["value"]]

    return read


@pytest.fixture(scope="module")
def desk(make_desk: MakeDesk, surfpool: Surfpool) -> Desk:
    """A desk on Surfpool, through a proxy."""
    return make_desk(block_time_s=None, upstream_url=surfpool.rpc_url, fund=funder(surfpool))


@pytest.mark.parametrize("victim", VICTIMS)
def test_a_kill_with_transactions_on_their_way(desk: Desk, surfpool: Surfpool, victim: str) -> None:
    """Sent and not answered, then kill -9: it finishes after a restart, everybody paid once."""
    plan = desk.plan(RECIPIENTS, TOTAL)
    hold = desk.node.hold("sendTransaction", after=True)
    desk.execute(plan)
    assert hold.reached.wait(20)
    desk.kill(victim)
    desk.start(victim)
    desk.node.behave()
    if victim == "gateway":
        desk.execute(plan)
    done = desk.finish(plan, timeout_s=60)
    settle_accounts(desk, plan, balances(surfpool))
    assert pb.Distribution.STATE_COMPLETED == done.state


@pytest.mark.skipif(not EVERYTHING, reason="8 s a case: CRASH_EVERYTHING=1 runs them")
@pytest.mark.parametrize("name", TROUBLES)
def test_trouble(desk: Desk, surfpool: Surfpool, name: str) -> None:
    """Calls go wrong for a second in several ways; everybody is paid once."""
    plan = desk.plan(RECIPIENTS, TOTAL)
    desk.node.spoil("*", faults.sometimes(random.Random(SEED), TROUBLES[name]))
    desk.execute(plan)
    time.sleep(1)
    desk.node.behave()
    done = desk.finish(plan, timeout_s=60)
    settle_accounts(desk, plan, balances(surfpool))
    assert pb.Distribution.STATE_COMPLETED == done.state
