"""A distribution stays on the cluster that it was planned for.

Where the same wallets have lamports on another one, what landed on the first looks as if it never
had: it would be proved to have expired, and be paid again there. Pure.
"""

from typing import Final

from gateway.domain.errors import PreconditionFailedError
from gateway.domain.plans import Distribution

ELSEWHERE: Final = "it was planned on another cluster than this gateway's RPC nodes serve"


def elsewhere(found: Distribution, genesis_hash: str) -> str:
    """Says why nothing may be done for it on this cluster, "" if it may."""
    if found.genesis_hash in {"", genesis_hash}:
        return ""
    return f"{ELSEWHERE}: {found.genesis_hash}, not {genesis_hash}"


def require_here(found: Distribution, genesis_hash: str) -> None:
    """Returns if it was planned on this cluster; raises PreconditionFailedError."""
    why = elsewhere(found, genesis_hash)
    if why:
        raise PreconditionFailedError(why, field="distribution_id")
