"""The addresses of selected wallets."""

from collections.abc import Sequence
from typing import Final, Protocol
from uuid import UUID

from gateway.domain.errors import (
    NotFoundError,
    PreconditionFailedError,
    SignerUnavailableError,
)
from gateway.domain.ports import Store
from gateway.domain.selections import (
    WALLETS_MAX,
    ByAddresses,
    ByIds,
    OfGroup,
    OfMaster,
    OfTag,
    Selection,
)
from gateway.domain.verdicts import PolicyGroups
from gateway.domain.wallets import (
    DERIVATION_INDEX_MAX,
    OwnershipProof,
    WalletFilter,
    require_tag,
)

# The signer takes so many at once.
_PROOFS_PER_CALL: Final = 1_000


class GroupJudge(Protocol):
    """The part of gateway.domain.custody.Signer that is needed here."""

    async def policy_groups(self, proofs: Sequence[OwnershipProof]) -> PolicyGroups:
        """Says which policy group each of up to 1,000 wallets falls into."""
        ...


class Selections:
    """Finds the wallets of a selection. More than 10,000 are refused: a part would look like all.

    The database decides on ids, masters and tags; on policy groups the signer does, which alone
    knows the policy and can tell a wallet of its own from what stands in our database.
    """

    def __init__(self, store: Store, judge: GroupJudge) -> None:
        self._store = store
        self._judge = judge

    async def addresses(self, selection: Selection) -> list[str]:
        """Returns the addresses, in the order that the contract gives each selection.

        Raises InvalidArgumentError, NotFoundError, PreconditionFailedError, StoreUnavailableError,
        and for a group SignerUnavailableError and SignerRefusedError.
        """
        match selection:
            case ByAddresses(addresses):
                return list(addresses)
            case ByIds(wallet_ids, field):
                return await self._of_ids(wallet_ids, field)
            case OfMaster(master_wallet_id):
                return await self._of_master(master_wallet_id)
            case OfTag(tag):
                return await self._of_tag(tag)
            case OfGroup(name):
                return await self._of_group(name)

    async def _of_ids(self, wallet_ids: Sequence[UUID], field: str) -> list[str]:
        async with self._store.read() as unit:
            found = await unit.wallets.addresses_of(wallet_ids)
        addresses = [address for address in found if address is not None]
        if len(addresses) != len(found):
            raise NotFoundError(
                "no such wallet", field=f"{field}[{found.index(None)}]", reason="WALLET_NOT_FOUND"
            )
        return addresses

    async def _of_master(self, master_wallet_id: UUID) -> list[str]:
        async with self._store.read() as unit:
            master = await unit.masters.get(master_wallet_id)
            if master.derived_count > WALLETS_MAX:
                raise _too_many(f"the master has {master.derived_count} wallets", OfMaster)
            wallets = await unit.wallets.derived_addresses(
                master_wallet_id, 0, DERIVATION_INDEX_MAX + 1
            )
        return [address for _, _, address in wallets]

    async def _of_tag(self, tag: str) -> list[str]:
        wanted = WalletFilter(tags_all=(require_tag(tag),))
        async with self._store.read() as unit:
            wallets = await unit.wallets.list_addresses(wanted, WALLETS_MAX + 1)
        if len(wallets) > WALLETS_MAX:
            raise _too_many(f"more than {WALLETS_MAX} wallets have the tag", OfTag)
        return [address for _, address in wallets]

    async def _of_group(self, name: str) -> list[str]:
        policy = await self._judge.policy_groups([])
        if name not in policy.names:
            raise PreconditionFailedError(
                "the signer's policy has no group of this name", field="policy_group"
            )
        found: list[str] = []
        after = 0
        while True:
            async with self._store.read() as unit:
                page = await unit.wallets.list_proofs(after, _PROOFS_PER_CALL)
            if not page:
                return found
            after = page[-1][0]
            proofs = [proof for _, proof in page]
            answer = await self._judge.policy_groups(proofs)
            if answer.digest != policy.digest:
                raise SignerUnavailableError("the policy was replaced meanwhile: ask again")
            pairs = zip(proofs, answer.groups, strict=True)
            found += [proof.address for proof, group in pairs if group == name]
            if len(found) > WALLETS_MAX:
                raise _too_many(f"more than {WALLETS_MAX} wallets are in the group", OfGroup)


def _too_many(why: str, kind: type[OfMaster | OfTag | OfGroup]) -> PreconditionFailedError:
    field = {OfMaster: "master_wallet_id", OfTag: "tag", OfGroup: "policy_group"}[kind]
    return PreconditionFailedError(
        f"{why}, more than {WALLETS_MAX}: ask for them by id or by address", field=field
    )
