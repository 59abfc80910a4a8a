"""The part of the fake signer that knows policy groups: "desk" for derived wallets, "guest"."""

# ruff: noqa: N802, D102  gRPC calls the methods by these names, and the protos document them

from typing import Any

from solward.signer.v1 import signer_service_pb2 as pb


class FakeGroups:
    """ResolvePolicyGroups of a policy with three groups, of which one is empty."""

    def __init__(self) -> None:
        self.policy_digest = "0" * 64

    async def ResolvePolicyGroups(
        self, request: pb.ResolvePolicyGroupsRequest, _context: Any
    ) -> pb.ResolvePolicyGroupsResponse:
        groups = ["guest" if w.derivation_index < 0 else "desk" for w in request.wallets]
        return pb.ResolvePolicyGroupsResponse(
            groups=groups,
            policy_groups=["desk", "guest", "empty"],
            policy_digest=self.policy_digest,
        )
