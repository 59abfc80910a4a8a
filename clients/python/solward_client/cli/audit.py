"""`solward audit`."""

from pathlib import Path

from solward_client.audit import verify_log
from solward_client.cli.commands import Group
from solward_client.cli.context import Context


def add(root: Group) -> None:
    """Add the commands."""
    group = root.group("audit", "the signer's audit log")
    verify = group.command("verify", _verify, "verify the whole chain with the signer's secrets")
    verify.add_argument(
        "--config", type=Path, required=True, metavar="FILE", help="the signer's configuration"
    )
    verify.add_argument("--log", type=Path, metavar="FILE", help="a copy; default: the signer's")


def _verify(context: Context) -> int:
    found = verify_log(context.options.config, context.options.log)
    if not found.is_whole:
        context.output.error(f"the audit log cannot be trusted: {found.error}")
        return 1
    context.output.values({"audit_records": found.record_count, "head": found.head})
    return 0
