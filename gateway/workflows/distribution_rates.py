"""What the cluster charges and runs now, as plans are made from it. Nothing of it is kept."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from gateway.domain.chain import Chain
from gateway.domain.errors import ChainUnavailableError, TransactionRejectedError
from gateway.domain.instructions import transfer_lamports
from gateway.domain.packing import TransactionVersion
from gateway.domain.planner import COMPUTE_UNITS_PER_TRANSFER, choose_price
from gateway.domain.plans import FeeRates
from gateway.domain.ports import ComputeBudget, TransactionCompiler

_FORMAT_ERRORS: Final = ("UnsupportedVersion", "SanitizeFailure")


@dataclass(frozen=True, slots=True)
class PlanningConfig:
    """How plans are made: the transaction format, and bounds on the price of a compute unit.

    Without a version the cluster is asked whether it runs v1; legacy is what all run.
    """

    version: TransactionVersion | None = None
    price_micro_lamports_min: int = 0
    price_micro_lamports_max: int = 100_000


class ClusterTerms:
    """Reads rates, and which format the cluster runs, anew for each plan."""

    def __init__(self, chain: Chain, compiler: TransactionCompiler, config: PlanningConfig) -> None:
        self._chain = chain
        self._compiler = compiler
        self._config = config

    async def rates(self, payer: str, contended: Sequence[str] = ()) -> FeeRates:
        """Reads what the cluster charges now: nothing of it is a constant.

        `contended` are the accounts that every transaction of the plan writes, or that others write
        while it reads them, besides the payer. What is paid to get at those is what counts; a
        payout's recipients are written once each and do not.
        """
        rent_floor = await self._chain.get_rent_exempt_lamports(0)
        recent = await self._chain.get_latest_blockhash()
        probe = self._compiler.fee_probe(payer, recent.blockhash)
        fee = await self._chain.get_fee_for_message(probe)
        if fee is None:
            raise ChainUnavailableError("the RPC node does not know its own blockhash")
        accounts = list(dict.fromkeys([payer, *contended]))
        prices = await self._chain.get_recent_prioritization_fees(accounts)
        price = choose_price(
            [reading.micro_lamports for reading in prices],
            self._config.price_micro_lamports_min,
            self._config.price_micro_lamports_max,
        )
        return FeeRates(fee, rent_floor, price)

    async def version(self, payer: str) -> TransactionVersion:
        """Returns the configured format, or v1 if a transfer of nothing simulates in it.

        Raises ChainUnavailableError if no node says whether it does: an outage is no answer, even
        if it is of simulations alone (a budget that is used up, a 429).
        """
        if self._config.version is not None:
            return self._config.version
        try:
            error = await self._probe(TransactionVersion.V1, payer)
        except TransactionRejectedError:
            return TransactionVersion.LEGACY  # the node cannot decode it, or simulates nothing
        # Any other error, such as a payer without funds, comes after the format was accepted.
        if any(name in error for name in _FORMAT_ERRORS):
            return TransactionVersion.LEGACY
        return TransactionVersion.V1

    async def _probe(self, version: TransactionVersion, payer: str) -> str:
        recent = await self._chain.get_latest_blockhash()
        units = COMPUTE_UNITS_PER_TRANSFER
        wire = self._compiler.compile(
            version,
            payer,
            [transfer_lamports(payer, payer, 0)],
            recent.blockhash,
            ComputeBudget(units, 0),
        )
        return (await self._chain.simulate_transaction(wire)).error
