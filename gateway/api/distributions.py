"""DistributionService."""

from collections.abc import AsyncIterator, Callable
from typing import Final, NoReturn
from uuid import UUID

from gateway.api import distribution_messages as messages
from gateway.api import fields
from gateway.domain.errors import InvalidArgumentError
from gateway.domain.plans import (
    RECIPIENTS_MAX,
    DistributionOrder,
    RecipientAddresses,
    RecipientIds,
    RecipientRange,
    Recipients,
)
from gateway.domain.requests import require_uuid
from gateway.domain.splits import SEED_BYTES, EvenSplit, RandomSplit, Split, WeightedSplit
from gateway.domain.wallets import require_index_range
from gateway.errors import NotServedError
from gateway.workflows.distribution import DistributionWorkflows
from gateway.workflows.distribution_watch import Progress
from solward.gateway.v1 import distribution_service_pb2 as pb
from solward.gateway.v1 import distribution_service_pb2_grpc as pb_grpc

Watch = Callable[[UUID], AsyncIterator[Progress]]
_NAME: Final = "distribution_id"


class DistributionService(pb_grpc.DistributionServiceServicer):
    """Plans, executes and watches payouts."""

    def __init__(self, workflows: DistributionWorkflows, watch: Watch) -> None:
        self._workflows = workflows
        self._watch = watch

    async def EstimateCost(
        self, request: pb.EstimateCostRequest, _context: object
    ) -> pb.EstimateCostResponse:
        split = _split(request.split) if request.split.WhichOneof("kind") else EvenSplit()
        order = DistributionOrder(
            require_uuid(request.source_wallet_id, "source_wallet_id"),
            _recipients(request.recipients),
            request.total_lamports,
            split,
        )
        return pb.EstimateCostResponse(
            estimate=messages.estimate(await self._workflows.estimate(order))
        )

    async def CreateDistribution(
        self, request: pb.CreateDistributionRequest, _context: object
    ) -> pb.CreateDistributionResponse:
        request_id = fields.request_id(request.request_id)
        order = DistributionOrder(
            require_uuid(request.source_wallet_id, "source_wallet_id"),
            _recipients(request.recipients),
            request.total_lamports,
            _split(request.split),
        )
        if request.validate_only:
            made = messages.plan(await self._workflows.plan(order))
        else:
            made = messages.distribution(await self._workflows.create(request_id, order))
        return pb.CreateDistributionResponse(distribution=made)

    async def ExecuteDistribution(
        self, request: pb.ExecuteDistributionRequest, _context: object
    ) -> pb.ExecuteDistributionResponse:
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
        page = await self._workflows.list_transfers(
            require_uuid(request.distribution_id, _NAME), request.page_size, request.page_token
        )
        return pb.ListTransfersResponse(
            transfers=[messages.transfer(item) for item in page.items],
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

    async def CreateConsolidation(
        self, _request: pb.CreateConsolidationRequest, _context: object
    ) -> NoReturn:
        raise NotServedError("CreateConsolidation: many sources to one are not planned yet")

    async def CloseEmptyAccounts(
        self, _request: pb.CloseEmptyAccountsRequest, _context: object
    ) -> NoReturn:
        raise NotServedError("CloseEmptyAccounts: token accounts are not read yet")


def _recipients(value: pb.Recipients) -> Recipients:
    kind = value.WhichOneof("kind")
    if kind == "wallet_ids":
        ids = fields.uuids(value.wallet_ids.ids, "recipients.wallet_ids.ids", RECIPIENTS_MAX)
        return RecipientIds(tuple(ids))
    if kind == "addresses":
        return RecipientAddresses(tuple(value.addresses.addresses))
    if kind == "range":
        return _range(value.range)
    raise fields.one_of_missing("recipients.wallet_ids", "recipients.addresses", "recipients.range")


def _range(value: pb.RecipientRange) -> RecipientRange:
    field = "recipients.range"
    master_id = require_uuid(value.master_wallet_id, f"{field}.master_wallet_id")
    try:
        require_index_range(value.first_index, value.count)
    except InvalidArgumentError as error:
        raise InvalidArgumentError(error.message, field=f"{field}.{error.field}") from None
    return RecipientRange(master_id, value.first_index, value.count)


def _split(value: pb.Split) -> Split:
    kind = value.WhichOneof("kind")
    if kind == "even":
        return EvenSplit()
    if kind == "random":
        if value.random.seed and len(value.random.seed) != SEED_BYTES:
            raise InvalidArgumentError(
                f"split.random.seed must be {SEED_BYTES} bytes", field="split.random.seed"
            )
        return RandomSplit(value.random.seed)
    if kind == "weighted":
        return WeightedSplit(tuple(value.weighted.weights))
    raise fields.one_of_missing("split.even", "split.random", "split.weighted")
