"""The first half: a master, its wallets, money, and a payout that arrives to the lamport."""

from solward.gateway.v1 import distribution_service_pb2 as pb
from solward_client.demo.scene import Scene, Vault
from solward_client.distributions import Payout, random_split, to_range
from solward_client.wallets import WalletFilter

# What stays in the source after the payout, so that it is not left below its own rent floor.
_LEFT_LAMPORTS = 100_000_000
_WORDS = 24


def derive(scene: Scene) -> Vault:
    """Create a master and derive its wallets."""
    scale, wallets = scene.scale, scene.solward.wallets
    with scene.claims.step("create_master"):
        master = scene.solward.masters.create(scene.password, word_count=_WORDS)
    scene.claims.check(
        f"a master of {_WORDS} words exists, shown to nobody",
        holds=bool(master.fingerprint),
        seen=f"fingerprint {master.fingerprint}",
    )
    with (
        scene.claims.step("derive"),
        scene.screen.progress("Deriving wallets", scale.wallets) as show,
    ):
        done = wallets.derive(
            master,
            scale.wallets,
            scene.password,
            first_index=0,
            progress=lambda count, _total: show(count),
        )
    with scene.claims.step("list"):
        stored = sorted(
            wallets.list(WalletFilter(master_wallet_id=master.id)),
            key=lambda wallet: wallet.derivation_index,
        )
    in_order = [wallet.derivation_index for wallet in stored] == list(range(scale.wallets))
    addresses = {wallet.address for wallet in stored}
    scene.claims.check(
        f"{scale.wallets:,} wallets are derived, sealed and stored",
        holds=in_order and len(addresses) == done.created_count == scale.wallets,
        seen=f"{len(addresses):,} addresses, indices 0 to {len(stored) - 1}",
    )
    return Vault(master, stored, scale.recipients)


def pay(scene: Scene, vault: Vault) -> int:
    """Fund the source, pay all recipients by a random split; return the lamports they received."""
    scale = scene.scale
    payout = Payout(
        vault.source.id,
        to_range(vault.master.id, 1, scale.recipients),
        scale.total_lamports,
        random_split(),
    )
    with scene.claims.step("fund"):
        estimate = scene.solward.distributions.estimate(payout)
        scene.chain.airdrop(vault.source.address, estimate.required_lamports + _LEFT_LAMPORTS)
        before = vault.read(scene, "before")
    with scene.claims.step("distribute"):
        final = _execute(scene, vault, payout)
    with scene.claims.step("balances"):
        after = vault.read(scene, "after")
    transfers = list(scene.solward.distributions.transfers(final.id))
    gained = [then - first for first, then in zip(before, after, strict=True)]
    received = gained[1 : scale.recipients + 1]
    _judge(scene, final, transfers, received)
    scene.claims.check(
        "the source paid the total and the fees, nobody else anything",
        holds=gained[0] == -scale.total_lamports - final.fees_paid_lamports
        and not any(gained[scale.recipients + 1 :]),
        seen=f"{-gained[0]:,} lamports, {final.fees_paid_lamports:,} of them fees",
    )
    return sum(received)


def _execute(scene: Scene, vault: Vault, payout: Payout) -> pb.Distribution:
    distributions = scene.solward.distributions
    planned = distributions.create(payout)
    kdf_runs_before = scene.admin.status().kdf_run_count
    with (
        scene.solward.signing.session(vault.master, scene.password) as session,
        scene.screen.progress("Paying recipients", scene.scale.recipients) as show,
    ):
        kdf_runs = scene.admin.status().kdf_run_count - kdf_runs_before
        distributions.execute(planned.id, planned.etag, session)
        for report in distributions.watch(planned.id):
            show(report.transfer_counts.finalized_count)
    scene.claims.check(
        f"one scrypt unlocked {len(vault.wallets):,} wallets",
        holds=kdf_runs == 1,
        seen=f"{kdf_runs} run of scrypt",
    )
    return distributions.get(planned.id)


def _judge(
    scene: Scene, final: pb.Distribution, transfers: list[pb.Transfer], received: list[int]
) -> None:
    scale, finalized = scene.scale, pb.Transfer.STATE_FINALIZED
    signatures = {transfer.transaction_signature for transfer in transfers}
    scene.claims.check(
        f"{scale.transactions} transactions paid {scale.recipients:,} recipients",
        holds=final.state == pb.Distribution.STATE_COMPLETED
        and all(transfer.state == finalized for transfer in transfers)
        and scale.transactions == final.transaction_count == len(signatures),
        seen=f"{len(transfers):,} transfers finalized by {len(signatures)} transactions",
    )
    planned = [transfer.amount_lamports for transfer in transfers]
    scene.claims.check(
        "each recipient received its random share, to the lamport",
        holds=planned == received and (len(set(planned)) > 1 or scale.recipients == 1),
        seen=f"{min(received):,} to {max(received):,} lamports",
    )
    scene.claims.check(
        "what was received is the total",
        holds=sum(received) == scale.total_lamports,
        seen=f"{sum(received):,} of {scale.total_lamports:,} lamports",
    )
