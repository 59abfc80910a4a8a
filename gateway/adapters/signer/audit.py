"""The signer's audit log over signer.sock."""

from collections.abc import AsyncGenerator, Sequence
from typing import Any, Final

import grpc
import msgspec

from gateway.adapters.signer.refusals import to_gateway_error
from gateway.domain.audit import AuditRecord
from gateway.domain.errors import SignerUnavailableError
from solward.signer.v1 import signer_service_pb2 as pb
from solward.signer.v1 import signer_service_pb2_grpc as pb_grpc

_MAC_CHARACTERS: Final = 64


class _Record(msgspec.Struct, frozen=True):
    """What is searched for in a record; whatever else it has is kept as it stands."""

    seq: int
    time_ms: int
    event: str = ""
    caller: str = ""
    request_id: str = ""
    outcome: str = ""
    reason: str = ""
    address: str = ""
    addresses: tuple[str, ...] = ()


_decoder: Final = msgspec.json.Decoder(_Record)


class SignerAuditFeed:
    """gateway.domain.audit.AuditFeed."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub: pb_grpc.SignerServiceAsyncStub = pb_grpc.SignerServiceStub(channel)

    async def records(
        self, first_sequence: int, *, follow: bool
    ) -> AsyncGenerator[Sequence[AuditRecord], None]:
        """Yields records in order, in chunks; with `follow` it never ends."""
        request = pb.StreamAuditRecordsRequest(first_sequence=first_sequence, follow=follow)
        call: Any = self._stub.StreamAuditRecords(request)
        try:
            async for response in call:
                yield [parse(line) for line in response.records]
        except grpc.aio.AioRpcError as error:
            raise to_gateway_error(error) from error
        finally:
            call.cancel()


def parse(line: str) -> AuditRecord:
    """Reads one line of the log. Raises SignerUnavailableError for what is none."""
    text, tab, mac = line.rpartition("\t")
    try:
        found = _decoder.decode(text)
    except msgspec.DecodeError:
        tab = ""
        found = _Record(0, 0)
    if not tab or len(mac) != _MAC_CHARACTERS:
        raise SignerUnavailableError("the signer's answer is no audit record")
    addresses = {*found.addresses, found.address} - {""}
    return AuditRecord(
        found.seq,
        found.time_ms,
        found.event,
        found.caller,
        found.request_id,
        found.outcome,
        found.reason,
        tuple(sorted(addresses)),
        text,
        mac,
    )
