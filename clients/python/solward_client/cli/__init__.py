"""The `solward` command."""

import argparse
import os
import sys
from collections.abc import Sequence
from importlib.metadata import version

from solward_client.cli import (
    audit,
    balances,
    distributions,
    masters,
    operator,
    policy,
    signing,
    stack,
    wallets,
)
from solward_client.cli.commands import Group, root_parser
from solward_client.cli.context import Context
from solward_client.cli.inputs import UsageError
from solward_client.cli.output import Output
from solward_client.errors import SolwardError

DONE, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130
_FACTS = ("reason", "domain", "field", "rule", "retry_delay_ms")


def build_parser() -> argparse.ArgumentParser:
    """Return the parser with every command."""
    parser = root_parser(version("solward"))
    root = Group(parser)
    modules = (stack, masters, wallets, signing, balances, distributions, audit, policy, operator)
    for module in modules:
        module.add(root)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0 done, 1 refused or failed, 2 wrong usage."""
    options = build_parser().parse_args(argv)
    output = Output(as_json=bool(options.as_json))
    try:
        return int(options.handler(Context(options, output)))
    except BrokenPipeError:
        # Whoever read our output has had enough, as `head` does; Python must not complain at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except UsageError as error:
        output.error(str(error))
        return USAGE
    except SolwardError as error:
        facts = {name: getattr(error, name) for name in _FACTS}
        output.error(str(error), {"code": error.code.name, "message": error.message, **facts})
        return FAILED
    except KeyboardInterrupt:
        output.error("interrupted")
        return INTERRUPTED
