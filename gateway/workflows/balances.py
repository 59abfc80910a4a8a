"""Balances of wallets and addresses."""

from collections.abc import Sequence
from uuid import UUID

from gateway.domain.addresses import require_address
from gateway.domain.chain import BalanceReading, Chain
from gateway.domain.errors import ChainUnavailableError
from gateway.domain.ports import Store


class BalanceWorkflows:
    """Reads SOL balances from the cluster."""

    def __init__(self, store: Store, chain: Chain) -> None:
        self._store = store
        self._chain = chain

    async def of_wallet(self, wallet_id: UUID) -> BalanceReading:
        """Returns a wallet's balance; raises NotFoundError or ChainUnavailableError."""
        async with self._store.read() as unit:
            wallet = await unit.wallets.get(wallet_id)
        return await self.of_address(wallet.address)

    async def of_address(self, address: str) -> BalanceReading:
        """Returns any address's balance; raises ChainUnavailableError."""
        reading = await self._chain.get_balance(require_address(address, "address"))
        if reading.error_reason:
            raise ChainUnavailableError("the RPC node did not give a balance")
        return reading

    async def of_addresses(self, addresses: Sequence[str]) -> list[BalanceReading]:
        """Returns a balance or an error for each address, in order; an address may repeat."""
        readings = await self._chain.get_balances(list(dict.fromkeys(addresses)))
        found = {reading.address: reading for reading in readings}
        return [found[address] for address in addresses]
