"""AuditService: the copy of the signer's audit log."""

from google.protobuf.timestamp_pb2 import Timestamp

from gateway.domain.audit import AuditFilter, AuditMirror
from solward.gateway.v1 import audit_service_pb2 as pb
from solward.gateway.v1 import audit_service_pb2_grpc as pb_grpc


class AuditService(pb_grpc.AuditServiceServicer):
    """Searches the copy."""

    def __init__(self, mirror: AuditMirror) -> None:
        self._mirror = mirror

    async def ListAuditEvents(
        self, request: pb.ListAuditEventsRequest, _context: object
    ) -> pb.ListAuditEventsResponse:
        chosen = AuditFilter(
            address=request.address,
            event=request.event,
            time_min_ms=_ms(request.time_min) if request.HasField("time_min") else None,
            time_max_ms=_ms(request.time_max) if request.HasField("time_max") else None,
        )
        page = await self._mirror.list_page(chosen, request.page_size, request.page_token)
        response = pb.ListAuditEventsResponse(next_page_token=page.next_page_token)
        for record, time in page.items:
            event = response.events.add(
                sequence=record.sequence,
                event=record.event,
                # Of a record of many the one that was asked for, or the first.
                address=request.address or next(iter(record.addresses), ""),
                request_id=record.request_id,
                record=f"{record.record}\t{record.mac}",
            )
            event.time.FromDatetime(time)
        return response


def _ms(time: Timestamp) -> int:
    return -(-time.ToNanoseconds() // 1_000_000)  # up: a bound between two milliseconds
