"""AuditService."""

from typing import NoReturn

from gateway.errors import NotServedError
from solward.gateway.v1 import audit_service_pb2 as pb
from solward.gateway.v1 import audit_service_pb2_grpc as pb_grpc


class AuditService(pb_grpc.AuditServiceServicer):
    """Will search a copy of the signer's audit log."""

    async def ListAuditEvents(
        self, _request: pb.ListAuditEventsRequest, _context: object
    ) -> NoReturn:
        raise NotServedError(
            "ListAuditEvents: the signer's audit log is not copied to the database yet"
        )
