"""`solward consolidate` and `solward reclaim`; `solward distribute execute` carries them out."""

from solward_client.cli import orders, plans
from solward_client.cli.commands import Group
from solward_client.cli.context import Context


def add(root: Group) -> None:
    """Add the commands."""
    group = root.group("consolidate", "move what many wallets hold to one")
    estimate = group.command("estimate", _estimate_consolidation, "say what it would cost")
    create = group.command("create", _consolidate, "plan it; `distribute execute` carries it out")
    for command in (estimate, create):
        orders.add_consolidation(command)
    orders.add_creation(create)
    group = root.group("reclaim", "get back the rent of token accounts")
    estimate = group.command("estimate", _estimate_closing, "say what it would cost and bring back")
    create = group.command("create", _reclaim, "plan it; `distribute execute` carries it out")
    for command in (estimate, create):
        orders.add_closing(command)
    orders.add_creation(create)


def _estimate_consolidation(context: Context) -> int:
    with context.client() as solward:
        request = orders.consolidation(context, solward)
        context.output.record(solward.distributions.estimate_consolidation(request))
    return 0


def _consolidate(context: Context) -> int:
    with context.client() as solward:
        request = orders.consolidation(context, solward)
        request.validate_only = context.options.dry_run
        with context.request_id() as request.request_id:
            planned = solward.distributions.consolidate(request)
    plans.show(context.output, planned)
    return 0


def _estimate_closing(context: Context) -> int:
    with context.client() as solward:
        request = orders.closing(context, solward)
        context.output.record(solward.distributions.estimate_closing(request))
    return 0


def _reclaim(context: Context) -> int:
    with context.client() as solward:
        request = orders.closing(context, solward)
        request.validate_only = context.options.dry_run
        with context.request_id() as request.request_id:
            planned = solward.distributions.close_accounts(request)
    plans.show(context.output, planned)
    return 0
