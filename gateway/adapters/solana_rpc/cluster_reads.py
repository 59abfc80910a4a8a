"""Calls that concern the cluster as a whole: its time, its blockhashes, its rent."""

from collections.abc import Sequence

from gateway.adapters.solana_rpc import wire
from gateway.adapters.solana_rpc.calls import RpcPool
from gateway.adapters.solana_rpc.reads import require_slot, with_slot
from gateway.domain.chain import Blockhash, BlockhashReading, Commitment, Tip


class ClusterReads:
    """The calls, over a pool. Errors are RpcError."""

    _pool: RpcPool

    async def get_genesis_hash(self) -> str:
        """Returns the hash, base58, that tells this cluster from every other; read once."""
        return await self._pool.genesis_hash()

    async def get_rent_exempt_lamports(self, data_bytes: int) -> int:
        """Returns the least an account with `data_bytes` of data must hold, in lamports."""
        return await self._integer("getMinimumBalanceForRentExemption", [data_bytes])

    async def get_latest_blockhash(self, commitment: Commitment = "confirmed") -> Blockhash:
        """Returns a blockhash, and until which block height it is good by one endpoint's word."""
        answer = await self._pool.read(
            "getLatestBlockhash",
            [{"commitment": commitment}],
            wire.InContext[wire.BlockhashWire],
        )
        found = answer.value
        return Blockhash(found.blockhash, found.last_valid_block_height, answer.context.slot)

    async def read_blockhash(
        self, blockhash: str, commitment: Commitment, min_context_slot: int
    ) -> BlockhashReading:
        """Returns whether a blockhash is valid at a slot; of one that is not known yet, false."""
        options: dict[str, object] = {"commitment": commitment}
        answer = await self._pool.read(
            "isBlockhashValid",
            [blockhash, with_slot(options, min_context_slot)],
            wire.InContext[bool],
            lambda found: require_slot(found.context, min_context_slot),
        )
        return BlockhashReading(answer.context.slot, answer.value)

    async def get_tip(self, min_context_slot: int = 0) -> Tip:
        """Returns the newest slot, not settled at all, and how many blocks there were by then."""
        options: dict[str, object] = {"commitment": "processed"}

        def check(found: wire.EpochWire) -> None:
            if found.absolute_slot < min_context_slot:
                raise ValueError("the node fell behind while it was asked")

        answer = await self._pool.read(
            "getEpochInfo", [with_slot(options, min_context_slot)], wire.EpochWire, check
        )
        return Tip(answer.absolute_slot, answer.block_height)

    async def get_block_height(self, commitment: Commitment = "finalized") -> int:
        """Returns the block height. Expiry is judged by the finalized one only."""
        return await self._integer("getBlockHeight", [{"commitment": commitment}])

    async def get_slot(self, commitment: Commitment = "confirmed") -> int:
        """Returns the slot."""
        return await self._integer("getSlot", [{"commitment": commitment}])

    async def get_first_available_slot(self) -> int:
        """Returns the first slot of which the node still has the block."""
        return await self._integer("getFirstAvailableBlock", [])

    async def get_health(self) -> None:
        """Returns if a node says "ok", and compares it with the others; raises RpcError."""

        def require_ok(found: str) -> None:
            if found != "ok":
                raise ValueError("the node is not healthy")

        await self._pool.read("getHealth", [], str, require_ok)
        await self._pool.compare()

    async def _integer(self, method: str, params: Sequence[object]) -> int:
        return await self._pool.read(method, params, wire.Unsigned)
