"""`solward audit`."""

from itertools import islice
from pathlib import Path

from solward_client.audit import verify_log
from solward_client.cli.commands import Group
from solward_client.cli.context import Context
from solward_client.cli.inputs import UsageError, moment

COLUMNS = ("sequence", "time", "event", "address", "request_id")


def add(root: Group) -> None:
    """Add the commands."""
    group = root.group("audit", "the signer's audit log")
    listed = group.command("list", _list, "list what the gateway has copied of it, newest first")
    listed.add_argument("--address", default="", metavar="ADDRESS", help="of this wallet")
    listed.add_argument("--event", default="", metavar="NAME", help="such as sign_transaction")
    listed.add_argument("--from", dest="time_min", type=moment, metavar="TIME", help="ISO 8601")
    listed.add_argument("--before", dest="time_max", type=moment, metavar="TIME", help="ISO 8601")
    listed.add_argument("--limit", type=int, default=100, metavar="N", help="default 100")
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


def _list(context: Context) -> int:
    options = context.options
    with context.client() as solward:
        events = solward.audit.list(
            address=options.address,
            event=options.event,
            time_min=options.time_min,
            time_max=options.time_max,
        )
        context.output.table(islice(events, options.limit), COLUMNS)
    return 0


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
