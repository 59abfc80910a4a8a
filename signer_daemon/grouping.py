"""Which group of the policy a wallet falls into, for a caller that wants to add up by group.

It is the answer that a signature would get: by master and index as the ownership tag proves them.
"""

from signer_daemon import checks
from signer_daemon.policy import Policy
from signer_daemon.vault.errors import OwnershipRejected
from signer_daemon.vault.keyring import KeyRing
from solward.signer.v1 import records_pb2
from solward.signer.v1 import signer_service_pb2 as pb

PROOFS_MAX = 1_000


def resolve(
    request: pb.ResolvePolicyGroupsRequest, policy: Policy, keyring: KeyRing
) -> pb.ResolvePolicyGroupsResponse:
    """Name each wallet's group. Opens and counts nothing. Raises Refusal for a malformed proof."""
    checks.in_range("wallets", len(request.wallets), 0, PROOFS_MAX)
    return pb.ResolvePolicyGroupsResponse(
        groups=[
            _group_of(f"wallets[{at}]", proof, policy, keyring)
            for at, proof in enumerate(request.wallets)
        ],
        policy_groups=[group.name for group in policy.groups],
        policy_digest=policy.digest,
    )


def _group_of(
    field: str, proof: records_pb2.OwnershipProof, policy: Policy, keyring: KeyRing
) -> str:
    """Return "" for a wallet that could not be signed for: one that is not ours or in no group."""
    identity = checks.wallet_identity(field, proof)
    try:
        keyring.verify_tag(proof.ownership_tag, identity)
    except OwnershipRejected:
        return ""
    group = policy.group_of(identity.fingerprint, identity.derivation_index)
    return "" if group is None else group.name
