"""Whether a mint still lets tokens move as they were planned to. Pure.

A fee that changed, or a mint that was paused, would let one transaction after the other fail on
chain, each for a fee and then again in halves. So the mint is read before a round is signed.
"""

from collections.abc import Mapping, Sequence

from gateway.domain.attempts import ClaimedBatch
from gateway.domain.funds import Held, creations
from gateway.domain.mints import MintTerms
from gateway.domain.plans import Distribution


def mint_change(
    plan: Distribution,
    batches: Sequence[ClaimedBatch],
    held: Mapping[str, Held],
    mint: MintTerms,
) -> str:
    """Returns why the batches cannot be carried out as planned, "" if they can.

    `mint` is as it stands now; `held` has what `accounts_to_read` names.
    """
    moves = [move for batch in batches for move in batch.moves]
    if not moves:
        return ""
    if mint.refusal:
        return f"{mint.refusal} ({mint.address})"
    # What a transfer makes was not there when it was planned; what all of them make may be by now.
    made = any(True for move in moves for _ in creations(move.steps)) or any(
        held[step.accounts[1].address].amount is None for step in creations(plan.prologue)
    )
    if mint.is_frozen_by_default and made:
        return f"the mint {mint.address} freezes new accounts now, and some would be made"
    for move in moves:
        fee = mint.fee.of(move.amount) if mint.fee is not None else 0
        if fee != move.withheld_amount:
            rate = mint.fee.basis_points if mint.fee is not None else 0
            return (
                f"the mint {mint.address} takes a transfer fee of {rate} basis points now: "
                f"{fee} of {move.amount} base units, planned were {move.withheld_amount}"
            )
    return ""
