"""ResolvePolicyGroups: the group that a signature would be judged by."""

from solward.signer.v1 import records_pb2 as rp
from solward.signer.v1 import signer_service_pb2 as pb
from tests.signer.client import Client, payment, proof_of
from tests.signer.house import House


def groups(client: Client, *proofs: rp.OwnershipProof) -> list[str]:
    """The wallets' groups."""
    return list(
        client.signer.ResolvePolicyGroups(pb.ResolvePolicyGroupsRequest(wallets=proofs)).groups
    )


def test_groups_are_those_that_a_signature_meets(client: Client, house: House) -> None:
    """Derived, imported and outside of every range: in order, as CheckPolicy names them."""
    (outsider,) = client.wallets(house.master, house.password, 1, first=10_000)
    asked = [house.guest, house.wallets[1], outsider, house.wallets[0]]
    found = groups(client, *map(proof_of, asked))
    assert ["guests", "desk", "", "desk"] == found
    judged = [
        client.signer.CheckPolicy(pb.CheckPolicyRequest(item=payment(wallet, house.wallets[2])))
        for wallet in asked
    ]
    assert found == [answer.verdicts[0].group for answer in judged]


def test_the_policy_is_named(client: Client) -> None:
    """All its groups in order, and its digest, also when no wallet is asked about."""
    answer = client.signer.ResolvePolicyGroups(pb.ResolvePolicyGroupsRequest())
    info = client.signer.GetSignerInfo(pb.GetSignerInfoRequest())
    assert ([], ["desk", "guests"]) == (list(answer.groups), list(answer.policy_groups))
    assert info.policy_digest == answer.policy_digest


def test_a_tag_that_is_not_ours_is_in_no_group(client: Client, house: House) -> None:
    """Another's tag, index or master: no group, and the wallets beside it keep theirs."""
    first, second = map(proof_of, house.wallets[:2])
    swapped, moved, posing = (rp.OwnershipProof() for _ in range(3))
    for forged in (swapped, moved, posing):
        forged.CopyFrom(first)
    swapped.ownership_tag = second.ownership_tag
    moved.derivation_index = 7
    posing.master_fingerprint = "0" * 32
    assert ["", "desk", "", ""] == groups(client, swapped, second, moved, posing)
