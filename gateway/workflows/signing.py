"""Sign requests: what the signer needs to judge them is looked up here, and the signer decides."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final
from uuid import UUID

from gateway.domain.custody import (
    ItemRefusal,
    SignedTransaction,
    Signer,
    SignItem,
    SignOutcome,
)
from gateway.domain.errors import NotFoundError
from gateway.domain.ports import Store
from gateway.domain.verdicts import PolicyAnswer
from gateway.domain.wallets import OwnershipProof, SigningWallet
from gateway.workflows.account_keys import static_account_keys
from gateway.workflows.records import signing_wallet
from gateway.workflows.usage import UsageLog

_ITEM_FIELD: Final = re.compile(r"items?(\[\d+\])?\.")


@dataclass(frozen=True, slots=True)
class SignOrder:
    """A transaction with the wallets that are to sign it; `field` is where it came in a request."""

    reference: str
    transaction: bytes
    wallet_ids: tuple[UUID, ...]
    field: str


class SigningWorkflows:
    """Signs transactions and messages and asks the policy."""

    def __init__(self, store: Store, signer: Signer, usage: UsageLog) -> None:
        self._store = store
        self._signer = signer
        self._usage = usage

    async def sign(
        self, request_id: str, token: bytes, orders: Sequence[SignOrder]
    ) -> list[SignOutcome | NotFoundError]:
        """Signs a batch: one final outcome for each order, in order.

        An order with an unknown wallet is refused here, and the others still go to the signer.
        """
        items = await self._resolve(orders)
        known = [item for item in items if isinstance(item, SignItem)]
        signed = await self._signer.sign_transactions(request_id, token, known) if known else []
        answers = iter(signed)
        outcomes: list[SignOutcome | NotFoundError] = []
        for order, item in zip(orders, items, strict=True):
            if isinstance(item, NotFoundError):
                outcomes.append(item)
                continue
            outcome = next(answers)
            if isinstance(outcome, SignedTransaction):
                self._usage.used(wallet.id for wallet in item.wallets)
            outcomes.append(_in_callers_terms(outcome, order))
        return outcomes

    async def sign_message(
        self, request_id: str, token: bytes, wallet_id: UUID, message: bytes
    ) -> tuple[bytes, str]:
        """Signs a message; returns the signature (64 bytes) and the wallet's address."""
        async with self._store.read() as unit:
            wallet = signing_wallet(await unit.wallets.get(wallet_id))
        signature = await self._signer.sign_message(request_id, token, wallet, message)
        self._usage.used([wallet_id])
        return signature, wallet.address

    async def check_policy(self, order: SignOrder) -> tuple[PolicyAnswer, Sequence[SigningWallet]]:
        """Returns the policy's answer and the wallets it speaks of, in the order asked."""
        (item,) = await self._resolve([order])
        if isinstance(item, NotFoundError):
            raise item
        return await self._signer.check_policy(item), item.wallets

    async def _resolve(self, orders: Sequence[SignOrder]) -> list[SignItem | NotFoundError]:
        """Finds the wallets of all orders, and which of their other accounts are ours: two queries.

        Every static account of a transaction is looked up, for only the signer says which of them
        receive something.
        """
        ids = list(dict.fromkeys(wallet_id for order in orders for wallet_id in order.wallet_ids))
        keys = [static_account_keys(order.transaction) for order in orders]
        async with self._store.read() as unit:
            found = await unit.wallets.get_many(ids)
            addresses = list({key for account_keys in keys for key in account_keys})
            proofs = await unit.wallets.ownership_proofs(addresses) if addresses else {}
        wallets = {wallet.id: signing_wallet(wallet) for wallet in found if wallet is not None}
        return [
            _item(order, wallets, account_keys, proofs)
            for order, account_keys in zip(orders, keys, strict=True)
        ]


def _item(
    order: SignOrder,
    wallets: dict[UUID, SigningWallet],
    account_keys: Iterable[str],
    proofs: dict[str, OwnershipProof],
) -> SignItem | NotFoundError:
    for position, wallet_id in enumerate(order.wallet_ids):
        if wallet_id not in wallets:
            return NotFoundError(
                "no such wallet",
                field=f"{order.field}.wallet_ids[{position}]",
                reason="WALLET_NOT_FOUND",
            )
    own = [wallets[wallet_id] for wallet_id in order.wallet_ids]
    own_addresses = {wallet.address for wallet in own}
    return SignItem(
        reference=order.reference,
        transaction=order.transaction,
        wallets=own,
        vault_destinations=[
            proofs[key] for key in account_keys if key in proofs and key not in own_addresses
        ],
    )


def _in_callers_terms(outcome: SignOutcome, order: SignOrder) -> SignOutcome:
    """Renames a refusal's field: the signer's `items[i].` is the caller's `order.field.`."""
    if not isinstance(outcome, ItemRefusal) or not outcome.field:
        return outcome
    field = _ITEM_FIELD.sub("", outcome.field, count=1)
    return replace(outcome, field=f"{order.field}.{field}")
