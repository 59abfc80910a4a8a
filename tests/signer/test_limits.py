"""What the signer does not do at once: it says so, says when to come again, and goes on."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest

from solward.signer.v1 import signer_service_pb2 as pb
from tests.signer.client import VERIFY, Client, connected
from tests.signer.house import House
from tests.signer.process import signer_process
from tests.signer.refusals import Refused, read, refusal_of

EXHAUSTED = grpc.StatusCode.RESOURCE_EXHAUSTED
CALLERS = 16


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    """A client of a signer with one slot for scrypt, a short patience and few sessions."""
    with signer_process() as signer:
        signer.configure(limits={"kdf_concurrency": 1, "kdf_wait_ms_max": 1, "sessions_max": 3})
        signer.start()
        with connected(signer) as connection:
            yield connection


@pytest.fixture(scope="module")
def house(client: Client) -> House:
    """A house with two of the three sessions."""
    return House.built(client)


def test_more_passwords_than_slots_are_told_to_wait(house: House) -> None:
    """Of 16 passwords at once at least one is proven; the others hear KDF_BUSY and when to retry,
    and no caller hears anything else.
    """
    client = house.client
    wallets = house.wallets[:1]
    requests = [
        client.open_session(wallets, house.password, purpose=VERIFY) for _ in range(CALLERS)
    ]

    def send(request: pb.OpenSessionRequest) -> Refused | None:
        try:
            client.signer.OpenSession(request)
        except grpc.RpcError as error:
            return read(error)
        return None

    with ThreadPoolExecutor(CALLERS) as threads:
        answers = list(threads.map(send, requests))
    refused = [answer for answer in answers if answer is not None]
    assert 0 < len(refused) < CALLERS
    assert {("KDF_BUSY", EXHAUSTED)} == {(each.reason, each.code) for each in refused}
    assert all(each.retry_delay_ms > 0 for each in refused)


def test_more_sessions_than_there_is_room_for_are_refused(house: House) -> None:
    """The session after the last is refused, and there is room again when one has been closed."""
    client, wallet = house.client, house.wallets[0]
    third = client.session(wallet, house.password)
    request = client.open_session([wallet], house.password)
    refused = refusal_of(lambda: client.signer.OpenSession(request))
    assert ("SESSION_LIMIT", EXHAUSTED) == (refused.reason, refused.code)
    client.signer.CloseSession(pb.CloseSessionRequest(session_token=third))
    assert client.session(wallet, house.password)
