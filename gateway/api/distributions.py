"""DistributionService."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager
from typing import Any, Final
from uuid import UUID

import grpc

from gateway.api import distribution_messages as messages
from gateway.api import distribution_orders as orders
from gateway.api import fields
from gateway.domain import deadline
from gateway.domain.orders import Order
from gateway.domain.ports import Clock
from gateway.domain.requests import require_uuid
from gateway.workflows.distribution import DistributionWorkflows
from gateway.workflows.distribution_resolutions import ResolutionWorkflows
from gateway.workflows.distribution_watch import Progress
from solward.gateway.v1 import distribution_service_pb2 as pb
from solward.gateway.v1 import distribution_service_pb2_grpc as pb_grpc

Context = grpc.aio.ServicerContext[Any, Any]
Watch = Callable[[UUID], AsyncIterator[Progress]]
_NAME: Final = "distribution_id"


class DistributionService(pb_grpc.DistributionServiceServicer):
    """Plans, executes and watches payouts."""

    def __init__(
        self,
        workflows: DistributionWorkflows,
        resolutions: ResolutionWorkflows,
        watch: Watch,
        clock: Clock,
    ) -> None:
        self._clock = clock
        self._workflows = workflows
        self._resolutions = resolutions
        self._watch = watch

    async def EstimateCost(
        self, request: pb.EstimateCostRequest, context: Context
    ) -> pb.EstimateCostResponse:
        order: Order
        if request.HasField("consolidation"):
            order = orders.consolidation(request.consolidation)
        elif request.HasField("closing"):
            order = orders.closing(request.closing)
        else:
            order = orders.estimated(request)
        with self._in_time(context):
            estimate = await self._workflows.estimate(order)
        return pb.EstimateCostResponse(estimate=messages.estimate(estimate))

    async def CreateDistribution(
        self, request: pb.CreateDistributionRequest, context: Context
    ) -> pb.CreateDistributionResponse:
        request_id = fields.request_id(request.request_id)
        order = orders.payout(request)
        made = await self._create(request_id, order, request.validate_only, context)
        return pb.CreateDistributionResponse(distribution=made)

    async def CreateConsolidation(
        self, request: pb.CreateConsolidationRequest, context: Context
    ) -> pb.CreateConsolidationResponse:
        request_id = fields.request_id(request.request_id)
        order = orders.consolidation(request)
        made = await self._create(request_id, order, request.validate_only, context)
        return pb.CreateConsolidationResponse(distribution=made)

    async def CloseEmptyAccounts(
        self, request: pb.CloseEmptyAccountsRequest, context: Context
    ) -> pb.CloseEmptyAccountsResponse:
        request_id = fields.request_id(request.request_id)
        order = orders.closing(request)
        made = await self._create(request_id, order, request.validate_only, context)
        return pb.CloseEmptyAccountsResponse(distribution=made)

    async def _create(
        self, request_id: str, order: Order, dry: bool, context: Context
    ) -> pb.Distribution:
        with self._in_time(context):
            if dry:
                return messages.plan(await self._workflows.plan(order))
            return messages.distribution(await self._workflows.create(request_id, order))

    def _in_time(self, context: Context) -> AbstractContextManager[None]:
        """Bounds reads of the chain by the caller's patience."""
        return deadline.within(context.time_remaining(), self._clock.monotonic_s())

    async def ExecuteDistribution(
        self, request: pb.ExecuteDistributionRequest, context: Context
    ) -> pb.ExecuteDistributionResponse:
        with self._in_time(context):
            executing = await self._workflows.execute(
                require_uuid(request.distribution_id, _NAME),
                request.etag,
                fields.session_token(request.session_token),
            )
        return pb.ExecuteDistributionResponse(distribution=messages.distribution(executing))

    async def WatchDistribution(
        self, request: pb.WatchDistributionRequest, _context: object
    ) -> AsyncIterator[pb.WatchDistributionResponse]:
        # Closing it needs no care: it holds nothing between two reports.
        async for report in self._watch(require_uuid(request.distribution_id, _NAME)):
            yield messages.progress(report)

    async def GetDistribution(
        self, request: pb.GetDistributionRequest, _context: object
    ) -> pb.GetDistributionResponse:
        found = await self._workflows.get(require_uuid(request.distribution_id, _NAME))
        return pb.GetDistributionResponse(distribution=messages.distribution(found))

    async def ListDistributions(
        self, request: pb.ListDistributionsRequest, _context: object
    ) -> pb.ListDistributionsResponse:
        page = await self._workflows.list_page(request.page_size, request.page_token)
        return pb.ListDistributionsResponse(
            distributions=[messages.distribution(found) for found in page.items],
            next_page_token=page.next_page_token,
        )

    async def ListTransfers(
        self, request: pb.ListTransfersRequest, _context: object
    ) -> pb.ListTransfersResponse:
        page, asset = await self._workflows.list_transfers(
            require_uuid(request.distribution_id, _NAME), request.page_size, request.page_token
        )
        return pb.ListTransfersResponse(
            transfers=[messages.transfer(item, asset) for item in page.items],
            next_page_token=page.next_page_token,
        )

    async def PauseDistribution(
        self, request: pb.PauseDistributionRequest, _context: object
    ) -> pb.PauseDistributionResponse:
        paused = await self._workflows.pause(require_uuid(request.distribution_id, _NAME))
        return pb.PauseDistributionResponse(distribution=messages.distribution(paused))

    async def CancelDistribution(
        self, request: pb.CancelDistributionRequest, _context: object
    ) -> pb.CancelDistributionResponse:
        cancelled = await self._workflows.cancel(require_uuid(request.distribution_id, _NAME))
        return pb.CancelDistributionResponse(distribution=messages.distribution(cancelled))

    async def ResolveUnknown(
        self, request: pb.ResolveUnknownRequest, context: Context
    ) -> pb.ResolveUnknownResponse:
        with self._in_time(context):
            resolved = await self._resolutions.resolve(
                require_uuid(request.distribution_id, _NAME),
                request.etag,
                orders.declaration(request, context.peer() or "unknown"),
                request.transaction_signature_again,
            )
        return pb.ResolveUnknownResponse(distribution=messages.distribution(resolved))
