"""Who is paid: addresses, from what a request says."""

from collections.abc import Sequence

from gateway.domain.addresses import require_address
from gateway.domain.chain import Chain
from gateway.domain.errors import InvalidArgumentError, NotFoundError, PreconditionFailedError
from gateway.domain.orders import (
    RECIPIENTS_MAX,
    RecipientAddresses,
    RecipientIds,
    Recipients,
)
from gateway.domain.ports import UnitOfWork
from gateway.domain.recipients import require_wallets
from gateway.domain.wallets import require_index_range
from gateway.workflows.account_reads import read_accounts


async def recipient_addresses(unit: UnitOfWork, recipients: Recipients) -> list[str]:
    """Returns the recipients' addresses in the order given, or raises what is wrong with them."""
    if isinstance(recipients, RecipientAddresses):
        _require_count(len(recipients.addresses), "recipients.addresses")
        return [
            require_address(address, f"recipients.addresses.addresses[{position}]")
            for position, address in enumerate(recipients.addresses)
        ]
    if isinstance(recipients, RecipientIds):
        _require_count(len(recipients.ids), "recipients.wallet_ids")
        found = await unit.wallets.addresses_of(recipients.ids)
        if None in found:
            raise NotFoundError(
                "no such wallet", field=f"recipients.wallet_ids.ids[{found.index(None)}]"
            )
        return [address for address in found if address is not None]
    indices = require_index_range(recipients.first_index, recipients.count)
    await unit.masters.get(recipients.master_wallet_id)
    wallets = await unit.wallets.derived_addresses(
        recipients.master_wallet_id, indices.first, indices.count
    )
    if len(wallets) != indices.count:
        raise PreconditionFailedError(
            f"{indices.count - len(wallets)} wallets of the range are not derived",
            field="recipients.range",
        )
    return [address for _, _, address in wallets]


async def recipient_balances(
    chain: Chain, recipients: Recipients, addresses: Sequence[str]
) -> list[int]:
    """Reads what the recipients hold, finalized, in order, in lamports.

    Raises InvalidArgumentError if one that is named by its address is no wallet's, and
    ChainUnavailableError.
    """
    accounts = await read_accounts(chain, addresses, "finalized", (0, 0))
    if isinstance(recipients, RecipientAddresses):
        require_wallets(addresses, accounts)
    return [account.lamports if account else 0 for account in accounts]


def _require_count(count: int, field: str) -> None:
    if not 1 <= count <= RECIPIENTS_MAX:
        raise InvalidArgumentError(f"{field} must name 1 to {RECIPIENTS_MAX}", field=field)
