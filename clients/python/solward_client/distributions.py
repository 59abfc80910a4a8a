"""Distributions: planned, approved by etag, executed and watched."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar
from uuid import uuid4

import grpc

from solward.gateway.v1 import distribution_service_pb2 as pb
from solward.gateway.v1.distribution_service_pb2_grpc import DistributionServiceStub
from solward_client.calls import LONG_TIMEOUT_S, Caller, pages
from solward_client.signing import Session

PAGE_SIZE = 1_000
# Each may come with what its plan leaves out.
LIST_PAGE_SIZE = 100


@dataclass(frozen=True, slots=True)
class Payout:
    """Who pays how much to whom, and how it is split (even if None).

    With a mint, `total_lamports` counts base units of that token; `transfer_fee` then says who
    bears the fee of a mint that takes one.
    """

    source_wallet_id: str
    recipients: pb.Recipients
    total_lamports: int
    split: pb.Split | None = None
    mint: str = ""
    transfer_fee: "pb.TransferFee.ValueType" = pb.TRANSFER_FEE_UNSPECIFIED
    memo: str = ""
    lookup_table_addresses: Sequence[str] = ()


def to_wallets(wallet_ids: Sequence[str]) -> pb.Recipients:
    """Return recipients by wallet UUID."""
    return pb.Recipients(wallet_ids=pb.RecipientIds(ids=wallet_ids))


def to_addresses(addresses: Sequence[str]) -> pb.Recipients:
    """Return recipients by address."""
    return pb.Recipients(addresses=pb.RecipientAddresses(addresses=addresses))


def to_range(master_wallet_id: str, first_index: int, count: int) -> pb.Recipients:
    """Return a range of a master's wallets as recipients."""
    return pb.Recipients(
        range=pb.RecipientRange(
            master_wallet_id=master_wallet_id, first_index=first_index, count=count
        )
    )


def even_split() -> pb.Split:
    """Return the split in equal shares."""
    return pb.Split(even=pb.EvenSplit())


def random_split(seed: bytes = b"") -> pb.Split:
    """Return the random split by a 32-byte seed; without one the gateway draws and stores it."""
    return pb.Split(random=pb.RandomSplit(seed=seed))


def weighted_split(weights: Sequence[int]) -> pb.Split:
    """Return the split by weights, one of at least 1 for each recipient."""
    return pb.Split(weighted=pb.WeightedSplit(weights=weights))


class Distributions:
    """Plans and executes payouts. Every method raises SolwardError."""

    def __init__(self, channel: grpc.Channel, caller: Caller) -> None:
        """Take the channel to the gateway."""
        self._stub = DistributionServiceStub(channel)
        self._caller = caller

    def estimate(self, payout: Payout) -> pb.CostEstimate:
        """Return what a payout would cost by the cluster's present rent and fees."""
        request = pb.EstimateCostRequest(
            source_wallet_id=payout.source_wallet_id,
            recipients=payout.recipients,
            total_amount=payout.total_lamports,
            split=payout.split,
            mint=payout.mint,
            transfer_fee=payout.transfer_fee,
            memo=payout.memo,
            lookup_table_addresses=payout.lookup_table_addresses,
        )
        return self._caller.read(self._stub.EstimateCost, request, LONG_TIMEOUT_S).estimate

    def estimate_consolidation(self, order: pb.CreateConsolidationRequest) -> pb.CostEstimate:
        """Return what a consolidation would cost; its request id may be empty."""
        request = pb.EstimateCostRequest(consolidation=order)
        return self._caller.read(self._stub.EstimateCost, request, LONG_TIMEOUT_S).estimate

    def estimate_closing(self, order: pb.CloseEmptyAccountsRequest) -> pb.CostEstimate:
        """Return what a closing would cost and bring back; its request id may be empty."""
        request = pb.EstimateCostRequest(closing=order)
        return self._caller.read(self._stub.EstimateCost, request, LONG_TIMEOUT_S).estimate

    def create(
        self, payout: Payout, *, request_id: str | None = None, validate_only: bool = False
    ) -> pb.Distribution:
        """Plan a payout and freeze the plan; the same request id returns the first result."""
        request = pb.CreateDistributionRequest(
            request_id=request_id or str(uuid4()),
            source_wallet_id=payout.source_wallet_id,
            recipients=payout.recipients,
            total_amount=payout.total_lamports,
            split=payout.split,
            mint=payout.mint,
            transfer_fee=payout.transfer_fee,
            memo=payout.memo,
            lookup_table_addresses=payout.lookup_table_addresses,
            validate_only=validate_only,
        )
        return self._caller.write(
            self._stub.CreateDistribution, request, LONG_TIMEOUT_S
        ).distribution

    def consolidate(self, request: pb.CreateConsolidationRequest) -> pb.Distribution:
        """Plan the moving of what many wallets hold to one; without a request id one is made."""
        return self._caller.write(
            self._stub.CreateConsolidation, _identified(request), LONG_TIMEOUT_S
        ).distribution

    def close_accounts(self, request: pb.CloseEmptyAccountsRequest) -> pb.Distribution:
        """Plan the closing of token accounts; without a request id one is made."""
        return self._caller.write(
            self._stub.CloseEmptyAccounts, _identified(request), LONG_TIMEOUT_S
        ).distribution

    def execute(self, distribution_id: str, etag: str, session: Session) -> pb.Distribution:
        """Approve the plan that the etag names, and start or resume it. Returns at once."""
        request = pb.ExecuteDistributionRequest(
            distribution_id=distribution_id, etag=etag, session_token=session.token
        )
        return self._caller.write(self._stub.ExecuteDistribution, request).distribution

    def watch(self, distribution_id: str) -> Iterator[pb.WatchDistributionResponse]:
        """Follow a distribution until it reaches a final or a parked state."""
        request = pb.WatchDistributionRequest(distribution_id=distribution_id)
        return self._caller.watch(self._stub.WatchDistribution, request)

    def pause(self, distribution_id: str) -> pb.Distribution:
        """Let what is signed finish and sign nothing more."""
        request = pb.PauseDistributionRequest(distribution_id=distribution_id)
        return self._caller.write(self._stub.PauseDistribution, request).distribution

    def cancel(self, distribution_id: str) -> pb.Distribution:
        """Let what is signed finish and give up the rest for good."""
        request = pb.CancelDistributionRequest(distribution_id=distribution_id)
        return self._caller.write(self._stub.CancelDistribution, request).distribution

    def resolve(self, request: pb.ResolveUnknownRequest) -> pb.Distribution:
        """Declare what became of an UNKNOWN transaction; a wrong word pays its transfers twice.

        The same declaration again changes nothing.
        """
        return self._caller.write(self._stub.ResolveUnknown, request, LONG_TIMEOUT_S).distribution

    def get(self, distribution_id: str) -> pb.Distribution:
        """Return one distribution."""
        request = pb.GetDistributionRequest(distribution_id=distribution_id)
        return self._caller.read(self._stub.GetDistribution, request).distribution

    def list(self) -> Iterator[pb.Distribution]:
        """Walk through all distributions, newest first, page by page."""

        def fetch(token: str) -> tuple[Sequence[pb.Distribution], str]:
            request = pb.ListDistributionsRequest(page_size=LIST_PAGE_SIZE, page_token=token)
            page = self._caller.read(self._stub.ListDistributions, request)
            return page.distributions, page.next_page_token

        return pages(fetch)

    def transfers(self, distribution_id: str) -> Iterator[pb.Transfer]:
        """Walk through the transfers in the order of the plan."""

        def fetch(token: str) -> tuple[Sequence[pb.Transfer], str]:
            request = pb.ListTransfersRequest(
                distribution_id=distribution_id, page_size=PAGE_SIZE, page_token=token
            )
            page = self._caller.read(self._stub.ListTransfers, request)
            return page.transfers, page.next_page_token

        return pages(fetch)


R = TypeVar("R", pb.CreateConsolidationRequest, pb.CloseEmptyAccountsRequest)


def _identified(request: R) -> R:
    identified = type(request)()
    identified.CopyFrom(request)
    identified.request_id = request.request_id or str(uuid4())
    return identified
