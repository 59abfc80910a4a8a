"""The second half: signatures that another library accepts, refusals, and the audit chain."""

import json
from pathlib import Path

from solders.keypair import Keypair

from solward_client.audit import verify_log
from solward_client.demo.claims import refused
from solward_client.demo.samples import Transfer, is_signed
from solward_client.demo.scene import Scene, Vault
from solward_client.errors import SolwardError
from solward_client.signing import Session, Transaction

_MESSAGE = b"Solward signs messages that are no transactions."
_SIGNATURES_PER_MINUTE = 100
_SHORT_PASSWORD = "elevenchars"  # noqa: S105 - one character too few is its point


def sign(scene: Scene, vault: Vault, session: Session) -> None:
    """Sign a v0 and a v1 transaction and a message, and check them with OpenSSL."""
    wallet, blockhash = vault.sample, scene.chain.blockhash()
    for version in (0, 1):
        sample = Transfer(version, wallet.address, vault.source.address, 1, blockhash)
        signed = session.sign(Transaction(sample.wire, [wallet.id]))
        accepted = is_signed(wallet.address, signed.signatures[0], sample.message)
        scene.claims.check(
            f"OpenSSL accepts the signature of a v{version} transaction",
            holds=accepted and signed.is_complete,
            seen=signed.transaction_signature,
        )
    answer = session.sign_message(wallet.id, _MESSAGE)
    scene.claims.check(
        "OpenSSL accepts the signature of a message",
        holds=is_signed(wallet.address, answer.signature, _MESSAGE),
        seen=f"by {answer.address}",
    )


def refuse(scene: Scene, vault: Vault, session: Session) -> None:
    """Ask for what must not be given."""
    claims, wallet, blockhash = scene.claims, vault.sample, scene.chain.blockhash()
    foreign = Transfer(0, wallet.address, str(Keypair().pubkey()), 1, blockhash)
    answer = refused(lambda: session.sign(Transaction(foreign.wire, [wallet.id])))
    claims.refusal("a transfer to a foreign address is refused", "POLICY_DENIED", answer)
    rule = answer.rule if isinstance(answer, SolwardError) else ""
    claims.check(
        "the refusal names the rule", holds=rule.endswith("destinations: vault"), seen=rule
    )
    answer = refused(lambda: scene.solward.signing.open_session(vault.master, scene.password[1:]))
    claims.refusal("a wrong password is refused", "RECORD_REJECTED", answer)
    answer = refused(lambda: scene.solward.masters.create(_SHORT_PASSWORD))
    claims.refusal(
        f"a password of {len(_SHORT_PASSWORD)} characters is refused", "PASSWORD_RULES", answer
    )
    _exceed_the_rate(scene, vault, session, blockhash)


def _exceed_the_rate(scene: Scene, vault: Vault, session: Session, blockhash: str) -> None:
    wallet, count = vault.limited, _SIGNATURES_PER_MINUTE + 1
    batch = [
        Transaction(
            Transfer(0, wallet.address, vault.source.address, 1 + at, blockhash).wire, [wallet.id]
        )
        for at in range(count)
    ]
    *others, last = session.sign_batch(batch)
    scene.claims.check(
        f"{_SIGNATURES_PER_MINUTE} signatures in a minute are given",
        holds=not any(isinstance(result, SolwardError) for result in others),
        seen=f"{len(others)} of {count} in one batch",
    )
    scene.claims.refusal(f"signature {count} in a minute is refused", "RATE_LIMITED", last)


def audit(scene: Scene, signer_config: Path, log: Path) -> tuple[int, bool]:
    """Verify the audit chain; return how many records it has and whether it is whole."""
    found = verify_log(signer_config)
    scene.claims.check(
        "the audit chain is whole",
        holds=found.is_whole,
        seen=f"{found.record_count:,} records" if found.is_whole else found.error,
    )
    recorded = {
        json.loads(line.partition("\t")[0]).get("reason")
        for line in log.read_text(encoding="ascii").splitlines()
    }
    missing = sorted(set(scene.claims.refused) - recorded)
    scene.claims.check(
        "every refusal is in the audit log",
        holds=not missing,
        seen=f"missing: {', '.join(missing)}" if missing else ", ".join(scene.claims.refused),
    )
    return found.record_count, found.is_whole
