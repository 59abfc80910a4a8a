"""`solward policy`: what a policy file says, and what it makes of a transaction."""

from pathlib import Path

from solward_client.cli.commands import Group
from solward_client.cli.context import Context
from solward_client.cli.inputs import UsageError, read_lines, read_transaction
from solward_client.lookup_tables import LookupTableError, Table, from_chain, from_list
from solward_client.policy import PolicyToolError, check_file, explain
from solward_client.signing import Transaction

UNLIMITED = f": {2**64 - 1}"  # how the rule of a cap that is not set ends
VERDICT_COLUMNS = (
    "wallet_id",
    "allowed",
    "group",
    "rule",
    "detail",
    "outflow_lamports_max",
    "signatures_available",
)
OFFLINE_COLUMNS = ("address", "allowed", "group", "rule", "detail", "outflow_lamports_max")
GROUP_COLUMNS = (
    "name",
    "masters",
    "indices",
    "destinations",
    "lamports_per_transaction_max",
    "lamports_per_day_max",
    "message_signing",
)


def add(root: Group) -> None:
    """Add the commands."""
    group = root.group("policy", "what the signer's policy says")
    check = group.command("check", _check, "say whether the signer would accept a policy file")
    check.add_argument("file", type=Path, metavar="FILE")
    _add_pin(group)
    asked = group.command(
        "explain", _explain, "show what a transaction would do, and whether and why it is signed"
    )
    asked.add_argument("file", metavar="TX", help="the transaction, raw or base64, - for stdin")
    asked.add_argument(
        "--wallet",
        action="append",
        metavar="WALLET",
        help="who signs, by UUID or address; asks "
        "the running signer, which knows what is left of each cap; may be repeated",
    )
    offline = asked.add_argument_group("without a signer")
    offline.add_argument("--policy", type=Path, metavar="FILE", help="judge by this file")
    offline.add_argument(
        "--as",
        dest="claims",
        action="append",
        metavar="[ADDRESS=]FINGERPRINT/INDEX",
        help="who signs, or [ADDRESS=]imported; the fee payer if no address is given",
    )
    offline.add_argument(
        "--vault", action="append", default=[], metavar="ADDRESS", help="take it for the vault's"
    )
    offline.add_argument(
        "--lookup-table",
        dest="tables",
        action="append",
        default=[],
        metavar="TABLE=FILE",
        help="what a lookup table holds, one address a line in its order",
    )


def _add_pin(group: Group) -> None:
    pin = group.command("pin", _pin, "print a lookup table's line for the policy file")
    pin.add_argument("table", metavar="TABLE", help="its address")
    pin.add_argument("--rpc-url", metavar="URL", help="of a node that you trust, to read it from")
    pin.add_argument(
        "--addresses",
        metavar="FILE",
        help="what it holds, one address a line in its order; with --rpc-url both must be the same",
    )


def _pin(context: Context) -> int:
    options, output = context.options, context.output
    if not options.rpc_url and not options.addresses:
        raise UsageError("give --rpc-url, --addresses or both")
    try:
        read = from_chain(options.rpc_url, options.table) if options.rpc_url else None
        listed = from_list(read_lines(options.addresses)) if options.addresses else None
    except LookupTableError as error:
        output.error(str(error))
        return 1
    table = read or listed
    assert table is not None  # noqa: S101 - for the type checker: one of the two was asked for
    if read and listed and read.content != listed.content:
        output.error(f"{options.table}: it does not hold what the list says")
        return 1
    facts = {"table": options.table, "sha256": table.digest, "addresses": len(table.addresses)}
    if output.as_json:
        output.values(facts | {"authority": table.authority})
        return 0
    output.line(f'"{options.table}" = "{table.digest}"')
    output.note(f"under [lookup_table]; {facts['addresses']} addresses")
    if table.authority:
        output.note(f"{table.authority} may add more: what is longer needs another pin")
    return 0


def _check(context: Context) -> int:
    output = context.output
    try:
        facts = check_file(context.options.file)
    except PolicyToolError as error:
        output.error(f"{context.options.file}: {error}")
        return 1
    if output.as_json:
        output.values(facts)
        return 0
    output.rows(facts["groups"], GROUP_COLUMNS)
    for warning in facts["warnings"]:
        output.note(f"look at {warning}")
    output.note(f"version {facts['version']}, digest {facts['digest']}")
    return 0


def _explain(context: Context) -> int:
    options = context.options
    if bool(options.wallet) == bool(options.policy) or bool(options.policy) != bool(options.claims):
        raise UsageError("give --wallet to ask the signer, or --policy and --as to judge by a file")
    wire = read_transaction(options.file)
    return _ask(context, wire) if options.wallet else _judge(context, wire)


def _ask(context: Context, wire: bytes) -> int:
    output = context.output
    with context.client() as solward:
        wallets = [context.wallet(solward, name) for name in context.options.wallet]
        answer = solward.signing.check_policy(Transaction(wire, [wallet.id for wallet in wallets]))
    if output.as_json:
        output.record(answer)
    else:
        output.table(answer.verdicts, VERDICT_COLUMNS)
        for verdict in answer.verdicts:
            for cap in verdict.caps:
                if cap.rule.endswith(UNLIMITED):
                    continue
                output.line(f"cap: {cap.rule}: needs {cap.needed}, {cap.available} left")
        for effect in answer.effects:
            output.line(f"effect: {effect}")
    return 0 if answer.allowed else 1


def _table(text: str) -> tuple[str, Table]:
    address, equals, path = text.partition("=")
    if not equals:
        raise UsageError("--lookup-table takes TABLE=FILE")
    return address, from_list(read_lines(path))


def _judge(context: Context, wire: bytes) -> int:
    options, output = context.options, context.output
    try:
        tables = dict(map(_table, options.tables))
        facts = explain(options.policy, wire, options.claims, options.vault, tables)
    except (PolicyToolError, LookupTableError) as error:
        output.error(str(error))
        return 1
    if output.as_json:
        output.values(facts)
    else:
        output.rows(facts["verdicts"], OFFLINE_COLUMNS)
        for verdict in facts["verdicts"]:
            for cap in verdict["caps"]:
                output.line(f"cap: {cap['rule']}: needs {cap['needed']}")
        for effect in facts["effects"]:
            output.line(f"effect: {effect}")
    return 0 if facts["allowed"] else 1
