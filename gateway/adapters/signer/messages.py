"""Between the gateway's values and the signer's messages."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Final

from gateway.domain.custody import (
    SIGNER_DOMAIN,
    DerivedColumns,
    ItemRefusal,
    SealedMaster,
    SessionScope,
    SignedTransaction,
    SignItem,
    SignOutcome,
)
from gateway.domain.verdicts import (
    CapState,
    PolicyAnswer,
    PolicyForecast,
    PolicyGroups,
    PolicyVerdict,
)
from gateway.domain.wallets import OwnershipProof, SigningWallet
from solward.signer.v1 import errors_pb2, records_pb2
from solward.signer.v1 import signer_service_pb2 as pb

_PREFIX: Final = "ERROR_REASON_"


def master_record(master: SealedMaster) -> records_pb2.MasterRecord:
    """Returns a master as the signer opens it."""
    return records_pb2.MasterRecord(
        master_fingerprint=master.fingerprint, sealed_record=master.record
    )


def wallet_record(wallet: SigningWallet) -> records_pb2.WalletRecord:
    """Returns a wallet as the signer opens it."""
    return records_pb2.WalletRecord(
        address=wallet.proof.address,
        master_fingerprint=wallet.proof.fingerprint,
        derivation_index=wallet.proof.derivation_index,
        sealed_record=wallet.encrypted_private_key,
        ownership_tag=wallet.proof.ownership_tag,
    )


def session_scope(scope: SessionScope | None) -> pb.SessionScope | None:
    """Returns a scope; none stays none, which is not the same as an empty one."""
    if scope is None:
        return None
    return pb.SessionScope(**asdict(scope))


def sign_item(item: SignItem) -> pb.TransactionItem:
    """Returns an item with its wallets and proofs."""
    return pb.TransactionItem(
        reference=item.reference,
        transaction=item.transaction,
        wallets=[wallet_record(wallet) for wallet in item.wallets],
        vault_destinations=[_proof(proof) for proof in item.vault_destinations],
        lookup_tables=[
            pb.LookupTable(address=table.address, addresses=table.content)
            for table in item.lookup_tables
        ],
    )


def _proof(proof: OwnershipProof) -> records_pb2.OwnershipProof:
    return records_pb2.OwnershipProof(
        address=proof.address,
        master_fingerprint=proof.fingerprint,
        derivation_index=proof.derivation_index,
        ownership_tag=proof.ownership_tag,
    )


def groups_request(proofs: Sequence[OwnershipProof]) -> pb.ResolvePolicyGroupsRequest:
    """Returns the question for wallets' policy groups."""
    return pb.ResolvePolicyGroupsRequest(wallets=[_proof(proof) for proof in proofs])


def policy_groups(response: pb.ResolvePolicyGroupsResponse) -> PolicyGroups:
    """Returns wallets' policy groups."""
    return PolicyGroups(list(response.groups), list(response.policy_groups), response.policy_digest)


def derived_columns(response: pb.DeriveWalletsResponse) -> DerivedColumns:
    """Returns a chunk's columns as lists: no object is made for each wallet."""
    return DerivedColumns(
        first_index=response.first_index,
        addresses=list(response.addresses),
        records=list(response.sealed_records),
        ownership_tags=list(response.ownership_tags),
        key_group=response.key_group,
    )


def sign_outcomes(results: Sequence[pb.TransactionResult]) -> list[SignOutcome]:
    """Returns one outcome for each result."""
    return [_outcome(result) for result in results]


def _outcome(result: pb.TransactionResult) -> SignOutcome:
    if result.WhichOneof("outcome") == "signed":
        signed = result.signed
        return SignedTransaction(
            transaction=signed.transaction,
            transaction_signature=signed.transaction_signature,
            is_complete=signed.is_complete,
            signatures=tuple(signed.signatures),
        )
    error = result.error
    return ItemRefusal(
        reason=_reason(error.reason),
        domain=SIGNER_DOMAIN,
        code=error.code,
        message=error.message,
        rule=error.rule,
        field=error.field,
        retry_delay_ms=error.retry_delay_ms,
        signed=error.signed or "no",
    )


def _reason(number: int) -> str:
    if number not in errors_pb2.ErrorReason.values():
        return f"UNKNOWN_{number}"  # a signer newer than this gateway
    name: str = errors_pb2.ErrorReason.Name(errors_pb2.ErrorReason.ValueType(number))
    return name.removeprefix(_PREFIX)


def judged_item(item: SignItem) -> pb.TransactionItem:
    """Returns an item to be judged only: without the sealed keys, which nobody opens for that."""
    message = sign_item(item)
    for wallet in message.wallets:
        wallet.ClearField("sealed_record")
    return message


def policy_answer(response: pb.CheckPolicyResponse) -> PolicyAnswer:
    """Returns what the policy would answer."""
    return PolicyAnswer(
        allowed=response.allowed,
        verdicts=[_verdict(verdict) for verdict in response.verdicts],
        effects=tuple(response.effects),
    )


def policy_forecast(response: pb.CheckPolicyResponse) -> PolicyForecast:
    """Returns what the policy would answer to many items."""
    return PolicyForecast(
        [_verdict(verdict) for result in response.results for verdict in result.verdicts],
        [_cap(cap) for cap in response.totals],
    )


def _verdict(verdict: pb.PolicyVerdict) -> PolicyVerdict:
    return PolicyVerdict(
        address=verdict.address,
        allowed=verdict.allowed,
        group=verdict.group,
        rule=verdict.rule,
        detail=verdict.detail,
        outflow_lamports_max=verdict.outflow_lamports_max,
        signatures_available=verdict.signatures_available,
        caps=[_cap(cap) for cap in verdict.caps],
    )


def _cap(cap: pb.CapState) -> CapState:
    return CapState(cap.rule, cap.needed, cap.available, cap.counted_by)
