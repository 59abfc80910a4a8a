"""`solward audit`."""

from pathlib import Path

from solward_client.audit import verify_log
from solward_client.cli.commands import Group
from solward_client.cli.context import Context
from solward_client.cli.inputs import UsageError


def add(root: Group) -> None:
    """Add the commands."""
    group = root.group("audit", "the signer's audit log")
    verify = group.command("verify", _verify, "verify the whole chain, closed segments too")
    how = verify.add_mutually_exclusive_group(required=True)
    how.add_argument(
        "--secret",
        dest="secret_files",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="a verification secret; may be repeated",
    )
    how.add_argument(
        "--config", type=Path, metavar="FILE", help="the signer's configuration, for its secrets"
    )
    verify.add_argument("--log", type=Path, metavar="FILE", help="audit.log, or a copy of it")


def _verify(context: Context) -> int:
    options = context.options
    if options.secret_files and options.log is None:
        raise UsageError("--secret needs --log FILE")
    found = verify_log(options.config, options.log, options.secret_files)
    if not found.is_whole:
        context.output.error(f"the audit log cannot be trusted: {found.error}")
        return 1
    context.output.values(
        {
            "audit_records": found.record_count,
            "head": found.head,
            "segments": found.segment_count,
        }
    )
    return 0
