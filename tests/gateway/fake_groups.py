"""The part of the fake signer that knows policy groups: "desk" for derived wallets, "guest"."""

# ruff: noqa: N802, D102  gRPC calls the methods by these names, and the protos document them

from typing import Any

from solward.signer.v1 import signer_service_pb2 as pb


class FakeGroups:
    """ResolvePolicyGroups of a policy with three groups, of which one is empty."""

    def __init__(self) -> None:
        # The digests of the next answers; the last one stays.
        self.policy_digests = ["0" * 64]

    async def ResolvePolicyGroups(
        self, request: pb.ResolvePolicyGroupsRequest, _context: Any
    ) -> pb.ResolvePolicyGroupsResponse:
        digest = self.policy_digests[0]
        self.policy_digests = self.policy_digests[1:] or [digest]
        groups = ["guest" if w.derivation_index < 0 else "desk" for w in request.wallets]
        return pb.ResolvePolicyGroupsResponse(
            groups=groups,
            policy_groups=["desk", "guest", "empty"],
            policy_digest=digest,
        )
