"""The signer's pipeline. Every signature goes this way and there is no other:

    parse exact bytes -> who may -> policy -> rate limit -> audit record durable
        -> open key -> sign -> wipe -> answer

A batch walks it together, so that one fdatasync serves all of its items; each item still gets its
own verdict, in order, and is signed by all its wallets or by none.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from signer_daemon import checks
from signer_daemon.errors import Refusal, invalid, refusal_of
from signer_daemon.intent import Intent, ParsedTransaction, parse_transaction, read_intent
from signer_daemon.ledger import LimitExceededError, Meters, Reservation
from signer_daemon.ledger.meters import charges_field
from signer_daemon.policy import Policy, Verdict, Wallet, evaluate_message, evaluate_transaction
from signer_daemon.policy.judge import IS_TRANSACTION
from signer_daemon.trail import Trail
from signer_daemon.vault.derivation import IMPORTED, Identity, KeyPair
from signer_daemon.vault.keyring import KeyRing
from signer_daemon.vault.memory import PagePool
from signer_daemon.vault.records import Kind, SealedRecord
from signer_daemon.vault.sessions import SessionTable
from solward.signer.v1 import errors_pb2 as reasons
from solward.signer.v1 import records_pb2
from solward.signer.v1 import signer_service_pb2 as pb

ITEMS_MAX = 500
WALLETS_MAX = 12
PROOFS_MAX = 256
MESSAGE_BYTES_MAX = 65_535


@dataclass(frozen=True, slots=True)
class _Key:
    """A wallet that is to sign: who it is, proven by its tag, and its key, still sealed."""

    identity: Identity
    record: SealedRecord


@dataclass(frozen=True, slots=True)
class _Case:
    """An item that may be signed once its audit record is durable."""

    keys: tuple[_Key, ...]
    message: bytes
    event: dict[str, object]
    reservation: Reservation
    transaction: ParsedTransaction | None = None


class Pipeline:
    """Judges and signs. Safe between threads; `policy` may be replaced at any time."""

    def __init__(
        self,
        *,
        pool: PagePool,
        keyring: KeyRing,
        sessions: SessionTable,
        meters: Meters,
        policy: Policy,
    ) -> None:
        """Take the rooms; the caller owns and closes them."""
        self.policy = policy
        self.signature_count = 0
        self._pool = pool
        self._keyring = keyring
        self._sessions = sessions
        self._meters = meters

    def sign_transactions(
        self, request: pb.SignTransactionsRequest, trail: Trail
    ) -> pb.SignTransactionsResponse:
        """Sign a batch. Raises Refusal only where no item can have a result of its own."""
        request_id = checks.request_id(request.request_id)
        checks.in_range("items", len(request.items), 1, ITEMS_MAX)
        cases: list[_Case | Refusal] = []
        try:
            for at, item in enumerate(request.items):
                cases.append(
                    self._admitted(trail, request_id, f"items[{at}]", item, request.session_token)
                )
            trail.log.append_many([self._event(trail, request_id, case) for case in cases])
            results = [
                self._result(trail, request_id, item.reference, case, request.session_token)
                for item, case in zip(request.items, cases, strict=True)
            ]
        finally:
            for case in cases:
                if isinstance(case, _Case):
                    case.reservation.close()
        return pb.SignTransactionsResponse(results=results)

    def sign_message(self, request: pb.SignMessageRequest, trail: Trail) -> pb.SignMessageResponse:
        """Sign one message that is not a transaction. Raises Refusal."""
        request_id = checks.request_id(request.request_id)
        checks.in_range("message", len(request.message), 1, MESSAGE_BYTES_MAX)
        address = request.wallet.address[:64]
        with trail.call("sign_message", request_id, addresses=[address]) as call:
            key = self._key(
                self._proven("wallet", request.wallet), request.wallet, request.session_token
            )
            verdict = evaluate_message(self.policy, _wallet(key.identity), request.message)
            digest = hashlib.sha256(request.message).hexdigest()
            call.note(
                digest=digest,
                rules=[verdict.rule],
                groups=[verdict.group],
                policy=self.policy.digest,
            )
            _require(verdict)
            with self._reserve((verdict,)) as reservation:
                call.note(charges=charges_field(verdict.charges))
                call.commit()
                reservation.keep()
                case = _Case((key,), request.message, {}, reservation)
                signature = self._sign(case, request.session_token)[key.identity.address]
        return pb.SignMessageResponse(signature=signature)

    def check(self, request: pb.CheckPolicyRequest) -> pb.CheckPolicyResponse:
        """Say what the policy would answer. Opens, signs, counts and records nothing."""
        item = request.item
        transaction, intent = self._parse("item", item)
        identities = self._identities("item", item, transaction)
        verdicts = self._verdicts("item", item, intent, identities)
        left = [
            min((self._meters.available(charge) for charge in verdict.charges[:1]), default=0)
            for verdict in verdicts
        ]
        fits = all(
            self._meters.available(charge) >= charge.amount
            for verdict in verdicts
            for charge in verdict.charges
        )
        return pb.CheckPolicyResponse(
            allowed=fits and all(verdict.allowed for verdict in verdicts),
            verdicts=[
                pb.PolicyVerdict(
                    address=verdict.address,
                    allowed=verdict.allowed,
                    group=verdict.group,
                    rule=verdict.rule,
                    detail=verdict.detail,
                    outflow_lamports_max=min(verdict.lamports_out_max or 0, 2**64 - 1),
                    signatures_available=available,
                )
                for verdict, available in zip(verdicts, left, strict=True)
            ],
            effects=[str(effect) for effect in intent.effects],
        )

    def _admitted(
        self, trail: Trail, request_id: str, where: str, item: pb.TransactionItem, token: bytes
    ) -> _Case | Refusal:
        try:
            return self._admit(trail, request_id, where, item, token)
        except Exception as error:
            refusal = refusal_of(error)
            if refusal is None:
                raise
            return refusal if refusal.field else refusal.at(where)

    def _admit(
        self, trail: Trail, request_id: str, where: str, item: pb.TransactionItem, token: bytes
    ) -> _Case:
        """Take one item from its bytes to a reservation, in the order of the pipeline."""
        transaction, intent = self._parse(where, item)
        identities = self._identities(where, item, transaction)
        keys = tuple(
            self._key(identity, wallet, token)
            for identity, wallet in zip(identities, item.wallets, strict=True)
        )
        verdicts = self._verdicts(where, item, intent, identities)
        for verdict in verdicts:
            _require(verdict)
        reservation = self._reserve(verdicts)
        charges = [charge for verdict in verdicts for charge in verdict.charges]
        event = trail.event(
            "sign_transaction",
            request_id,
            "ok",
            addresses=[key.identity.address for key in keys],
            groups=[verdict.group for verdict in verdicts],
            rules=[verdict.rule for verdict in verdicts],
            policy=self.policy.digest,
            digest=hashlib.sha256(transaction.message_bytes).hexdigest(),
            effects=[str(effect) for effect in intent.effects],
        )
        event["charges"] = charges_field(charges)
        return _Case(keys, transaction.message_bytes, event, reservation, transaction)

    def _parse(self, where: str, item: pb.TransactionItem) -> tuple[ParsedTransaction, Intent]:
        if len(item.reference) > 64:
            raise invalid(f"{where}.reference", "must be at most 64 characters")
        checks.in_range(f"{where}.wallets", len(item.wallets), 1, WALLETS_MAX)
        checks.in_range(f"{where}.vault_destinations", len(item.vault_destinations), 0, PROOFS_MAX)
        tables = {table.address: table.addresses for table in item.lookup_tables}
        try:
            transaction = parse_transaction(item.transaction, self.policy.pinned_tables(tables))
        except ValueError as error:
            refusal = refusal_of(error)
            if refusal is None:
                raise
            raise refusal.at(f"{where}.transaction") from None
        return transaction, read_intent(transaction.message, self.policy.ata_rent_lamports_max)

    def _identities(
        self, where: str, item: pb.TransactionItem, transaction: ParsedTransaction
    ) -> list[Identity]:
        """Return who is to sign: proven by ownership tag, and asked for by the transaction."""
        identities = []
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
        self._keyring.verify_tag(claim.ownership_tag, identity)
        return identity

    def _key(self, identity: Identity, wallet: records_pb2.WalletRecord, token: bytes) -> _Key:
        """Return a wallet's sealed key if the session can open it."""
        record = checks.sealed(wallet.sealed_record, Kind.WALLET)
        with self._sessions.key(token, record.group.name):
            return _Key(identity, record)

    def _verdicts(
        self,
        where: str,
        item: pb.TransactionItem,
        intent: Intent,
        identities: Sequence[Identity],
    ) -> list[Verdict]:
        proofs = [
            self._proven(f"{where}.vault_destinations[{at}]", proof)
            for at, proof in enumerate(item.vault_destinations)
        ]
        # Derived wallets only: anyone who reaches signer.sock can have a key of their own sealed,
        # and it must not become a place that `vault` lets money go to.
        vault = {
            proof.address for proof in (*proofs, *identities) if proof.derivation_index != IMPORTED
        }
        return [
            evaluate_transaction(self.policy, intent, _wallet(identity), vault)
            for identity in identities
        ]

    def _reserve(self, verdicts: Sequence[Verdict]) -> Reservation:
        try:
            return self._meters.reserve([c for verdict in verdicts for c in verdict.charges])
        except LimitExceededError as error:
            raise Refusal(
                reasons.ERROR_REASON_RATE_LIMITED,
                str(error),
                rule=error.rule,
                retry_delay_ms=error.retry_after_ms or 0,
            ) from None

    def _event(self, trail: Trail, request_id: str, case: _Case | Refusal) -> dict[str, object]:
        if isinstance(case, _Case):
            return case.event
        return self._refused(trail, request_id, case)

    def _refused(self, trail: Trail, request_id: str, refusal: Refusal) -> dict[str, object]:
        return trail.event(
            "sign_transaction",
            request_id,
            "refused",
            reason=refusal.name,
            rule=refusal.rule,
            detail=refusal.message,
            policy=self.policy.digest,
        )

    def _result(
        self, trail: Trail, request_id: str, reference: str, case: _Case | Refusal, token: bytes
    ) -> pb.TransactionResult:
        """Turn an item whose record is durable into its final result."""
        if isinstance(case, Refusal):
            return pb.TransactionResult(reference=reference, error=case.to_item())
        case.reservation.keep()
        try:
            signatures = self._sign(case, token)
        except Exception as error:
            refusal = refusal_of(error)
            if refusal is None:
                raise
            event = self._refused(trail, request_id, refusal)
            trail.log.append({**event, "addresses": case.event["addresses"]})
            return pb.TransactionResult(reference=reference, error=refusal.to_item())
        assert case.transaction is not None  # noqa: S101 - set for every transaction; for the type checker
        wire, is_complete = case.transaction.assemble(signatures)
        at = case.transaction.signature_offset
        signed = pb.SignedTransaction(
            transaction=wire,
            transaction_signature=wire[at : at + 64],
            is_complete=is_complete,
            signatures=[signatures[key.identity.address] for key in case.keys],
        )
        return pb.TransactionResult(reference=reference, signed=signed)

    def _sign(self, case: _Case, token: bytes) -> dict[str, bytes]:
        """Open each key onto a locked page, sign, wipe. All signatures or none."""
        signatures = {}
        with self._pool.page() as page:
            pair = KeyPair(page)
            for key in case.keys:
                with self._sessions.key(token, key.record.group.name) as record_key:
                    key.record.open_wallet(record_key, key.identity, pair)
                try:
                    signatures[key.identity.address] = pair.sign(case.message)
                finally:
                    pair.wipe()
        self.signature_count += len(signatures)
        return signatures


def _wallet(identity: Identity) -> Wallet:
    return Wallet(identity.address, identity.fingerprint, identity.derivation_index)


def _require(verdict: Verdict) -> None:
    """Raise the refusal of a verdict that denies."""
    if verdict.allowed:
        return
    is_transaction = verdict.rule == IS_TRANSACTION
    detail = f": {verdict.detail}" if verdict.detail else ""
    raise Refusal(
        reasons.ERROR_REASON_MESSAGE_IS_TRANSACTION
        if is_transaction
        else reasons.ERROR_REASON_POLICY_DENIED,
        f"denied by {verdict.rule}{detail}",
        rule=verdict.rule,
    )
