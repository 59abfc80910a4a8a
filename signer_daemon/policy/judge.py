"""Verdicts: the policy applied to what a transaction or a message would do, wallet by wallet.

Each rule is one small function that gives None, or the rule's name and what met it. They run in
order, the first objection decides, and a wallet without a group has already been refused.
"""

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from signer_daemon.intent import programs
from signer_daemon.intent.effects import Effect, Intent, Kind
from signer_daemon.intent.instructions import ROLES
from signer_daemon.intent.wire import starts_like_a_message
from signer_daemon.policy.messages import is_off_chain_message
from signer_daemon.policy.model import ANY, UNLIMITED, Charge, Group, Policy

NO_GROUP = "no group"
IS_TRANSACTION = "message is a transaction"


@dataclass(frozen=True, slots=True)
class Wallet:
    """A wallet as its ownership tag proves it: fingerprint "" and index -1 if imported."""

    address: str
    fingerprint: str
    index: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer for one wallet. `rule` reads `<group>/<key>: <setting>`; `charges` are to be
    reserved before the signature and are empty in a refusal. `lamports_out_max` is None where the
    transaction puts no bound on it.
    """

    address: str
    allowed: bool
    rule: str
    group: str
    detail: str = ""
    lamports_out_max: int | None = 0
    charges: tuple[Charge, ...] = ()


@dataclass(frozen=True, slots=True)
class _Case:
    """What a rule sees."""

    group: Group
    intent: Intent
    address: str
    vault: Collection[str]

    @property
    def effects(self) -> tuple[Effect, ...]:
        return self.intent.of(self.address)

    @property
    def lamports_out_max(self) -> int | None:
        """The intent's bound, and the declared charge of each trusted program that could use the
        wallet: because it is given its signature, or because its fee could grow.
        """
        total = self.intent.lamports_out_max(self.address)
        for effect in self.intent.effects:
            charge = self.group.trusted_programs.get(self.intent.programs[effect.instruction])
            reachable = self.address in {*effect.authorities, self.intent.fee_payer}
            if total is not None and charge is not None and reachable:
                total += charge
        return total


_Objection = tuple[str, str] | None


def evaluate_transaction(
    policy: Policy, intent: Intent, wallet: Wallet, vault: Collection[str]
) -> Verdict:
    """Judges the signature of one wallet. `vault` holds the addresses whose ownership tags the
    caller has verified; the wallet itself always counts. Every wallet that is to sign must be
    judged, and all must be allowed.
    """
    group = policy.group_of(wallet.fingerprint, wallet.index)
    if group is None:
        return Verdict(wallet.address, allowed=False, rule=NO_GROUP, group="")
    case = _Case(group, intent, wallet.address, vault)
    lamports = case.lamports_out_max
    for rule in _RULES:
        if objection := rule(case):
            name = f"{group.name}/{objection[0]}"
            return Verdict(
                wallet.address,
                allowed=False,
                rule=name,
                group=group.name,
                detail=objection[1],
                lamports_out_max=lamports,
            )
    return Verdict(
        wallet.address,
        allowed=True,
        rule=f"{group.name}/allowed",
        group=group.name,
        lamports_out_max=lamports,
        charges=(_signature_charge(group, wallet), *_spend_charges(case, lamports or 0)),
    )


def evaluate_message(policy: Policy, wallet: Wallet, message: bytes) -> Verdict:
    """Judges the signature of one wallet under a message that is not a transaction."""
    group = policy.group_of(wallet.fingerprint, wallet.index)
    if starts_like_a_message(message):
        name = "" if group is None else group.name
        return Verdict(wallet.address, allowed=False, rule=IS_TRANSACTION, group=name)
    if group is None:
        return Verdict(wallet.address, allowed=False, rule=NO_GROUP, group="")
    mode = group.message_signing
    allowed = mode == "raw" or (
        mode == "off-chain" and is_off_chain_message(message, wallet.address)
    )
    return Verdict(
        wallet.address,
        allowed=allowed,
        rule=f"{group.name}/message_signing: {mode}",
        group=group.name,
        detail="" if allowed or mode == "off" else "not a well-formed off-chain message",
        charges=(_signature_charge(group, wallet),) if allowed else (),
    )


def _signature_charge(group: Group, wallet: Wallet) -> Charge:
    limit = group.signatures_per_minute
    rule = f"{group.name}/signatures_per_minute: {limit}"
    return Charge(f"signatures/{wallet.address}", 1, limit, rule)


def _spend_charges(case: _Case, lamports: int) -> list[Charge]:
    group, address = case.group, case.address

    def charge(meter: str, amount: int, key: str, limit: int | None) -> Charge:
        cap = UNLIMITED if limit is None else limit
        return Charge(meter, amount, cap, f"{group.name}/{key}: {cap}")

    key = "lamports_per_day_max"
    charges = [
        charge(f"lamports/{address}", lamports, key, group.lamports_per_day_max),
        charge(
            f"group-lamports/{group.name}",
            lamports,
            f"group_{key}",
            group.group_lamports_per_day_max,
        ),
    ]
    key = "tokens_per_day_max"
    for mint, amount in _tokens_by_mint(case).items():
        own = _cap(group.tokens_per_day_max, mint)
        shared = _cap(group.group_tokens_per_day_max, mint)
        charges += [
            charge(f"tokens/{mint}/{address}", amount, key, own),
            charge(f"group-tokens/{mint}/{group.name}", amount, f"group_{key}", shared),
        ]
    return [charge for charge in charges if charge.amount]


def _lookup_tables(case: _Case) -> _Objection:
    if tables := case.intent.unresolved_tables:
        return "lookup_table: not pinned", f"table {tables[0]}"
    return None


def _programs(case: _Case) -> _Objection:
    trusted = case.group.trusted_programs
    for index, program in enumerate(case.intent.programs):
        if program not in case.group.programs and program not in trusted:
            name = programs.NAMES.get(program, program)
            return "programs: not listed", f"instruction {index} calls {name}"
    for effect in case.intent.effects:
        is_trusted = case.intent.programs[effect.instruction] in trusted
        if effect.kind is Kind.UNDECODED and not is_trusted:
            return "programs: undecoded instruction", str(effect)
    return None


def _instructions(case: _Case) -> _Objection:
    for effect in case.intent.effects:
        if effect.role in case.group.instructions_deny:
            return "instructions_deny: " + effect.role, str(effect)
        # A sensitive role matters if our wallet consents, or if it needs no consent at all. And
        # whoever's nonce it is, it makes every signature of the transaction good for ever: they
        # could be hoarded until more of them can be used in a day than any cap allows.
        concerns = not effect.authorities or case.address in effect.authorities
        concerns = concerns or effect.role == "system/advanceNonce"
        allowed = not ROLES.get(effect.role, False) or effect.role in case.group.instructions_allow
        if concerns and not allowed:
            return "instructions_allow: not listed", str(effect)
    return None


def _priority_fee(case: _Case) -> _Objection:
    cap, fee = case.group.priority_fee_lamports_max, case.intent.priority_fee_lamports
    if cap is not None and case.address == case.intent.fee_payer and fee > cap:
        return f"priority_fee_lamports_max: {cap}", f"{fee} lamports"
    return None


def _destinations(case: _Case) -> _Objection:
    mode = case.group.destinations
    name = "destinations: " + (mode if isinstance(mode, str) else "list")
    listed = mode if isinstance(mode, frozenset) else case.vault
    for effect in case.effects:
        if effect.kind in {Kind.HARMLESS, Kind.UNDECODED}:
            continue
        if _reaches(effect, case.group.destinations_deny, unproven=True):
            return "destinations_deny", str(effect)
        if effect.kind is Kind.SWEEP and case.group.close_refunds == "self":
            if effect.destination != case.address:
                return "close_refunds: self", str(effect)
        elif mode != "any" and not _reaches(effect, {*listed, case.address}, unproven=False):
            return name, str(effect)
    return None


def _reaches(effect: Effect, owners: Collection[str], *, unproven: bool) -> bool:
    """Tells whether the effect's recipient is one of `owners`, or a token account that was derived
    for one. `unproven` is the answer where the bytes do not say.
    """
    if not owners:
        return False
    if effect.destination is None:
        nobody = effect.amount is not None or effect.kind is Kind.AUTHORITY  # burnt, renounced
        return nobody is not unproven
    if effect.destination in owners:
        return True
    mint, token_program = effect.mint, effect.token_program
    if effect.kind in {Kind.LAMPORTS, Kind.SWEEP}:
        mint, token_program = programs.NATIVE_MINT, programs.TOKEN  # wrapping SOL
    if mint is None or token_program is None:
        return unproven and effect.kind is Kind.TOKENS
    return any(
        effect.destination == programs.associated_token_address(owner, token_program, mint)
        for owner in owners
    )


def _tokens(case: _Case) -> _Objection:
    caps, key = case.group.tokens_per_transaction_max, "tokens_per_transaction_max"
    for effect in case.effects:
        unknown = effect.kind is Kind.TOKENS and None in {effect.mint, effect.amount}
        # Only a policy that sets no bound on any mint can let an unknown one through.
        if unknown and not _is_boundless(case.group):
            return f"{key}: mint or amount unknown", str(effect)
    for mint, amount in _tokens_by_mint(case).items():
        cap = _cap(caps, mint)
        if cap is None:
            return f"{key}: mint not listed", f"mint {mint}"
        if amount > cap:
            return f"{key}: {cap}", f"{amount} base units of {mint}"
    return None


def _is_boundless(group: Group) -> bool:
    per_day = [*group.tokens_per_day_max.values(), *group.group_tokens_per_day_max.values()]
    caps = [*group.tokens_per_transaction_max.values(), *per_day]
    return group.tokens_per_transaction_max.get(ANY) == UNLIMITED and min(caps) == UNLIMITED


def _tokens_by_mint(case: _Case) -> Counter[str]:
    totals: Counter[str] = Counter()
    for effect in case.effects:
        if effect.kind is Kind.TOKENS and effect.mint is not None:
            totals[effect.mint] += effect.amount or 0
    return totals


def _cap(caps: Mapping[str, int], mint: str) -> int | None:
    return caps.get(mint, caps.get(ANY))


def _lamports(case: _Case) -> _Objection:
    cap, lamports = case.group.lamports_per_transaction_max, case.lamports_out_max
    if lamports is None or lamports > cap:
        detail = "no bound is known" if lamports is None else f"{lamports} lamports can leave"
        return f"lamports_per_transaction_max: {cap}", detail
    return None


_RULES: tuple[Callable[[_Case], _Objection], ...] = (
    _lookup_tables,
    _programs,
    _instructions,
    _priority_fee,
    _destinations,
    _tokens,
    _lamports,
)
