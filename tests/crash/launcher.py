"""Starts the real gateway at a test's pace, or with a deliberate mistake in its judgement.

    python -m tests.crash.launcher '{"pace": {...}, "mistake": "..."}' --config FILE

`pace` are fields of RunConfig: production waits a minute before it takes over from a dead gateway,
which is right there and a waste here. `doubt_s_max` shortens how long an attempt may be in doubt,
and `mistake` is one of MISTAKES: the control experiments.
"""

import functools
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from types import ModuleType

from gateway.__main__ import main
from gateway.adapters.solana_rpc import client, lapses
from gateway.adapters.solana_rpc.blockhashes import Blockhashes
from gateway.adapters.solana_rpc.statements import Statement, StatementReader
from gateway.domain import confirmation
from gateway.domain.chain import Blockhash, LapsedTransaction
from gateway.domain.confirmation import Ruling, Sighting, judge
from gateway.domain.states import AttemptState
from gateway.workflows import distribution_engine, distribution_followup
from gateway.workflows.distribution_run import RunConfig

Judge = Callable[[AttemptState, int, Sighting], Ruling]


def sign_again_when_unseen(present: AttemptState, last: int, sighting: Sighting) -> Ruling:
    """What most payout tools do: not seen yet means lost, so sign again."""
    if sighting.status is None and present in {AttemptState.SIGNED, AttemptState.SENT}:
        return Ruling(AttemptState.EXPIRED)
    return judge(present, last, sighting)


def forget_what_expired(present: AttemptState, last: int, sighting: Sighting) -> Ruling:
    """Expiry by height alone, whatever the status says: the transaction may have landed."""
    if sighting.finalized_height > last and present in {AttemptState.SIGNED, AttemptState.SENT}:
        return Ruling(AttemptState.EXPIRED)
    return judge(present, last, sighting)


class CredulousReader(StatementReader):
    """Takes a node's word for it that it has forgotten nothing."""

    async def read(
        self,
        payers: Mapping[str, int],
        slot: int,  # noqa: ARG002  its base's
    ) -> dict[str, Statement]:
        """Finds no fault with any list."""
        return dict.fromkeys(payers, Statement())


class CredulousBlockhashes(Blockhashes):
    """Takes one node's word for it when a blockhash ends."""

    async def next(self) -> Blockhash:
        """Asks nobody else."""
        return await self._sources[0].get_latest_blockhash("confirmed")


def past_by_height(item: LapsedTransaction, view: lapses._Chainview, _: int) -> str:
    """What the stored number says, and nothing else: not whether the blockhash is still good."""
    return "" if view.height > item.last_valid_block_height else "the transaction may still land"


# Of each module, by the name that it knows: what replaces it.
MISTAKES: dict[str, Sequence[tuple[ModuleType, str, object]]] = {
    "sign_again_when_unseen": [(distribution_followup, "judge", sign_again_when_unseen)],
    "forget_what_expired": [(distribution_followup, "judge", forget_what_expired)],
    "believe_a_null": [(lapses, "StatementReader", CredulousReader)],
    "believe_a_number": [
        (client, "Blockhashes", CredulousBlockhashes),
        (lapses, "_objection_of_time", past_by_height),
    ],
}


def run(settings: str, arguments: list[str]) -> int:
    """Applies the settings and runs the gateway; returns its exit code."""
    chosen = json.loads(settings)
    if pace := chosen.get("pace"):
        # Whoever builds a RunConfig without arguments gets the test's.
        replace_name(distribution_engine, "RunConfig", functools.partial(RunConfig, **pace))
    if doubt_s_max := chosen.get("doubt_s_max"):
        replace_name(confirmation, "DOUBT_S_MAX", doubt_s_max)
    if mistake := chosen.get("mistake"):
        for replacement in MISTAKES[mistake]:
            replace_name(*replacement)
    return main(arguments)


def replace_name(module: ModuleType, name: str, value: object) -> None:
    """Replaces what a module knows by a name; a name that is not there any more is an error."""
    getattr(module, name)
    setattr(module, name, value)


if __name__ == "__main__":
    sys.exit(run(sys.argv[1], sys.argv[2:]))
