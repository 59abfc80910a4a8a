"""The thin client: what it seals, what it repeats, how it walks and what it leaves behind."""

from uuid import uuid4

import grpc
import pytest

from solward.gateway.v1.signing_service_pb2 import SessionScope
from solward_client import Solward, SolwardError, Transaction, WalletFilter
from solward_client.channel import open_channel
from solward_client.errors import LimitedError, SignerKeyChangedError, UnavailableError
from tests.client.fake_gateway import MASTER, TOKEN, FakeGateway, wallet
from tests.client.fake_server import binding

PASSWORD = "correct horse battery"


def test_a_masters_password_is_sealed_to_its_request(
    gateway: FakeGateway, solward: Solward
) -> None:
    """CreateMasterWallet's password is bound to the request id and the word count."""
    request_id = str(uuid4())

    solward.masters.create(PASSWORD, word_count=12, request_id=request_id)

    expected = binding("password", "CreateMasterWallet", request_id, "12")
    assert [(PASSWORD.encode(), expected)] == gateway.secrets


def test_derivation_binds_its_password_to_the_range_it_asks_for(
    gateway: FakeGateway, solward: Solward
) -> None:
    """Without a first index the range begins after the highest stored one, and the seal says so."""
    seen: list[tuple[int, int]] = []

    done = solward.wallets.derive(MASTER, 4, PASSWORD, progress=lambda n, of: seen.append((n, of)))

    # Three are counted, yet indices 3 and 4 are stored as well: the next free one is 5.
    expected = binding("password", "DeriveWallets", MASTER.fingerprint, "5", "4")
    assert [(PASSWORD.encode(), expected)] == gateway.secrets
    assert (5, 4, 4) == (done.first_index, done.count, done.created_count)
    assert [(2, 4), (4, 4), (4, 4)] == seen


def test_a_session_is_bound_to_the_distinct_key_groups_in_order(
    gateway: FakeGateway, solward: Solward
) -> None:
    """Wallets of two key groups give both groups once, ascending, however they are listed."""
    with solward.signing.session([wallet(1), wallet(0), wallet(3)], PASSWORD, ttl_seconds=60):
        pass

    expected = binding("password", "OpenSession", "PURPOSE_SIGN", "60", "group-0", "group-1")
    assert [(PASSWORD.encode(), expected)] == gateway.secrets


def test_a_sessions_scope_is_part_of_the_binding(gateway: FakeGateway, solward: Solward) -> None:
    """A gateway cannot widen a session: its password is bound to the scope that was asked for."""
    scope = SessionScope(index_first=5, index_last=9, sign_transactions=True, lamports_max=7)

    with solward.signing.session(MASTER, PASSWORD, scope=scope):
        pass

    fields = ("PURPOSE_SIGN", "0", "5,9,1,0,7,0", MASTER.key_group)
    expected = binding("password", "OpenSession", *fields)
    assert [(PASSWORD.encode(), expected)] == gateway.secrets


def test_an_import_seals_key_and_password_apart(gateway: FakeGateway, solward: Solward) -> None:
    """A private key and its password have bindings of their own purposes."""
    request_id = str(uuid4())

    solward.wallets.import_key("Address", b"k" * 64, PASSWORD, request_id=request_id)

    rest = ("SealPrivateKey", request_id, "Address")
    assert [
        (b"k" * 64, binding("private_key", *rest)),
        (PASSWORD.encode(), binding("password", *rest)),
    ] == gateway.secrets


def test_deleting_proves_the_password_for_the_wallets_key_group(
    gateway: FakeGateway, solward: Solward
) -> None:
    """DeleteWallet's password is bound to a VERIFY session of the wallet's group."""
    solward.wallets.delete(wallet(1).id, PASSWORD)

    expected = binding("password", "OpenSession", "PURPOSE_VERIFY", "0", "group-1")
    assert [(PASSWORD.encode(), expected)] == gateway.secrets


def test_another_signer_key_than_the_pinned_one_stops_the_call(gateway: FakeGateway) -> None:
    """With a pin, a gateway that names a key of its own gets neither password nor request."""
    with (
        Solward.connect(gateway.target, signer_key=bytes(32)) as solward,
        pytest.raises(SignerKeyChangedError),
    ):
        solward.masters.create(PASSWORD)

    assert [] == gateway.calls


def test_the_pinned_signer_key_is_accepted(gateway: FakeGateway) -> None:
    """The right pin changes nothing."""
    pin = bytes(gateway.box_key.public_key)

    with Solward.connect(gateway.target, signer_key=pin) as solward:
        assert solward.masters.create(PASSWORD).id == MASTER.id


def test_a_read_is_repeated_while_unavailable(gateway: FakeGateway, solward: Solward) -> None:
    """Three UNAVAILABLE answers to a read are forgiven, the fourth is not."""
    unavailable = (grpc.StatusCode.UNAVAILABLE, "no database")
    gateway.fail["GetMasterWallet"] = [unavailable] * 3

    assert MASTER == solward.masters.get(MASTER.id)
    gateway.fail["GetMasterWallet"] = [unavailable] * 4
    with pytest.raises(UnavailableError):
        solward.masters.get(MASTER.id)


@pytest.mark.parametrize("code", [grpc.StatusCode.INTERNAL, grpc.StatusCode.RESOURCE_EXHAUSTED])
def test_a_read_is_repeated_for_no_other_status(
    gateway: FakeGateway, solward: Solward, code: grpc.StatusCode
) -> None:
    """What is not UNAVAILABLE is said at once."""
    gateway.fail["GetMasterWallet"] = [(code, "no")]

    with pytest.raises(SolwardError):
        solward.masters.get(MASTER.id)
    assert ["GetMasterWallet"] == gateway.calls


def test_a_write_is_never_repeated(gateway: FakeGateway, solward: Solward) -> None:
    """An UNAVAILABLE write may have happened, so it is sent once."""
    gateway.fail["CreateMasterWallet"] = [(grpc.StatusCode.UNAVAILABLE, "gone")]

    with pytest.raises(UnavailableError):
        solward.masters.create(PASSWORD)
    assert ["CreateMasterWallet"] == gateway.calls


def test_lists_walk_through_every_page(gateway: FakeGateway, solward: Solward) -> None:
    """Two wallets a page: five wallets come in three calls, in order and each once."""
    found = list(solward.wallets.list(WalletFilter(), page_size=2))

    assert [wallet(index) for index in range(5)] == found
    assert ["ListWallets"] * 3 == gateway.calls


def test_a_batch_gives_each_item_its_own_result(gateway: FakeGateway, solward: Solward) -> None:
    """A refused item is a value among the signed ones, with its reason and when to try again."""
    items = [Transaction(bytes([n]), [wallet(0).id]) for n in range(3)]

    results = solward.signing.resume(TOKEN).sign_batch(items)

    assert isinstance(results[2], LimitedError)
    assert ("RATE_LIMITED", 1500) == (results[2].reason, results[2].retry_delay_ms)
    assert [False, False, True] == [isinstance(result, SolwardError) for result in results]


def test_a_session_is_closed_when_its_block_fails(gateway: FakeGateway, solward: Solward) -> None:
    """An exception inside the block still has the signer wipe the keys, and goes on."""
    with (
        pytest.raises(ZeroDivisionError),
        solward.signing.session(MASTER, PASSWORD),
    ):
        raise ZeroDivisionError

    assert ["OpenSession", "CloseSession"] == gateway.calls


def test_a_sessions_repr_hides_its_token(solward: Solward) -> None:
    """Neither the bytes nor their hex or base64 stand in what a log would print."""
    shown = repr(solward.signing.resume(TOKEN))

    assert "Session(expire_time=None)" == shown


def test_a_broken_watch_is_opened_again(gateway: FakeGateway, solward: Solward) -> None:
    """A gateway that restarts during a watch does not end it."""
    states = [report.state for report in solward.distributions.watch(str(uuid4()))]

    assert [2, 2, 4] == states


def test_tcp_without_tls_is_refused() -> None:
    """A session's token does not go over a network in clear."""
    with pytest.raises(ValueError, match="needs TLS"):
        open_channel("gateway.example:7443")
