"""The signer's servicer by itself, with nothing behind it but what a claim needs."""

import threading
from collections.abc import Iterator
from typing import Any, cast

import grpc
import grpc_testing
import pytest

from signer_daemon.errors import Refusal
from signer_daemon.ledger import AuditUnavailableError, SystemClock
from signer_daemon.signer_service import FOLLOWERS_MAX, SignerService
from signer_daemon.trail import Trail
from solward.signer.v1 import signer_service_pb2 as pb

SERVICE = pb.DESCRIPTOR.services_by_name["SignerService"]


class Sessions:
    """Remembers which sessions were closed."""

    def __init__(self) -> None:
        self.closed: list[bytes] = []

    def close(self, token: bytes) -> None:
        """Close one."""
        self.closed.append(token)


class Custody:
    """Only its sessions are asked for."""

    def __init__(self) -> None:
        self.sessions = Sessions()


def record(number: int) -> str:
    """A record as it stands in the log."""
    return f'{{"seq":{number}}}\t{"0" * 64}'


class FullDisk:
    """A log that takes nothing, and is read for ever."""

    def append(self, _event: object) -> int:
        """Refuse."""
        raise AuditUnavailableError("the audit log cannot be written: No space left on device")

    def read(self, first: int, _limit: int) -> list[str]:
        """Hold one record for each number."""
        return [record(first)]

    def wait_beyond(self, _count: int, _timeout_s: float) -> bool:
        """Say that there is more."""
        return True


@pytest.fixture
def custody() -> Custody:
    """What the servicer closes sessions in."""
    return Custody()


@pytest.fixture
def service(custody: Custody) -> SignerService:
    """The servicer on a full disk."""
    trail = Trail(cast(Any, FullDisk()), "signer.sock")
    return SignerService(
        cast(Any, custody),
        cast(Any, None),
        trail,
        SystemClock(),
        boot_id=bytes(16),
        version="0",
        stopping=threading.Event(),
    )


@pytest.fixture
def server(service: SignerService) -> grpc_testing.Server:
    """A server that is not on any socket."""
    time = grpc_testing.strict_real_time()
    return grpc_testing.server_from_dictionary({SERVICE: service}, time)


def test_session_is_wiped_even_if_the_log_cannot_be_written(
    server: grpc_testing.Server, custody: Custody
) -> None:
    """CloseSession fails when its record cannot be written, but the keys are gone all the same."""
    call = server.invoke_unary_unary(
        SERVICE.methods_by_name["CloseSession"],
        (),
        pb.CloseSessionRequest(session_token=b"token"),
        None,
    )
    _, _, code, _ = call.termination()
    assert grpc.StatusCode.OK != code
    assert [b"token"] == custody.sessions.closed


def test_followers_of_the_log_are_bounded_and_give_their_place_back(
    service: SignerService,
) -> None:
    """No more streams follow the log than leave threads to sign; one that ends makes room."""

    class Context:
        def is_active(self) -> bool:
            return True

    def follow() -> Iterator[pb.StreamAuditRecordsResponse]:
        request = pb.StreamAuditRecordsRequest(follow=True)
        return service.StreamAuditRecords(request, cast(Any, Context()))

    streams = [follow() for _ in range(FOLLOWERS_MAX)]
    assert [record(0)] * FOLLOWERS_MAX == [next(stream).records[0] for stream in streams]
    with pytest.raises(Refusal) as caught:
        next(follow())
    assert "STREAM_LIMIT" == caught.value.name
    cast(Any, streams[0]).close()
    assert record(0) == next(follow()).records[0]
