"""Verdicts: each rule denies what it is there for, names itself, and lets its control pass."""

import struct
import tomllib

import pytest
from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from signer_daemon.policy import Verdict, Wallet, parse_policy
from tests.intent import world as w
from tests.policy.build import ALL, ME, OUT, SIBLING, STRANGER, UNLIMITED, judge, policy, wallet

Q = struct.pack


ME_KEY, SIB_KEY = ME.pubkey(), SIBLING.pubkey()


MINT = w.key(5).pubkey()


ACCOUNT = w.key(8).pubkey()


VAULT = {str(SIB_KEY)}


MEMO = Instruction(w.MEMO, b"hello", [])


FOREIGN = w.key(99).pubkey()


SWAP = Instruction(FOREIGN, b"swap", w.meta(ME_KEY, signers=[ME_KEY]))


def token(data: bytes, *keys: Pubkey, program: Pubkey = w.TOKEN) -> Instruction:
    """A token instruction that our wallet signs."""
    return Instruction(program, data, w.meta(*keys, signers=[ME_KEY]))


def send(mint: Pubkey, to: Pubkey, amount: int = 7, program: Pubkey = w.TOKEN) -> Instruction:
    """A checked token transfer by our wallet."""
    return token(b"\x0c" + Q("<QB", amount, 6), ACCOUNT, mint, to, ME_KEY, program=program)


def denied(verdict: Verdict, rule: str) -> None:
    """Asserts a refusal by that rule, which promises nothing."""
    assert (verdict.allowed, verdict.rule, verdict.charges) == (False, rule, ())


def test_an_allowed_transfer_is_charged() -> None:
    """The control: a transfer within every rule is allowed, and its cost is to be reserved."""
    rules = policy("signatures_per_minute = 9", "lamports_per_day_max = 50")
    verdict = judge(rules, w.transfer(ME_KEY, OUT, 7), payer=ME)
    assert (verdict.allowed, verdict.rule, verdict.group) == (True, "desk/allowed", "desk")
    assert verdict.lamports_out_max == 5007
    assert [(c.meter, c.amount, c.limit) for c in verdict.charges] == [
        (f"signatures/{ME_KEY}", 1, 9),
        (f"lamports/{ME_KEY}", 5007, 50),
        ("group-lamports/desk", 5007, 2**64 - 1),
    ]
    assert [c.rule for c in verdict.charges[:2]] == [
        "desk/signatures_per_minute: 9",
        "desk/lamports_per_day_max: 50",
    ]


def test_a_wallet_without_a_group_signs_nothing() -> None:
    """Default deny: index 10 is in no group."""
    denied(judge(policy(), MEMO, who=wallet(index=10)), "no group")
    assert judge(policy(), MEMO, who=wallet(index=9)).allowed


def test_unlisted_programs_are_denied_wherever_they_stand() -> None:
    """The second instruction is judged like the first, whoever signs it."""
    rules = policy(programs="system")
    verdict = judge(rules, w.transfer(ME_KEY, OUT, 1), MEMO)
    denied(verdict, "desk/programs: not listed")
    assert verdict.detail == "instruction 1 calls memo"
    theirs = Instruction(FOREIGN, b"x", w.meta(STRANGER.pubkey(), signers=[STRANGER.pubkey()]))
    denied(judge(rules, w.transfer(ME_KEY, OUT, 1), theirs), "desk/programs: not listed")


def test_undecoded_instructions_of_listed_programs_are_denied() -> None:
    """Naming a program allows what is decoded of it, nothing else: a p-token batch, say."""
    batch = token(b"\xff" + bytes(20), ACCOUNT, OUT, ME_KEY)
    denied(judge(policy(UNLIMITED), batch), "desk/programs: undecoded instruction")


SENSITIVE = {
    "system/assign": w.system(1, bytes(OUT), w.meta(ME_KEY, signers=[ME_KEY])),
    "system/allocate": w.system(8, Q("<Q", 80), w.meta(ME_KEY, signers=[ME_KEY])),
    "system/advanceNonce": w.system(
        4, b"", w.meta(ACCOUNT, w.RECENT_BLOCKHASHES, ME_KEY, signers=[ME_KEY])
    ),
    "system/authorizeNonce": w.system(7, bytes(OUT), w.meta(ACCOUNT, ME_KEY, signers=[ME_KEY])),
    "system/initializeNonce": w.system(6, bytes(OUT), w.meta(ME_KEY, w.RECENT_BLOCKHASHES, w.RENT)),
    "token/approve": token(b"\4" + Q("<Q", 7), ACCOUNT, OUT, ME_KEY),
    "token/setAuthority": token(b"\6\2\1" + bytes(OUT), ACCOUNT, ME_KEY),
    "token/burn": token(b"\x08" + Q("<Q", 7), ACCOUNT, MINT, ME_KEY),
    "token/mintTo": token(b"\7" + Q("<Q", 7), MINT, OUT, ME_KEY),
    "token-2022/cpiGuardExtension": token(b"\x22\1", ACCOUNT, ME_KEY, program=w.TOKEN_2022),
}


@pytest.mark.parametrize(("role", "instruction"), SENSITIVE.items(), ids=SENSITIVE)
def test_sensitive_roles_need_a_word_of_their_own(role: str, instruction: Instruction) -> None:
    """Authority is not given away because its program is allowed: the role itself must be."""
    denied(judge(policy(UNLIMITED), instruction), "desk/instructions_allow: not listed")
    assert judge(policy(UNLIMITED, f'instructions_allow = ["{role}"]'), instruction).allowed


def test_a_new_account_that_is_our_wallet_is_an_assign() -> None:
    """CreateAccount onto an empty wallet would hand the wallet to a program: its own verdict is no,
    though the wallet that pays may.
    """
    data = Q("<QQ", 7, 0) + bytes(w.TOKEN)
    create = w.system(0, data, w.meta(ME_KEY, SIB_KEY, signers=[ME_KEY, SIB_KEY]))
    assert judge(policy(), create).allowed
    denied(judge(policy(), create, who=wallet(SIBLING)), "desk/instructions_allow: not listed")


def test_deny_wins_over_allow() -> None:
    """A denied role is denied though it is listed as allowed, and whoever consents."""
    rules = policy(
        'instructions_allow = ["system/assign"]',
        'instructions_deny = ["system/assign", "system/transfer"]',
    )
    denied(judge(rules, SENSITIVE["system/assign"]), "desk/instructions_deny: system/assign")
    theirs = w.transfer(STRANGER.pubkey(), OUT, 1)
    denied(judge(rules, MEMO, theirs), "desk/instructions_deny: system/transfer")


def test_strangers_authority_is_their_own() -> None:
    """What another signer gives away, of its own, is no reason to refuse ours."""
    stranger = STRANGER.pubkey()
    theirs = Instruction(
        w.TOKEN, b"\6\2\1" + bytes(OUT), w.meta(ACCOUNT, stranger, signers=[stranger])
    )
    assert judge(policy(), w.transfer(ME_KEY, OUT, 1), theirs).allowed


def test_lamports_cap_counts_every_way_out() -> None:
    """Transfers, rent of new accounts and ATAs, base and priority fee, wrapped SOL: one lamport
    above the cap is refused, at the cap it passes.
    """
    both = w.meta(ME_KEY, SIB_KEY, signers=[ME_KEY, SIB_KEY])
    instructions = [
        w.price(1_000_000),
        w.limit(100),
        w.transfer(ME_KEY, OUT, 1_000),
        w.system(0, Q("<QQ", 2_000, 0) + bytes(w.SYSTEM), both),
        w.create_ata(ME_KEY, OUT, MINT),
        send(w.NATIVE, OUT, 4_000),
        w.transfer(STRANGER.pubkey(), OUT, 10**12),
    ]  # fmt: skip
    total = 100 + 3 * 5_000 + 1_000 + 2_000 + 2_282_880 + 4_000
    verdict = judge(policy(UNLIMITED, lamports=total), *instructions, payer=ME)
    assert (verdict.allowed, verdict.lamports_out_max) == (True, total)
    rules = policy(UNLIMITED, lamports=total - 1)
    verdict = judge(rules, *instructions, payer=ME)
    denied(verdict, f"desk/lamports_per_transaction_max: {total - 1}")
    assert verdict.detail == f"{total} lamports can leave"


def test_amounts_do_not_wrap_around() -> None:
    """Two amounts whose sum exceeds 64 bits are more than any cap, not less."""
    ixs = [w.transfer(ME_KEY, OUT, 2**63), w.transfer(ME_KEY, OUT, 2**63 + 1)]
    rules = policy(lamports=2**64 - 1)
    denied(judge(rules, *ixs), f"desk/lamports_per_transaction_max: {2**64 - 1}")
    huge = [w.price(2**64 - 1), w.limit(1_400_000)]
    denied(judge(rules, *huge, MEMO, payer=ME), f"desk/lamports_per_transaction_max: {2**64 - 1}")


def test_unknown_lamports_are_over_any_cap() -> None:
    """Rent that only the chain knows cannot be held under a cap."""
    extend = token(b"\x1d\7\0", ACCOUNT, ME_KEY, w.SYSTEM, program=w.TOKEN_2022)
    rules = policy('instructions_allow = ["token-2022/reallocate"]', lamports=2**64 - 1)
    denied(judge(rules, extend), f"desk/lamports_per_transaction_max: {2**64 - 1}")


@pytest.mark.parametrize("version", [0, 1])
def test_priority_fee_cap(version: int) -> None:
    """The fee payer's priority fee has its own cap, in instructions or in v1's configuration."""
    rules = policy("priority_fee_lamports_max = 100")
    rule = "desk/priority_fee_lamports_max: 100"

    def verdict(fee: int, payer: Keypair) -> Verdict:
        ixs = [] if version == 1 else [w.price(1_000_000), w.limit(fee)]
        pay = w.transfer(ME_KEY, OUT, 1)
        return judge(rules, *ixs, pay, payer=payer, version=version, priority_fee=fee)

    denied(verdict(101, ME), rule)
    assert verdict(100, ME).allowed
    assert verdict(101, STRANGER).allowed


def test_token_caps_by_mint() -> None:
    """The sum of a mint's transfers counts; a mint that is not listed has no allowance; no table,
    no tokens.
    """
    rules = policy(f'tokens_per_transaction_max = {{"{MINT}" = 10}}')
    assert judge(rules, send(MINT, OUT, 4), send(MINT, OUT, 6)).allowed
    denied(
        judge(rules, send(MINT, OUT, 5), send(MINT, OUT, 6)),
        "desk/tokens_per_transaction_max: 10",
    )
    unlisted = "desk/tokens_per_transaction_max: mint not listed"
    denied(judge(rules, send(w.key(6).pubkey(), OUT, 1)), unlisted)
    denied(judge(policy(), send(MINT, OUT, 1)), unlisted)
    plain = token(b"\3" + Q("<Q", 1), ACCOUNT, OUT, ME_KEY)
    unknown = "desk/tokens_per_transaction_max: mint or amount unknown"
    denied(judge(rules, plain), unknown)
    day = policy(UNLIMITED, 'tokens_per_day_max = {"*" = 1}')
    denied(judge(day, plain), unknown)


def test_a_transfer_that_states_its_fee_is_a_transfer() -> None:
    """TransferCheckedWithFee needs no word of its own and counts against caps whole, even of a fee
    of nil, which plans state for mints that may have one later.
    """
    for fee in (0, 1):
        data = b"\x1a\1" + Q("<QBQ", 7, 6, fee)
        stated = token(data, ACCOUNT, MINT, OUT, ME_KEY, program=w.TOKEN_2022)
        for cap, allowed in ((7, True), (6, False)):
            rules = policy(f'tokens_per_transaction_max = {{"{MINT}" = {cap}}}')
            assert judge(rules, stated).allowed is allowed


def test_token_charges_count_by_the_day() -> None:
    """An allowed token transfer is charged to the wallet's and the group's 24 hours."""
    rules = policy(UNLIMITED, f'group_tokens_per_day_max = {{"{MINT}" = 9}}')
    verdict = judge(rules, send(MINT, OUT, 4))
    assert [(c.meter, c.amount, c.limit) for c in verdict.charges[1:]] == [
        (f"tokens/{MINT}/{ME_KEY}", 4, 2**64 - 1),
        (f"group-tokens/{MINT}/desk", 4, 9),
    ]


def test_trusted_programs_cost_their_declared_lamports() -> None:
    """A program that could do anything is allowed by name, and each call that could use our wallet
    is charged what the policy says it may take.
    """
    rules = policy(f'trusted_programs = {{"{FOREIGN}" = 1000}}', lamports=2000)
    assert judge(rules, SWAP).lamports_out_max == 1000
    assert judge(rules, SWAP, SWAP).allowed
    denied(judge(rules, SWAP, SWAP, SWAP), "desk/lamports_per_transaction_max: 2000")
    stranger = STRANGER.pubkey()
    theirs = Instruction(FOREIGN, b"swap", w.meta(stranger, signers=[stranger]))
    assert judge(rules, theirs, w.transfer(ME_KEY, OUT, 7)).lamports_out_max == 7
    verdict = judge(rules, theirs, MEMO, payer=ME)  # it could make our fee grow
    assert verdict.lamports_out_max == 1000 + 2 * 5000


def test_each_signer_is_judged_by_its_own_group() -> None:
    """One wallet's generous group says nothing about the other's strict one."""
    text = """
version = 1
[[group]]
name = "strict"
master_fingerprints = ["*"]
index_last = 0
programs = ["system"]
lamports_per_transaction_max = 5
destinations = "any"
[[group]]
name = "generous"
master_fingerprints = ["*"]
programs = ["system"]
lamports_per_transaction_max = 50
destinations = "any"
"""
    assert tomllib.loads(text)
    rules = parse_policy(text.encode())
    ixs = [w.transfer(ME_KEY, OUT, 20), w.transfer(SIB_KEY, OUT, 20)]
    verdict = judge(rules, *ixs, who=Wallet(str(SIB_KEY), "0" * 32, 1))
    assert (verdict.allowed, verdict.group) == (True, "generous")
    denied(
        judge(rules, *ixs, who=Wallet(str(ME_KEY), "0" * 32, 0)),
        "strict/lamports_per_transaction_max: 5",
    )


def test_programs_may_be_named_by_address() -> None:
    """A program's base58 address is its name's equal."""
    assert judge(policy(programs=str(w.SYSTEM)), w.transfer(ME_KEY, OUT, 1)).allowed
    assert ALL.count(",") == 5
