"""`solward admin rotate-keys`: everything sealed anew under the signer's current secrets.

After ENCRYPTION_KEY or MASTER_PASSWORD was changed, with the old pair configured as the previous
one, records of both open. Each key group is sealed anew in one database transaction, under the
same password. What is done is seen from the records themselves, so nothing is lost when this is
killed: run it again.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from solward.gateway.v1.master_wallet_service_pb2 import MasterWallet
from solward.gateway.v1.wallet_service_pb2 import Wallet
from solward_client.cli.commands import Group
from solward_client.cli.context import Context
from solward_client.client import Solward
from solward_client.errors import ConflictError, DeniedError, LimitedError, NotFoundError


@dataclass(slots=True)
class _Stale:
    """What is sealed under other keys: by key group, what to name it by; and how many wallets."""

    groups: dict[str, MasterWallet | Wallet] = field(default_factory=dict)
    masters: int = 0
    wallets: int = 0


def add(group: Group) -> None:
    """Add the command to `solward admin`."""
    group.command(
        "rotate-keys", _rotate_keys, "seal everything of one password under the signer's new keys"
    )


def _rotate_keys(context: Context) -> int:
    output = context.output
    with context.client() as solward:
        key_id = solward.signing.signer_key_id()
        stale = _stale(solward, key_id)
        password = context.password() if stale.groups else ""
        refused: dict[str, str] = {}
        rotated = wallet_count = 0
        with output.progress("key groups") as progress:
            for done, (name, scope) in enumerate(stale.groups.items(), start=1):
                try:
                    answer = solward.signing.rotate_password(scope, password, password)
                except (DeniedError, ConflictError, LimitedError, NotFoundError) as error:
                    # Of another password, or changed meanwhile: told below, and no reason to stop.
                    refused[name] = str(error)
                else:
                    rotated += 1
                    wallet_count += answer.rotated_wallet_count
                progress(done, len(stale.groups))
        left = _stale(solward, key_id)
    output.values(
        {
            "key_id": key_id,
            "rotated_key_groups": rotated,
            "rotated_wallets": wallet_count,
            "left_key_groups": len(left.groups),
            "left_masters": left.masters,
            "left_wallets": left.wallets,
        }
    )
    for name, why in refused.items():
        output.note(f"key group {name} ({_named(stale.groups[name])}): {why}")
    if left.groups:
        output.note("run it again with the other passwords; keep the previous secrets until then")
    return 1 if left.groups else 0


def _stale(solward: Solward, key_id: str) -> _Stale:
    found = _Stale()
    for master in solward.masters.list():
        if master.key_id != key_id:
            found.masters += 1
            found.groups[master.key_group] = master
    for wallet in _wallets(solward, key_id):
        found.wallets += 1
        # A derived wallet goes with its master; an imported one may share its group with others.
        if not wallet.master_wallet_id:
            found.groups.setdefault(wallet.key_group, wallet)
    return found


def _wallets(solward: Solward, key_id: str) -> Iterator[Wallet]:
    return (wallet for wallet in solward.wallets.list() if wallet.key_id != key_id)


def _named(scope: MasterWallet | Wallet) -> str:
    return f"master {scope.id}" if isinstance(scope, MasterWallet) else f"wallet {scope.address}"
