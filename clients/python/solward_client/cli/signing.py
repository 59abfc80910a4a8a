"""`solward session` and `solward sign`."""

import argparse
import base64

from solders.signature import Signature

from solward.gateway.v1 import signing_service_pb2 as pb
from solward_client.cli.amounts import lamports
from solward_client.cli.commands import Group
from solward_client.cli.context import Context, read_token, write_private
from solward_client.cli.inputs import (
    UsageError,
    read_bytes,
    read_transaction,
    refuse_shared_stdin,
)
from solward_client.signing import Transaction

INDEX_MAX = 2**31 - 1


def add(root: Group) -> None:
    """Add the commands."""
    session = root.group("session", "sessions: sign for a while without the password")
    opened = session.command("open", _open, "open a session and keep its token in a file")
    scope = opened.add_mutually_exclusive_group(required=True)
    scope.add_argument("--master", metavar="UUID", help="all wallets of this master")
    scope.add_argument("--wallet", action="append", metavar="WALLET", help="may be repeated")
    opened.add_argument("--ttl", type=int, default=0, metavar="SECONDS", help="default: the limit")
    _add_scope(opened)
    opened.add_argument(
        "--out", required=True, metavar="FILE", help="a new file; whoever reads it can sign"
    )
    closed = session.command("close", _close, "end a session; the signer wipes its keys")
    closed.add_argument("session", metavar="FILE", help="as `session open` wrote it")

    sign = root.group("sign", "signatures")
    transaction = sign.command("tx", _sign_transaction, "sign a transaction; it is not sent")
    _add_transaction(transaction)
    add_session_option(transaction)
    message = sign.command("message", _sign_message, "sign a message that is no transaction")
    message.add_argument("file", metavar="FILE", help="its exact bytes, - for stdin")
    message.add_argument("--wallet", required=True, metavar="WALLET", help="UUID or address")
    add_session_option(message)


def add_session_option(parser: argparse.ArgumentParser) -> None:
    """Add --session, without which a command asks for the password."""
    parser.add_argument("--session", metavar="FILE", help="default: open one with the password")


def _add_scope(parser: argparse.ArgumentParser) -> None:
    narrow = parser.add_argument_group("what the session may do, inside what the policy allows")
    narrow.add_argument("--index-first", type=int, metavar="N", help="default 0")
    narrow.add_argument("--index-last", type=int, metavar="N", help=f"default {INDEX_MAX}")
    narrow.add_argument("--only", choices=("transactions", "messages"), help="default: both")
    narrow.add_argument(
        "--lamports-max", type=lamports, metavar="AMOUNT", help='in its whole life, "1.5sol"'
    )
    narrow.add_argument("--idle-ttl", type=int, metavar="SECONDS", help="ends if unused so long")


def _scope(options: argparse.Namespace) -> pb.SessionScope | None:
    given = (options.index_first, options.index_last, options.only)
    if all(value is None for value in (*given, options.lamports_max, options.idle_ttl)):
        return None
    return pb.SessionScope(
        index_first=options.index_first or 0,
        index_last=INDEX_MAX if options.index_last is None else options.index_last,
        sign_transactions=options.only != "messages",
        sign_messages=options.only != "transactions",
        lamports_max=options.lamports_max or 0,
        idle_ttl_seconds=options.idle_ttl or 0,
    )


def _add_transaction(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help="the transaction, raw or base64, - for stdin")
    parser.add_argument(
        "--wallet",
        action="append",
        required=True,
        metavar="WALLET",
        help="who signs, by UUID or address; may be repeated",
    )


def _open(context: Context) -> int:
    options = context.options
    with context.client() as solward:
        wallets = (
            solward.masters.get(options.master)
            if options.master
            else [context.wallet(solward, name) for name in options.wallet]
        )
        session = solward.signing.open_session(
            wallets, context.password(), ttl_seconds=options.ttl, scope=_scope(options)
        )
        try:
            write_private(options.out, base64.b64encode(session.token).decode() + "\n")
        except UsageError:
            session.close()
            raise
    expires = session.expire_time.isoformat() if session.expire_time else None
    context.output.values({"session": options.out, "expire_time": expires})
    return 0


def _close(context: Context) -> int:
    with context.client() as solward:
        solward.signing.resume(read_token(context.options.session)).close()
    context.output.values({"closed": context.options.session})
    return 0


def _sign_transaction(context: Context) -> int:
    options = context.options
    refuse_shared_stdin(options.password_file, options.file)
    wire = read_transaction(options.file)
    with context.client() as solward:
        wallets = [context.wallet(solward, name) for name in options.wallet]
        with context.session(solward, wallets) as session:
            signed = session.sign(Transaction(wire, [wallet.id for wallet in wallets]))
    context.output.record(signed)
    return 0


def _sign_message(context: Context) -> int:
    options = context.options
    refuse_shared_stdin(options.password_file, options.file)
    message = read_bytes(options.file)
    with context.client() as solward:
        wallet = context.wallet(solward, options.wallet)
        with context.session(solward, [wallet]) as session:
            answer = session.sign_message(wallet.id, message)
    signature = str(Signature.from_bytes(answer.signature))
    context.output.values({"address": answer.address, "signature": signature})
    return 0
