"""Which cluster the endpoints of a pool serve: one, or they contradict each other for good."""

from gateway.adapters.solana_rpc.member import Member
from gateway.domain.addresses import is_address


class Cluster:
    """The cluster that all endpoints must be of: a status from another would be a null."""

    def __init__(self, genesis_hash: str, *, is_checked: bool) -> None:
        """Without a genesis hash that of the first endpoint that tells one is taken for it."""
        self.genesis_hash = genesis_hash
        self._is_checked = is_checked or bool(genesis_hash)

    async def admit(self, member: Member, budget_s: float) -> None:
        """Returns if an endpoint is of this cluster, which it is asked once; raises RpcError."""
        if not self._is_checked:
            return
        if not member.genesis_hash:
            member.genesis_hash = await member.call(
                "getGenesisHash", [], str, require_hash, budget_s
            )
        if member.genesis_hash != self.learn(member.genesis_hash):
            raise member.refused(
                f"serves another cluster: its genesis hash is {member.genesis_hash}, "
                f"not {self.genesis_hash}"
            )

    def learn(self, genesis_hash: str) -> str:
        """Takes the first hash that is told for the cluster's; returns the cluster's."""
        self.genesis_hash = self.genesis_hash or genesis_hash
        return self.genesis_hash


def require_hash(text: str) -> None:
    """Raises ValueError for what is no hash."""
    if not is_address(text):
        raise ValueError("the genesis hash is not 32 bytes")
