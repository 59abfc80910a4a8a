"""What a session may do, how long it lives, and how slow guessing its password is."""

import time
from functools import partial

import pytest

from solward.signer.v1 import records_pb2 as rp
from solward.signer.v1 import signer_service_pb2 as pb
from tests.admin.conftest import PASSWORD
from tests.signer.client import VERIFY, Client, connected, payment, sign_message
from tests.signer.known import Record
from tests.signer.process import SignerProcess
from tests.signer.refusals import refusal_of


@pytest.fixture
def wallets(client: Client) -> list[rp.WalletRecord]:
    """Ten wallets of one master."""
    master = client.signer.CreateMasterWallet(client.create_master(PASSWORD)).master
    return client.wallets(master, PASSWORD, 10)


def scoped(
    client: Client, wallet: rp.WalletRecord, scope: pb.SessionScope, ttl_seconds: int = 600
) -> pb.OpenSessionRequest:
    """Ask for a narrowed session."""
    request = client.open_session([wallet], PASSWORD, ttl_seconds=ttl_seconds)
    parts = (
        scope.index_first,
        scope.index_last,
        scope.sign_transactions,
        scope.sign_messages,
        scope.lamports_max,
        scope.idle_ttl_seconds,
    )
    group = Record.parse(wallet.sealed_record).key_group
    bound = ("PURPOSE_SIGN", ttl_seconds, ",".join(str(int(part)) for part in parts), group)
    request.scope.CopyFrom(scope)
    request.sealed_password = client.seal(PASSWORD, "OpenSession", *bound)
    return request


def test_scope_narrows_wallets_calls_and_spend(
    client: Client, wallets: list[rp.WalletRecord]
) -> None:
    """A session for wallets 2 to 4, transactions only and 10,000 lamports does that and no more."""
    scope = pb.SessionScope(
        index_first=2, index_last=4, sign_transactions=True, lamports_max=2 * 6_000
    )
    token = client.signer.OpenSession(scoped(client, wallets[0], scope)).session_token
    inside = payment(wallets[2], wallets[0], 1_000)
    results = client.sign(token, [inside, payment(wallets[5], wallets[0]), inside, inside])
    assert [
        "",
        "session/index range",
        "",
        "session/lamports_max: 12000",
    ] == [result.error.rule for result in results]
    message = sign_message(token, wallets[2], b"hello")
    refused = refusal_of(lambda: client.signer.SignMessage(message))
    assert ("SCOPE_DENIED", "session/sign_messages") == (refused.reason, refused.rule)


def test_scope_is_bound_to_the_password(client: Client, wallets: list[rp.WalletRecord]) -> None:
    """A gateway that widens the scope on the way, or drops it, opens nothing."""
    scope = pb.SessionScope(index_first=2, index_last=2, sign_transactions=True)
    widened = scoped(client, wallets[0], scope)
    widened.scope.index_last = 9
    dropped = scoped(client, wallets[0], scope)
    dropped.ClearField("scope")
    assert ["CREDENTIAL_REJECTED"] * 2 == [
        refusal_of(partial(client.signer.OpenSession, request)).reason
        for request in (widened, dropped)
    ]
    assert client.signer.OpenSession(scoped(client, wallets[0], scope)).session_token


def test_idle_session_ends_and_a_used_one_lives(
    client: Client, wallets: list[rp.WalletRecord]
) -> None:
    """Idle for its second, a session is gone; used within it, it lives on to its TTL."""
    scope = pb.SessionScope(index_last=9, sign_messages=True, idle_ttl_seconds=1)
    idle, used = (
        client.signer.OpenSession(scoped(client, wallets[0], scope)).session_token for _ in range(2)
    )
    for _ in range(6):
        client.signer.SignMessage(sign_message(used, wallets[0], b"still here"))
        time.sleep(0.3)
    refused = refusal_of(
        lambda: client.signer.SignMessage(sign_message(idle, wallets[0], b"hello"))
    )
    assert "SESSION_INVALID" == refused.reason


def test_guessing_is_slow_and_stays_slow_across_kill_9(
    signer: SignerProcess, client: Client, wallets: list[rp.WalletRecord]
) -> None:
    """After ten wrong passwords a minute not even the right one is tried, also after kill -9; other
    key groups are not concerned.
    """

    def guess(connection: Client, password: str) -> str:
        request = connection.open_session([wallets[0]], password, purpose=VERIFY)
        return refusal_of(lambda: connection.signer.OpenSession(request)).reason

    assert ["RECORD_REJECTED"] * 10 == [guess(client, f"guess number {n:04}") for n in range(10)]
    assert "PASSWORD_ATTEMPTS" == guess(client, PASSWORD)
    signer.kill()
    signer.start()
    with connected(signer) as again:
        request = again.open_session([wallets[0]], PASSWORD, purpose=VERIFY)
        refused = refusal_of(lambda: again.signer.OpenSession(request))
        assert ("PASSWORD_ATTEMPTS", 60_000) == (refused.reason, refused.retry_delay_ms)
        other = again.signer.CreateMasterWallet(again.create_master(PASSWORD)).master
        assert 1 == len(again.wallets(other, PASSWORD, 1))
