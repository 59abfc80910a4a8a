"""`solward distribute resolve`: an operator declares what became of an UNKNOWN transaction."""

import getpass

from solward.gateway.v1 import distribution_service_pb2 as pb
from solward_client.cli import plans
from solward_client.cli.commands import Group
from solward_client.cli.context import Context

VERDICTS = {
    "pay-again": pb.Resolution.VERDICT_PAY_AGAIN,
    "give-up": pb.Resolution.VERDICT_GIVE_UP,
    "landed": pb.Resolution.VERDICT_LANDED,
}


def add(group: Group) -> None:
    """Add the command to its group."""
    resolve = group.command(
        "resolve",
        _resolve,
        "declare what became of an UNKNOWN transaction; a wrong word pays twice",
    )
    resolve.add_argument("distribution", metavar="DISTRIBUTION", help="its UUID")
    resolve.add_argument("--etag", required=True, help="as `get` shows it")
    resolve.add_argument(
        "--signature", required=True, metavar="BASE58", help="as `transfers` shows it"
    )
    resolve.add_argument(
        "--signature-again",
        required=True,
        metavar="BASE58",
        help="the same once more, copied from where you looked it up",
    )
    resolve.add_argument(
        "--verdict",
        required=True,
        choices=sorted(VERDICTS),
        help="pay-again and give-up say that it did not land; landed asks the chain to prove it",
    )
    resolve.add_argument(
        "--reason", required=True, metavar="TEXT", help="what was looked up where; kept for ever"
    )
    resolve.add_argument("--operator", metavar="NAME", help="who says so; default: your login name")


def _resolve(context: Context) -> int:
    options = context.options
    request = pb.ResolveUnknownRequest(
        distribution_id=options.distribution,
        etag=options.etag,
        transaction_signature=options.signature,
        transaction_signature_again=options.signature_again,
        verdict=VERDICTS[options.verdict],
        reason=options.reason,
        operator=options.operator or getpass.getuser(),
    )
    with context.client() as solward:
        plans.show(context.output, solward.distributions.resolve(request))
    return 0
