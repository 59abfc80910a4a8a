"""Reads a policy file with the signer's own code, in a process of its own.

    python -m solward_client.policy_tool check FILE
    python -m solward_client.policy_tool explain --policy FILE --as WHO [--vault ADDRESS]
        [--table ADDRESS=CONTENT] < TX

A second reader of the policy language could differ from the one that decides. Needs no secret and
no signer: who a wallet is, which only the signer can prove, is taken from the command line.
Prints one JSON object; {"error"} with exit code 1 if the file or the transaction is not accepted.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from signer_daemon.intent import Intent, IntentRejected, parse_transaction, read_intent
from signer_daemon.policy import (
    Group,
    Policy,
    PolicyError,
    Verdict,
    Wallet,
    evaluate_transaction,
    load,
)
from signer_daemon.policy.model import ANY, IMPORTED, INDEX_MAX, UNLIMITED

Facts = dict[str, Any]


def check(policy: Policy) -> Facts:
    """Say what was read, and what in it deserves a second look."""
    return {
        "version": policy.version,
        "digest": policy.digest,
        "groups": [_summary(group) for group in policy.groups],
        "warnings": [
            f"{group.name}: {text}"
            for place, group in enumerate(policy.groups)
            for text in _warnings(group, policy.groups[:place])
        ],
    }


def explain(
    policy: Policy,
    wire: bytes,
    claims: Sequence[tuple[str, str, int]],
    vault: Sequence[str],
    tables: Mapping[str, bytes],
) -> Facts:
    """Judge a transaction for each (address, fingerprint, index) that is to sign; an empty address
    is the fee payer's. `tables` are contents of lookup tables. Raises IntentRejected.
    """
    message = parse_transaction(wire, policy.pinned_tables(tables)).message
    intent = read_intent(message, policy.ata_rent_lamports_max)
    wallets = [
        Wallet(address or intent.fee_payer, fingerprint, index)
        for address, fingerprint, index in claims
    ]
    for wallet in wallets:
        if wallet.address not in intent.signers:
            raise IntentRejected(f"{wallet.address} does not sign this transaction")
    ours = {*vault, *(wallet.address for wallet in wallets if wallet.fingerprint)}
    verdicts = [evaluate_transaction(policy, intent, wallet, ours) for wallet in wallets]
    return {
        "allowed": all(verdict.allowed for verdict in verdicts),
        "version": {-1: "legacy"}.get(message.version, f"v{message.version}"),
        "signers": intent.signers,
        "fee_payer": intent.fee_payer,
        "verdicts": [_verdict(verdict, intent) for verdict in verdicts],
        "effects": [str(effect) for effect in intent.effects],
    }


def _summary(group: Group) -> Facts:
    destinations = group.destinations
    return {
        "name": group.name,
        "masters": sorted(group.master_fingerprints),
        "indices": f"{group.index_first}-{group.index_last}",
        "destinations": destinations
        if isinstance(destinations, str)
        else f"{len(destinations)} addresses",
        "lamports_per_transaction_max": group.lamports_per_transaction_max,
        "lamports_per_day_max": group.lamports_per_day_max,
        "message_signing": group.message_signing,
    }


def _warnings(group: Group, before: Sequence[Group]) -> Iterator[str]:
    shadows = [earlier.name for earlier in before if _covers(earlier, group)]
    if shadows:
        yield f"decides about no wallet: {shadows[0]} comes first and matches all of them"
    no_cap = group.lamports_per_day_max is None and group.group_lamports_per_day_max is None
    if group.destinations == "any" and no_cap:
        yield "any destination, and no cap on what leaves in a day"
    if group.destinations == "any" and UNLIMITED in group.tokens_per_transaction_max.values():
        yield "any destination, and a mint without a cap"
    if group.message_signing == "raw":
        yield "signs any bytes that are no transaction: a program may take them for consent"
    for program in sorted(group.trusted_programs):
        yield f"trusts {program}: it could take all that a wallet has"
    for role in sorted(group.instructions_allow):
        yield f"allows {role}"


def _covers(earlier: Group, later: Group) -> bool:
    """Tell whether every wallet that `later` could match is matched by `earlier`."""
    any_master = ANY in earlier.master_fingerprints
    masters = later.master_fingerprints - {IMPORTED}
    in_range = earlier.index_first <= later.index_first and later.index_last <= earlier.index_last
    derived = not masters or (in_range and (any_master or masters <= earlier.master_fingerprints))
    imported = IMPORTED not in later.master_fingerprints or IMPORTED in earlier.master_fingerprints
    return derived and imported


def _verdict(verdict: Verdict, intent: Intent) -> Facts:
    return {
        "address": verdict.address,
        "allowed": verdict.allowed,
        "group": verdict.group,
        "rule": verdict.rule,
        "detail": verdict.detail,
        "outflow_lamports_max": verdict.lamports_out_max,
        "fee_lamports": intent.fee_lamports(verdict.address),
        "caps": [
            {"rule": charge.rule, "needed": charge.amount, "limit": charge.limit}
            for charge in verdict.charges
            if charge.limit != UNLIMITED
        ],
    }


def _who(text: str) -> tuple[str, str, int]:
    """Parse [ADDRESS=]FINGERPRINT/INDEX or [ADDRESS=]imported. For argparse."""
    address, _, claim = text.rpartition("=")
    if claim == IMPORTED:
        return address, "", -1
    fingerprint, _, index = claim.partition("/")
    is_hex = len(fingerprint) == 32 and set(fingerprint) <= set("0123456789abcdef")
    if not is_hex or not index.isdecimal() or int(index) > INDEX_MAX:
        raise argparse.ArgumentTypeError("[ADDRESS=]FINGERPRINT/INDEX or [ADDRESS=]imported")
    return address, fingerprint, int(index)


def _table(text: str) -> tuple[str, bytes]:
    """Parse ADDRESS=CONTENT, the content in hex. For argparse."""
    address, _, content = text.partition("=")
    try:
        return address, bytes.fromhex(content)
    except ValueError:
        raise argparse.ArgumentTypeError("ADDRESS=CONTENT in hex") from None


def main(argv: Sequence[str] | None = None) -> int:
    """Return 0 if the file was read and, with explain, every wallet may sign."""
    parser = argparse.ArgumentParser(prog="python -m solward_client.policy_tool")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("check").add_argument("policy", type=Path)
    explained = commands.add_parser("explain")
    explained.add_argument("--policy", type=Path, required=True)
    explained.add_argument("--as", dest="claims", type=_who, action="append", required=True)
    explained.add_argument("--vault", action="append", default=[])
    explained.add_argument("--table", type=_table, action="append", default=[])
    options = parser.parse_args(argv)
    try:
        policy = load(options.policy)
        if options.command == "check":
            facts = check(policy)
        else:
            wire, tables = sys.stdin.buffer.read(), dict(options.table)
            facts = explain(policy, wire, options.claims, options.vault, tables)
    except (PolicyError, IntentRejected) as error:
        sys.stdout.write(json.dumps({"error": str(error)}) + "\n")
        return 1
    sys.stdout.write(json.dumps(facts) + "\n")
    return 0 if facts.get("allowed", True) else 1


if __name__ == "__main__":
    sys.exit(main())
