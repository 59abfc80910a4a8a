"""`solward up` and `solward demo`: the development stack, to work with or to watch."""

import argparse
import os
import signal
from pathlib import Path

from solward_client.cli.commands import Group
from solward_client.cli.context import Context
from solward_client.cli.inputs import UsageError
from solward_client.demo import RECIPIENTS, WALLETS, Scale, run_demo
from solward_client.devstack.stack import Endpoints, StackOptions
from solward_client.devstack.up import STATE_DIR, describe, run_up, shell_exports

INSECURE = (
    "--insecure-dev: the signer runs without the measures that this kernel lacks, so whoever takes "
    "it over may open files and sockets. Never with real money. `solward doctor` names what is "
    "missing."
)


def add(root: Group) -> None:
    """Add the commands."""
    up = root.command("up", _up, "start PostgreSQL, a local chain, signer and gateway")
    up.add_argument(
        "--state-dir", type=Path, default=STATE_DIR, metavar="DIR", help=f"default {STATE_DIR}"
    )
    up.add_argument("--tcp", metavar="127.0.0.1:PORT", help="listen on loopback TCP as well")
    up.add_argument("--policy", type=Path, metavar="FILE", help="used when DIR has none yet")
    _add_insecure_dev(up)
    demo = root.command("demo", _demo, "the main job end to end, on a stack of its own")
    demo.add_argument("--wallets", type=int, metavar="N", help=f"default DEMO_WALLETS or {WALLETS}")
    demo.add_argument(
        "--recipients", type=int, metavar="N", help=f"default DEMO_RECIPIENTS or {RECIPIENTS}"
    )
    _add_insecure_dev(demo)


def _add_insecure_dev(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--insecure-dev",
        action="store_true",
        help="run the signer without what this kernel lacks (Landlock, seccomp); never with money",
    )


def _up(context: Context) -> int:
    options, output = context.options, context.output

    def ready(endpoints: Endpoints) -> None:
        output.values(describe(endpoints))
        output.note("\nIn another terminal:\n")
        for line in shell_exports(endpoints):
            output.note(f"    {line}")
        output.note("\nCtrl-C stops everything.")
        if options.insecure_dev:
            output.warning(INSECURE)

    chosen = StackOptions(policy=options.policy, tcp=options.tcp, insecure_dev=options.insecure_dev)
    return run_up(options.state_dir, chosen, ready=ready, failed=output.error)


def _demo(context: Context) -> int:
    options = context.options
    try:
        scale = Scale(
            options.wallets or int(os.environ.get("DEMO_WALLETS", WALLETS)),
            options.recipients or int(os.environ.get("DEMO_RECIPIENTS", RECIPIENTS)),
        )
    except ValueError as error:
        raise UsageError(str(error)) from None
    # A plain `kill` stops the stack and removes its files just as Ctrl-C does.
    # SIGINT too: a shell starts its background jobs with it ignored, and Python leaves it so.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    if options.insecure_dev:
        context.output.warning(INSECURE)
    return run_demo(scale, insecure_dev=options.insecure_dev)
