"""How commands are declared: argparse parsers with the options that every command takes."""

import argparse
from collections.abc import Callable
from typing import Any

from solward_client.cli.context import ADMIN_SOCKET, SIGNER_KEY, SIGNER_SOCKET, TARGET, Context

Handler = Callable[[Context], int]


class Group:
    """A parser that commands are added to."""

    def __init__(self, parser: argparse.ArgumentParser) -> None:
        """Take the parser of the group's own name."""
        self._subparsers = parser.add_subparsers(required=True, metavar="COMMAND")

    def group(self, name: str, summary: str) -> "Group":
        """Add a group below this one."""
        parser = self._subparsers.add_parser(name, help=summary, description=_sentence(summary))
        return Group(parser)

    def command(self, name: str, handler: Handler, summary: str) -> argparse.ArgumentParser:
        """Add a command; the handler returns its exit code."""
        parser = self._subparsers.add_parser(
            name,
            help=summary,
            description=_sentence(summary),
            parents=[_shared(argparse.SUPPRESS)],
        )
        parser.set_defaults(handler=handler)
        return parser


def root_parser(version: str) -> argparse.ArgumentParser:
    """Return the parser of `solward` itself, with the options that every command takes."""
    parser = argparse.ArgumentParser(
        prog="solward",
        description="A Solana wallet manager whose keys stay in a small signing daemon.",
        epilog="Exit codes: 0 done, 1 refused or failed, 2 wrong usage.",
        parents=[_shared(None)],
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"solward {version}")
    return parser


def _shared(default: Any) -> argparse.ArgumentParser:
    # Commands repeat the options with SUPPRESS, so that they may stand before or after the name.
    parser = argparse.ArgumentParser(add_help=False, argument_default=default)
    shared = parser.add_argument_group("every command takes")
    shared.add_argument("--target", metavar="T", help=f"unix:PATH or HOST:PORT (or {TARGET})")
    shared.add_argument(
        "--json", dest="as_json", action="store_true", default=default, help="print JSON"
    )
    shared.add_argument(
        "--signer-key", metavar="HEX", help=f"insist on this sealing key (or {SIGNER_KEY})"
    )
    shared.add_argument(
        "--password-file", metavar="FILE", help="read the password here, - for stdin; default: ask"
    )
    shared.add_argument("--tls-ca", metavar="PEM", help="for HOST:PORT: who signed the server")
    shared.add_argument("--tls-cert", metavar="PEM", help="for HOST:PORT: our certificate")
    shared.add_argument("--tls-key", metavar="PEM", help="for HOST:PORT: its key")
    shared.add_argument(
        "--admin-socket", metavar="PATH", help=f"the signer's admin.sock (or {ADMIN_SOCKET})"
    )
    shared.add_argument(
        "--signer-socket", metavar="PATH", help=f"the signer's signer.sock (or {SIGNER_SOCKET})"
    )
    return parser


def _sentence(summary: str) -> str:
    return f"{summary[0].upper()}{summary[1:]}."
