"""Controls: an engine with one deliberate mistake is found out by the judge of this suite."""

import time
from collections.abc import Callable
from functools import partial

import pytest

from tests.crash.accounts import PaidTwiceError
from tests.crash.conftest import MakeDesk, open_vault
from tests.crash.desk import EVERYTHING
from tests.crash.kinds import KINDS
from tests.crash.node_faults import ends_at_once
from tests.crash.trials import Trial
from tests.crash.vault import Vault

Act = Callable[[], None]
Trouble = Callable[[Trial, Act], None]


def slow_landing(trial: Trial, meanwhile: Act) -> None:
    """The cluster takes its time; everything lands in the end."""
    chain = trial.desk.node.chain
    chain.hold = True
    trial.execute()
    meanwhile()
    time.sleep(0.6)
    chain.release()


def unseen(trial: Trial, meanwhile: Act) -> None:
    """Lets transactions land, and 200 blocks go by while nobody can ask about them."""
    node = trial.desk.node
    hold = node.hold("getBlockHeight")
    trial.execute()
    assert hold.reached.wait(10)
    meanwhile()
    node.chain.advance(200)


def lost_from_sight(trial: Trial, meanwhile: Act) -> None:
    """Transactions have landed, and 200 blocks go by before anybody can ask about them."""
    unseen(trial, meanwhile)
    trial.desk.node.behave()


def lost_from_history(trial: Trial, meanwhile: Act) -> None:
    """The same, and the node tells nothing any more of one that has landed."""
    unseen(trial, meanwhile)
    node = trial.desk.node
    lost = next(reversed(node.chain.landed))
    node.chain.forgets = lambda item: item.signature == lost
    node.behave()


def ended_too_soon(trial: Trial, meanwhile: Act) -> None:
    """The node says of blockhashes that they ended long ago; what was signed lands in the end."""
    node = trial.desk.node
    node.spoil("getLatestBlockhash", ends_at_once)
    slow_landing(trial, meanwhile)
    node.behave()


TROUBLES: dict[str, Trouble] = {
    "sign_again_when_unseen": slow_landing,
    "forget_what_expired": lost_from_sight,
    "believe_a_null": lost_from_history,
    "believe_a_number": ended_too_soon,
}
DRAINS = ("drain by payer", "drain by first", "drain by each")
# An emptied source cannot pay the fee of a second transaction: it never lands, and nobody learns.
MUTE = ("drain by first", "drain by each")
FIRST, *OTHERS = TROUBLES
CASES = (
    [(mistake, kind) for mistake in TROUBLES for kind in KINDS if kind not in MUTE]
    if EVERYTHING
    else [
        (FIRST, "pay"),
        (FIRST, "pay tokens"),
        (FIRST, "drain tokens"),
        *((mistake, "pay") for mistake in OTHERS),
    ]
)
LATE_CASES = (
    [(mistake, kind) for mistake in TROUBLES for kind in DRAINS]
    if EVERYTHING
    else [(FIRST, DRAINS[0])]
)


@pytest.fixture(scope="module")
def mistake(request: pytest.FixtureRequest) -> str:
    """What one of two gateways does wrong."""
    return str(request.param)


@pytest.fixture(scope="module")
def vaults(make_desk: MakeDesk, mistake: str) -> tuple[Vault, Vault]:
    """A right desk and a wrong one."""
    pace = {"doubt_s_max": 1.0}
    return open_vault(make_desk(**pace)), open_vault(make_desk(**pace, mistake=mistake))


@pytest.mark.parametrize(("mistake", "kind"), CASES, indirect=["mistake"], scope="module")
def test_a_wrong_engine_is_found_out(vaults: tuple[Vault, Vault], mistake: str, kind: str) -> None:
    """The same trouble: the right engine acts once, the wrong one twice, and the judge says so.

    What the chain allows only once, such as closing, the wrong engine then counts as not done.
    """
    verdicts = []
    for vault in vaults:
        trial = KINDS[kind].make(vault, KINDS[kind].count)
        verdicts.append(verdict(trial, TROUBLES[mistake], lambda: None))
    assert ["once", "twice"] == verdicts


@pytest.mark.parametrize(("mistake", "kind"), LATE_CASES, indirect=["mistake"], scope="module")
def test_a_wrong_engine_takes_what_came_later(
    vaults: tuple[Vault, Vault], mistake: str, kind: str
) -> None:
    """What sources get while they are emptied stays theirs: only the wrong engine takes it too."""
    verdicts = []
    for vault in vaults:
        trial = KINDS[kind].make(vault, KINDS[kind].count)
        verdicts.append(verdict(trial, TROUBLES[mistake], partial(pay_in, trial)))
    assert ["once", "twice"] == verdicts


def pay_in(trial: Trial) -> None:
    """Every source gets as much again, and enough for a fee."""
    for effect in trial.effects:
        trial.deposit(effect.target, 100_000 - effect.changes[0].lamports)


def verdict(trial: Trial, trouble: Trouble, meanwhile: Act) -> str:
    """What the judge says of an engine in trouble."""
    trouble(trial, meanwhile)
    trial.desk.finish(trial.plan)
    trial.desk.node.chain.forgets = lambda _: False
    try:
        trial.settle()
    except PaidTwiceError:
        return "twice"
    return "once"
