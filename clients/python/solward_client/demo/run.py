"""The demonstration from the first process started to the last one stopped."""

import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from solward_client.admin import Admin
from solward_client.client import Solward
from solward_client.demo import payout, proofs
from solward_client.demo.chain import Chain, ChainError
from solward_client.demo.claims import Claims
from solward_client.demo.scale import Scale
from solward_client.demo.scene import Scene
from solward_client.demo.screen import Screen
from solward_client.devstack.errors import DevStackError
from solward_client.devstack.stack import DevStack, StackOptions
from solward_client.errors import SolwardError

HELD, FAILED = 0, 1


def run_demo(scale: Scale, screen: Screen | None = None, *, insecure_dev: bool = False) -> int:
    """Run the main job on a stack of its own; return 0 if every claim held, 1 otherwise.

    The last line of stdout is one JSON object. Whatever happens, nothing is left running.
    """
    shown, claims = screen or Screen(), Claims()
    result: dict[str, Any] = {
        "wallets": scale.wallets,
        "recipients": scale.recipients,
        "total_lamports": scale.total_lamports,
        "received_lamports": 0,
        "transactions": 0,
        "refused": claims.refused,
        "audit_records": 0,
        "audit_chain_ok": False,
        "seconds": claims.seconds,
    }
    try:
        with claims.step("total"):
            # An empty environment: whatever DATABASE_URL may point to, this is not for it. Legacy,
            # because what is shown (50 transactions for 1,000 recipients) then holds on every
            # cluster: v1, which the gateway prefers, packs them into 17.
            options = StackOptions(
                environment={},
                durable=False,
                insecure_dev=insecure_dev,
                transaction_version="legacy",
            )
            _perform(scale, shown, claims, result, options)
    except (SolwardError, DevStackError, ChainError) as error:
        claims.check("the main job runs to its end", holds=False, seen=str(error))
    rows = [("held" if c.holds else "FAILED", c.text, c.seen) for c in claims.all]
    shown.table("What was shown", ("", "claim", "seen"), rows)
    times = [(name, f"{seconds:.1f}") for name, seconds in claims.seconds.items()]
    shown.table("How long it took", ("step", "seconds"), times)
    if claims.failed:
        result["failed"] = claims.failed
    shown.result(result)
    return FAILED if claims.failed else HELD


def _perform(
    scale: Scale, screen: Screen, claims: Claims, result: dict[str, Any], options: StackOptions
) -> None:
    with ExitStack() as cleanup:
        state_dir = Path(cleanup.enter_context(tempfile.TemporaryDirectory(prefix="solward-")))
        stack = DevStack(state_dir, options)
        screen.say("Starting PostgreSQL, a local chain, the signer and the gateway ...")
        with claims.step("start"):
            running = cleanup.enter_context(ExitStack())
            running.enter_context(stack)
        endpoints = stack.endpoints
        scene = Scene(
            solward=running.enter_context(Solward.connect(endpoints.gateway)),
            admin=running.enter_context(
                Admin.connect(f"unix:{endpoints.admin_socket}", f"unix:{endpoints.signer_socket}")
            ),
            chain=Chain(endpoints.solana_rpc_url or ""),
            scale=scale,
            screen=screen,
            claims=claims,
        )
        _show(scene, state_dir / "config" / "signer.toml", endpoints.audit_log, result)
        with claims.step("stop"):
            running.close()
        left = [process.name for process in stack.processes if process.returncode is None]
        claims.check("nothing is left running", holds=not left, seen=", ".join(left) or "stopped")


def _show(scene: Scene, signer_config: Path, log: Path, result: dict[str, Any]) -> None:
    vault = payout.derive(scene)
    result["received_lamports"] = payout.pay(scene, vault)
    result["transactions"] = scene.scale.transactions
    with scene.solward.signing.session(vault.master, scene.password) as session:
        with scene.claims.step("sign"):
            proofs.sign(scene, vault, session)
        with scene.claims.step("refuse"):
            proofs.refuse(scene, vault, session)
    with scene.claims.step("audit"):
        result["audit_records"], result["audit_chain_ok"] = proofs.audit(scene, signer_config, log)
