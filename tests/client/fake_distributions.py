"""The distributions of the made-up gateway."""

from collections.abc import Iterator
from typing import Any

import grpc

from solward.gateway.v1 import distribution_service_pb2 as pb


def fake_distributions(gateway: Any, source_id: str) -> object:
    """Plans whatever is ordered, of 6 decimals if it is a token's; pays it when it is watched."""
    return _Distributions(gateway, source_id)


class _Distributions:
    def __init__(self, gateway: Any, source_id: str) -> None:
        self._gateway = gateway
        self._source_id = source_id
        self._state = pb.Distribution.STATE_PLANNED

    def get_distribution(
        self, request: pb.GetDistributionRequest, _context: Any
    ) -> pb.GetDistributionResponse:
        planned = pb.Distribution(
            id=request.distribution_id,
            state=self._state,
            source_wallet_id=self._source_id,
            transfer_count=4,
            asset=pb.Asset(mint="Mint", decimals=6),
        )
        return pb.GetDistributionResponse(distribution=planned)

    def execute_distribution(
        self, request: pb.ExecuteDistributionRequest, context: Any
    ) -> pb.ExecuteDistributionResponse:
        self._gateway.called(f"ExecuteDistribution {request.etag}", context)
        return pb.ExecuteDistributionResponse()

    def watch_distribution(
        self, _request: pb.WatchDistributionRequest, context: Any
    ) -> Iterator[pb.WatchDistributionResponse]:
        self._gateway.called("WatchDistribution", context)
        executing = pb.Distribution.STATE_EXECUTING
        yield pb.WatchDistributionResponse(state=executing)
        if self._gateway.calls.count("WatchDistribution") == 1:
            context.abort(grpc.StatusCode.UNAVAILABLE, "the gateway restarts")
        self._state = pb.Distribution.STATE_COMPLETED
        yield pb.WatchDistributionResponse(state=self._state)

    def resolve_unknown(self, request: Any, context: Any) -> Any:
        self._gateway.called(f"ResolveUnknown {request.verdict} {request.operator}", context)
        return pb.ResolveUnknownResponse()

    def create_distribution(self, request: Any, context: Any) -> Any:
        self._gateway.orders.append(request)
        self._gateway.called("CreateDistribution", context)
        return pb.CreateDistributionResponse(distribution=_planned(request, request.total_amount))

    def estimate_cost(self, request: Any, _context: Any) -> Any:
        self._gateway.orders.append(request)
        return pb.EstimateCostResponse(estimate=pb.CostEstimate(refund_lamports=77))

    def list_distributions(self, request: Any, _context: Any) -> Any:
        asset = pb.Asset(decimals=9)
        found = [
            pb.Distribution(id=f"d{at}", total_amount=1_500_000_000 + at, asset=asset)
            for at in range(2 if request.page_token else 100)
        ]
        token = "" if request.page_token else "next"
        return pb.ListDistributionsResponse(distributions=found, next_page_token=token)

    def list_transfers(self, request: Any, _context: Any) -> Any:
        if request.page_token:
            failed = pb.Transfer.STATE_FAILED
            found = [pb.Transfer(position=2, state=failed, error='denied: "desk",\n2 rules')]
            return pb.ListTransfersResponse(transfers=found)
        paid = pb.Transfer.STATE_FINALIZED
        found = [
            pb.Transfer(position=at, amount=2**63 + at, state=paid, fee_lamports=5_000)
            for at in range(2)
        ]
        return pb.ListTransfersResponse(transfers=found, next_page_token="next")

    def create_consolidation(self, request: Any, context: Any) -> Any:
        self._gateway.orders.append(request)
        self._gateway.called("CreateConsolidation", context)
        return pb.CreateConsolidationResponse(distribution=_planned(request, 5))

    def close_empty_accounts(self, request: Any, context: Any) -> Any:
        self._gateway.orders.append(request)
        self._gateway.called("CloseEmptyAccounts", context)
        return pb.CloseEmptyAccountsResponse()


def _planned(request: Any, total: int) -> pb.Distribution:
    asset = pb.Asset(mint=request.mint, decimals=6 if request.mint else 9)
    split = request.split if hasattr(request, "split") else None
    return pb.Distribution(asset=asset, total_amount=total, split=split)
