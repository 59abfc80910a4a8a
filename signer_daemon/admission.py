"""The first half of the pipeline: from the bytes of a request to a reservation, or a refusal.

    parse exact bytes -> who may -> policy -> rate limit

Nothing here opens a key. What is admitted holds its charges until the second half settles them.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from signer_daemon import checks
from signer_daemon.errors import Refusal, invalid, refusal_of
from signer_daemon.freezes import Freezes
from signer_daemon.intent import Intent, ParsedTransaction, parse_transaction, read_intent
from signer_daemon.ledger import LimitExceededError, Meters, Reservation
from signer_daemon.policy import Policy, Verdict, Wallet, evaluate_message, evaluate_transaction
from signer_daemon.policy.judge import IS_TRANSACTION
from signer_daemon.policy.model import Charge
from signer_daemon.vault.derivation import IMPORTED, Identity
from signer_daemon.vault.keyring import KeyRing
from signer_daemon.vault.records import Kind, SealedRecord
from signer_daemon.vault.sessions import Scope, SessionTable
from solward.signer.v1 import errors_pb2 as reasons
from solward.signer.v1 import records_pb2
from solward.signer.v1 import signer_service_pb2 as pb

WALLETS_MAX = 12
PROOFS_MAX = 256
MESSAGE_BYTES_MAX = 65_535


@dataclass(frozen=True, slots=True)
class Key:
    """A wallet that is to sign: who it is, proven by its tag, and its key, still sealed."""

    identity: Identity
    record: SealedRecord


@dataclass(frozen=True, slots=True)
class Admitted:
    """What may be signed once its audit record is durable. `facts` are for that record."""

    keys: tuple[Key, ...]
    message: bytes
    verdicts: tuple[Verdict, ...]
    charges: tuple[Charge, ...]
    reservation: Reservation
    facts: dict[str, object]
    transaction: ParsedTransaction | None = None


class Admission:
    """Judges. Safe between threads; the policies may be replaced at any time."""

    def __init__(
        self,
        *,
        keyring: KeyRing,
        sessions: SessionTable,
        meters: Meters,
        freezes: Freezes,
        policy: Policy,
    ) -> None:
        """Take the rooms; the caller owns and closes them."""
        self.policy = policy
        self.shadow: Policy | None = None  # logged, never enforced
        self.freezes = freezes
        self._keyring = keyring
        self._sessions = sessions
        self.meters = meters

    def transaction(self, where: str, item: pb.TransactionItem, token: bytes) -> Admitted:
        """Admit one transaction. Raises Refusal naming the field, or what the rooms raise."""
        policy = self.policy
        transaction, intent = self._parse(where, item, policy)
        identities = self._identities(where, item, transaction)
        keys = tuple(
            self._key(identity, wallet, token)
            for identity, wallet in zip(identities, item.wallets, strict=True)
        )
        session, scope = self._sessions.scope(token)
        _require_scope(scope, identities, "sign_transactions", allowed=scope.transactions)
        vault = self._vault(where, item, identities)
        verdicts = tuple(_judge(policy, intent, identity, vault) for identity in identities)
        self._require(verdicts)
        charges = [charge for verdict in verdicts for charge in verdict.charges]
        if scope.lamports_max:
            lamports = sum(verdict.lamports_out_max or 0 for verdict in verdicts)
            rule = f"session/lamports_max: {scope.lamports_max}"
            charges.append(Charge(f"session/{session}", lamports, scope.lamports_max, rule))
        facts: dict[str, object] = {
            "policy": policy.digest,
            "digest": hashlib.sha256(transaction.message_bytes).hexdigest(),
            "effects": [str(effect) for effect in intent.effects],
        }
        if self.shadow is not None:
            shadows = [_judge(self.shadow, intent, identity, vault) for identity in identities]
            facts["shadow_denied"] = [each.rule for each in shadows if not each.allowed]
        return Admitted(
            keys,
            transaction.message_bytes,
            verdicts,
            tuple(charges),
            self._reserve(charges),
            facts,
            transaction,
        )

    def message(self, request: pb.SignMessageRequest) -> Admitted:
        """Admit one message that is not a transaction. Raises as `transaction` does."""
        checks.in_range("message", len(request.message), 1, MESSAGE_BYTES_MAX)
        identity = self._proven("wallet", request.wallet)
        key = self._key(identity, request.wallet, request.session_token)
        _, scope = self._sessions.scope(request.session_token)
        _require_scope(scope, [identity], "sign_messages", allowed=scope.messages)
        policy = self.policy
        verdict = evaluate_message(policy, _wallet(identity), request.message)
        self._require((verdict,))
        facts: dict[str, object] = {
            "policy": policy.digest,
            "digest": hashlib.sha256(request.message).hexdigest(),
        }
        if self.shadow is not None:
            shadow = evaluate_message(self.shadow, _wallet(identity), request.message)
            facts["shadow_denied"] = [] if shadow.allowed else [shadow.rule]
        return Admitted(
            (key,),
            request.message,
            (verdict,),
            verdict.charges,
            self._reserve(verdict.charges),
            facts,
        )

    def verdicts(
        self, policy: Policy, where: str, item: pb.TransactionItem
    ) -> tuple[Intent, list[Verdict]]:
        """Judge one transaction and no more: opens, counts and records nothing. Raises Refusal."""
        transaction, intent = self._parse(where, item, policy)
        identities = self._identities(where, item, transaction)
        vault = self._vault(where, item, identities)
        return intent, [_judge(policy, intent, identity, vault) for identity in identities]

    def _parse(
        self, where: str, item: pb.TransactionItem, policy: Policy
    ) -> tuple[ParsedTransaction, Intent]:
        if len(item.reference) > 64:
            raise invalid(f"{where}.reference", "must be at most 64 characters")
        checks.in_range(f"{where}.wallets", len(item.wallets), 1, WALLETS_MAX)
        proofs = len(item.vault_destinations)
        checks.in_range(f"{where}.vault_destinations", proofs, 0, PROOFS_MAX)
        tables = {table.address: table.addresses for table in item.lookup_tables}
        try:
            transaction = parse_transaction(item.transaction, policy.pinned_tables(tables))
        except ValueError as error:
            refusal = refusal_of(error)
            if refusal is None:
                raise
            raise refusal.at(f"{where}.transaction") from None
        return transaction, read_intent(transaction.message, policy.ata_rent_lamports_max)

    def _identities(
        self, where: str, item: pb.TransactionItem, transaction: ParsedTransaction
    ) -> list[Identity]:
        """Return who is to sign: proven by ownership tag, and asked for by the transaction."""
        identities: list[Identity] = []
        for at, wallet in enumerate(item.wallets):
            field = f"{where}.wallets[{at}]"
            identity = self._proven(field, wallet)
            if identity in identities:
                raise invalid(field, "is named twice")
            if identity.address not in transaction.message.signers:
                raise Refusal(
                    reasons.ERROR_REASON_SIGNER_NOT_REQUIRED,
                    f"{field}: the transaction does not need this wallet's signature",
                    field=field,
                )
            identities.append(identity)
        return identities

    def _proven(
        self, field: str, claim: "records_pb2.WalletRecord | records_pb2.OwnershipProof"
    ) -> Identity:
        identity = checks.wallet_identity(field, claim)
        with checks.naming(field):
            self._keyring.verify_tag(claim.ownership_tag, identity)
        return identity

    def _key(self, identity: Identity, wallet: records_pb2.WalletRecord, token: bytes) -> Key:
        """Return a wallet's sealed key if the session can open it."""
        record = checks.sealed(wallet.sealed_record, Kind.WALLET)
        with self._sessions.key(token, record.group.name):
            return Key(identity, record)

    def _vault(
        self, where: str, item: pb.TransactionItem, identities: Sequence[Identity]
    ) -> set[str]:
        proofs = [
            self._proven(f"{where}.vault_destinations[{at}]", proof)
            for at, proof in enumerate(item.vault_destinations)
        ]
        # Derived wallets only: anyone who reaches signer.sock can have a key of their own sealed,
        # and it must not become a place that `vault` lets money go to.
        return {
            proof.address for proof in (*proofs, *identities) if proof.derivation_index != IMPORTED
        }

    def _require(self, verdicts: Sequence[Verdict]) -> None:
        """Raise the refusal of the first verdict that denies, or of a freeze."""
        for verdict in verdicts:
            freeze = self.freezes.standing_in_way(verdict.address, verdict.group)
            if freeze is not None:
                message = f"frozen: {freeze}"
                raise Refusal(reasons.ERROR_REASON_FROZEN, message, rule=f"freeze/{freeze}")
            if not verdict.allowed:
                is_transaction = verdict.rule == IS_TRANSACTION
                detail = f": {verdict.detail}" if verdict.detail else ""
                raise Refusal(
                    reasons.ERROR_REASON_MESSAGE_IS_TRANSACTION
                    if is_transaction
                    else reasons.ERROR_REASON_POLICY_DENIED,
                    f"denied by {verdict.rule}{detail}",
                    rule=verdict.rule,
                )

    def _reserve(self, charges: Sequence[Charge]) -> Reservation:
        try:
            return self.meters.reserve(charges)
        except LimitExceededError as error:
            raise Refusal(
                reasons.ERROR_REASON_RATE_LIMITED,
                str(error),
                rule=error.rule,
                retry_delay_ms=error.retry_after_ms or 0,
            ) from None


def _judge(policy: Policy, intent: Intent, identity: Identity, vault: set[str]) -> Verdict:
    return evaluate_transaction(policy, intent, _wallet(identity), vault)


def _wallet(identity: Identity) -> Wallet:
    return Wallet(identity.address, identity.fingerprint, identity.derivation_index)


def _require_scope(
    scope: Scope, identities: Sequence[Identity], right: str, *, allowed: bool
) -> None:
    rule = None if allowed else f"session/{right}"
    for identity in identities:
        if not scope.index_first <= identity.derivation_index <= scope.index_last:
            rule = "session/index range"
    if rule is not None:
        raise Refusal(
            reasons.ERROR_REASON_SCOPE_DENIED, f"outside the session's scope: {rule}", rule=rule
        )
