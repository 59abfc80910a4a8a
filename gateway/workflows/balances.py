"""Balances of wallets and addresses."""

from collections.abc import Sequence
from uuid import UUID

from gateway.domain.addresses import require_address
from gateway.domain.chain import BalanceReading, Chain
from gateway.domain.errors import (
    ChainUnavailableError,
    NotFoundError,
    PreconditionFailedError,
)
from gateway.domain.ports import Store
from gateway.domain.wallets import DERIVATION_INDEX_MAX, WalletFilter, require_tag

WALLETS_MAX = 10_000


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

    async def of_wallets(self, wallet_ids: Sequence[UUID]) -> list[BalanceReading]:
        """Returns a balance or an error for each wallet, in order; raises NotFoundError."""
        async with self._store.read() as unit:
            found = await unit.wallets.addresses_of(wallet_ids)
        addresses = [address for address in found if address is not None]
        if len(addresses) != len(found):
            raise NotFoundError(
                "no such wallet",
                field=f"wallet_ids.ids[{found.index(None)}]",
                reason="WALLET_NOT_FOUND",
            )
        return await self.of_addresses(addresses)

    async def of_master(self, master_wallet_id: UUID) -> list[BalanceReading]:
        """Returns the balances of all of a master's wallets, in index order.

        Raises PreconditionFailedError if there are more than 10,000: a part would look like all.
        """
        async with self._store.read() as unit:
            master = await unit.masters.get(master_wallet_id)
            if master.derived_count > WALLETS_MAX:
                raise PreconditionFailedError(
                    f"the master has {master.derived_count} wallets, more than {WALLETS_MAX}: "
                    "ask for them by id or by address",
                    field="master_wallet_id",
                )
            wallets = await unit.wallets.derived_addresses(
                master_wallet_id, 0, DERIVATION_INDEX_MAX + 1
            )
        return await self.of_addresses([address for _, _, address in wallets])

    async def of_tag(self, tag: str) -> list[BalanceReading]:
        """Returns the balances of all wallets with a tag, in order of creation.

        Raises InvalidArgumentError for what is no tag, and PreconditionFailedError if more than
        10,000 have it.
        """
        wanted = WalletFilter(tags_all=(require_tag(tag),))
        async with self._store.read() as unit:
            wallets = await unit.wallets.list_addresses(wanted, WALLETS_MAX + 1)
        if len(wallets) > WALLETS_MAX:
            raise PreconditionFailedError(
                f"more than {WALLETS_MAX} wallets have the tag: ask for them by id or by address",
                field="tag",
            )
        return await self.of_addresses([address for _, address in wallets])
