"""The signer's pipeline. Every signature goes this way and there is no other:

    parse exact bytes -> who may -> policy -> rate limit        (admission)
        -> audit record durable -> open key -> sign -> wipe -> answer

A batch walks it together, so that one fdatasync serves all of its items; each item still gets its
own verdict, in order, and is signed by all its wallets or by none.
"""

from signer_daemon import checks
from signer_daemon.admission import WALLETS_MAX, Admission, Admitted
from signer_daemon.errors import Refusal, refusal_of
from signer_daemon.ledger.meters import charges_field
from signer_daemon.trail import Trail
from signer_daemon.vault.derivation import KeyPair
from signer_daemon.vault.memory import PagePool
from signer_daemon.vault.sessions import SessionTable
from solward.signer.v1 import signer_service_pb2 as pb

ITEMS_MAX = 500
TRANSACTION, MESSAGE = "sign_transaction", "sign_message"


class Pipeline:
    """Signs what was admitted. Safe between threads."""

    def __init__(self, *, admission: Admission, pool: PagePool, sessions: SessionTable) -> None:
        """Take the rooms; the caller owns and closes them."""
        self.admission = admission
        self.signature_count = 0
        self._pool = pool
        self._sessions = sessions

    def sign_transactions(
        self, request: pb.SignTransactionsRequest, trail: Trail
    ) -> pb.SignTransactionsResponse:
        """Sign a batch. Raises Refusal only where no item can have a result of its own."""
        request_id = checks.request_id(request.request_id)
        checks.in_range("items", len(request.items), 1, ITEMS_MAX)
        token = request.session_token
        cases: list[Admitted | Refusal] = []
        try:
            for at, item in enumerate(request.items):
                cases.append(self._admitted(f"items[{at}]", item, token))
            trail.log.append_many(
                [
                    self._record(trail, TRANSACTION, request_id, case, item)
                    for case, item in zip(cases, request.items, strict=True)
                ]
            )
            results = [
                self._result(trail, request_id, item, case, token)
                for case, item in zip(cases, request.items, strict=True)
            ]
        finally:
            for case in cases:
                if isinstance(case, Admitted):
                    case.reservation.close()
        return pb.SignTransactionsResponse(results=results)

    def sign_message(self, request: pb.SignMessageRequest, trail: Trail) -> pb.SignMessageResponse:
        """Sign one message that is not a transaction. Raises Refusal."""
        request_id = checks.request_id(request.request_id)
        address = checks.address("wallet", request.wallet.address)
        with trail.call(MESSAGE, request_id, addresses=[address]) as call:
            admitted = self.admission.message(request)
            with admitted.reservation as reservation:
                call.note(**self._facts(admitted))
                call.commit()
                reservation.keep()
                signature = self._sign(admitted, request.session_token)[address]
        return pb.SignMessageResponse(signature=signature)

    def _admitted(self, where: str, item: pb.TransactionItem, token: bytes) -> Admitted | Refusal:
        try:
            return self.admission.transaction(where, item, token)
        except Exception as error:
            refusal = refusal_of(error)
            if refusal is None:
                raise
            return refusal if refusal.field else refusal.at(where)

    def _record(
        self,
        trail: Trail,
        event: str,
        request_id: str,
        case: Admitted | Refusal,
        item: pb.TransactionItem,
    ) -> dict[str, object]:
        """Return the audit record of one item's verdict."""
        addresses = checks.addresses(item.wallets[:WALLETS_MAX])
        if isinstance(case, Admitted):
            facts = self._facts(case)
            return trail.event(event, request_id, "ok", addresses=addresses, **facts)
        return trail.event(
            event,
            request_id,
            "refused",
            addresses=addresses,
            reason=case.name,
            rule=case.rule,
            detail=case.message,
            policy=self.admission.policy.digest,
        )

    def _facts(self, admitted: Admitted) -> dict[str, object]:
        return {
            **admitted.facts,
            "groups": [verdict.group for verdict in admitted.verdicts],
            "rules": [verdict.rule for verdict in admitted.verdicts],
            "charges": charges_field(admitted.charges),
        }

    def _result(
        self,
        trail: Trail,
        request_id: str,
        item: pb.TransactionItem,
        case: Admitted | Refusal,
        token: bytes,
    ) -> pb.TransactionResult:
        """Turn an item whose record is durable into its final result."""
        if isinstance(case, Refusal):
            return pb.TransactionResult(reference=item.reference, error=case.to_item())
        case.reservation.keep()
        try:
            signatures = self._sign(case, token)
        except Exception as error:
            refusal = refusal_of(error)
            if refusal is None:
                raise
            trail.log.append(self._record(trail, TRANSACTION, request_id, refusal, item))
            return pb.TransactionResult(reference=item.reference, error=refusal.to_item())
        assert case.transaction is not None  # noqa: S101 - for the type checker: items have one
        wire, is_complete = case.transaction.assemble(signatures)
        at = case.transaction.signature_offset
        signed = pb.SignedTransaction(
            transaction=wire,
            transaction_signature=wire[at : at + 64],
            is_complete=is_complete,
            signatures=[signatures[key.identity.address] for key in case.keys],
        )
        return pb.TransactionResult(reference=item.reference, signed=signed)

    def _sign(self, case: Admitted, token: bytes) -> dict[str, bytes]:
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
