"""Freezes, policy reload, shadow policies, revocation: the operator's hands on a running signer."""

from collections.abc import Callable

import pytest

from solward.signer.v1 import admin_service_pb2 as ap
from solward.signer.v1 import records_pb2 as rp
from tests.admin.conftest import PASSWORD, rewrite_policy
from tests.signer.client import Client, connected, fresh_id, payment, sign_message
from tests.signer.process import SignerProcess, StartRefused
from tests.signer.refusals import refusal_of


@pytest.fixture
def wallets(client: Client) -> list[rp.WalletRecord]:
    """Three wallets of one master."""
    master = client.signer.CreateMasterWallet(client.create_master(PASSWORD)).master
    return client.wallets(master, PASSWORD, 3)


def freeze(**target: object) -> ap.FreezeRequest:
    """Freeze a target."""
    return ap.FreezeRequest(request_id=fresh_id(), **target)  # type: ignore[arg-type] # one of three


def unfreeze(**target: object) -> ap.UnfreezeRequest:
    """Lift a freeze."""
    return ap.UnfreezeRequest(request_id=fresh_id(), **target)  # type: ignore[arg-type] # as above


@pytest.mark.parametrize("kind", ["address", "group", "all"])
def test_freeze_stops_signing_across_kill_9_until_lifted(
    signer: SignerProcess, client: Client, wallets: list[rp.WalletRecord], kind: str
) -> None:
    """A frozen wallet, group or all signs nothing, not even after kill -9; lifted, it does."""
    target = {"address": wallets[0].address, "group": "desk", "all": True}[kind]
    item = payment(wallets[0], wallets[1])
    client.admin.Freeze(freeze(**{kind: target}))
    (result,) = client.sign(client.session(wallets[0], PASSWORD), [item])
    assert ("no", True) == (result.error.signed, result.error.rule.startswith("freeze/"))
    signer.kill()
    signer.start()
    with connected(signer) as again:
        token = again.session(wallets[0], PASSWORD)
        assert result.error.rule == again.sign(token, [item])[0].error.rule
        message = sign_message(token, wallets[0], b"hello")
        assert "FROZEN" == refusal_of(lambda: again.signer.SignMessage(message)).reason
        status = again.admin.GetStatus(ap.GetStatusRequest())
        assert [result.error.rule.removeprefix("freeze/")] == list(status.freezes)
        again.admin.Unfreeze(unfreeze(**{kind: target}))
        assert again.sign(token, [item])[0].signed.is_complete


def test_freeze_of_one_wallet_leaves_the_others(
    client: Client, wallets: list[rp.WalletRecord]
) -> None:
    """A freeze is as wide as its target and no wider."""
    client.admin.Freeze(freeze(address=wallets[0].address))
    token = client.session(wallets[0], PASSWORD)
    frozen, free = client.sign(
        token, [payment(wallets[0], wallets[1]), payment(wallets[1], wallets[0])]
    )
    assert ("error", "signed") == (frozen.WhichOneof("outcome"), free.WhichOneof("outcome"))


def test_freeze_needs_a_target(client: Client) -> None:
    """A freeze of nothing is refused: it would look like one in force."""
    calls: list[Callable[[], object]] = [
        lambda: client.admin.Freeze(freeze()),
        lambda: client.admin.Freeze(freeze(all=False)),
        lambda: client.admin.Unfreeze(unfreeze()),
    ]
    assert [("INVALID_FIELD", "target")] * 3 == [
        (refused.reason, refused.field) for refused in map(refusal_of, calls)
    ]


def test_revoked_sessions_sign_no_more(client: Client, wallets: list[rp.WalletRecord]) -> None:
    """RevokeSessions ends every session at once and says how many."""
    tokens = [client.session(wallets[0], PASSWORD) for _ in range(3)]
    request = ap.RevokeSessionsRequest(request_id=fresh_id())
    assert 3 == client.admin.RevokeSessions(request).revoked_count
    item = payment(wallets[0], wallets[1])
    assert {16} == {client.sign(token, [item])[0].error.code for token in tokens}


def reload_policy(*, shadow: bool = False) -> ap.ReloadPolicyRequest:
    """Ask for the policy file to be read again."""
    return ap.ReloadPolicyRequest(request_id=fresh_id(), shadow=shadow)


def test_reloaded_policy_decides_from_the_next_request_on(
    signer: SignerProcess, client: Client, wallets: list[rp.WalletRecord]
) -> None:
    """A policy with a higher version takes the old one's place; the next record names it."""
    token, item = client.session(wallets[0], PASSWORD), payment(wallets[0], wallets[1], 1000)
    assert client.sign(token, [item])[0].signed.is_complete
    rewrite_policy(signer.policy, 8, **{"max = 5_000_000": "max = 5_999"})
    answer = client.admin.ReloadPolicy(reload_policy())
    assert 8 == answer.policy_version
    assert "desk/lamports_per_transaction_max: 5999" == client.sign(token, [item])[0].error.rule
    last = signer.audit_log.read_text().splitlines()[-1]
    assert answer.policy_digest in last


@pytest.mark.parametrize(
    ("version", "spoilt", "said"),
    [(7, "", "must rise"), (6, "", "must rise"), (8, "\nnonsense = 1\n", "nonsense")],
)
def test_bad_policy_changes_nothing_and_says_why(
    signer: SignerProcess,
    client: Client,
    wallets: list[rp.WalletRecord],
    version: int,
    spoilt: str,
    said: str,
) -> None:
    """A file that does not rise in version, or is not a policy, leaves the one in force."""
    before = client.admin.GetStatus(ap.GetStatusRequest()).policy_digest
    rewrite_policy(signer.policy, version)
    signer.policy.write_text(spoilt + signer.policy.read_text())
    refused = refusal_of(lambda: client.admin.ReloadPolicy(reload_policy()))
    assert ("POLICY_REJECTED", True) == (refused.reason, said in refused.message)
    assert before == client.admin.GetStatus(ap.GetStatusRequest()).policy_digest
    token = client.session(wallets[0], PASSWORD)
    assert client.sign(token, [payment(wallets[0], wallets[1])])[0].signed.is_complete


def test_older_policy_is_refused_at_start_too(signer: SignerProcess, client: Client) -> None:
    """Whoever puts an old policy file back finds the signer refusing to start on it."""
    rewrite_policy(signer.policy, 9)
    client.admin.ReloadPolicy(reload_policy())
    signer.stop()
    signer.policy.write_text(signer.policy.read_text().replace("version = 9", "version = 8"))
    with pytest.raises(StartRefused, match="version is 8, but 9 was in force"):
        signer.start()


def test_shadow_policy_is_logged_and_denies_nothing(
    signer: SignerProcess, client: Client, wallets: list[rp.WalletRecord]
) -> None:
    """A shadow policy that would deny leaves the signature alone and its rule in the record."""
    shadow = signer.policy.with_name("next.toml")
    shadow.write_text(signer.policy.read_text())
    rewrite_policy(shadow, 8, **{"max = 5_000_000": "max = 1"})
    signer.stop()
    signer.config.write_text(f'shadow_policy_file = "{shadow}"\n' + signer.config.read_text())
    signer.start()
    with connected(signer) as again:
        again.admin.ReloadPolicy(reload_policy(shadow=True))
        token = again.session(wallets[0], PASSWORD)
        assert again.sign(token, [payment(wallets[0], wallets[1])])[0].signed.is_complete
    last = signer.audit_log.read_text().splitlines()[-1]
    assert '"shadow_denied":["desk/lamports_per_transaction_max: 1"]' in last
