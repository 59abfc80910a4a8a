"""Every decoded instruction: who consents, what moves, to whom; and what must not be decoded."""

import struct

import pytest
from solders.instruction import Instruction
from solders.pubkey import Pubkey

from signer_daemon.intent import Effect, Intent, Kind, parse_transaction, read_intent
from signer_daemon.intent.instructions import ROLES, TABLES
from tests.intent import world as w

ME, SIBLING, STRANGER = w.key(1), w.key(2), w.key(3)


OUT, MINT, ACCOUNT = (w.key(n).pubkey() for n in (4, 5, 8))


ALL = [ME, SIBLING, STRANGER]


RENT = 2_282_880


ME_KEY, OUT_KEY = ME.pubkey(), OUT


Q = struct.pack


def intent_of(
    *instructions: Instruction, version: int = -1, priority_fee: int | None = None
) -> Intent:
    """The intent of a transaction that the stranger pays for."""
    data = w.wire(instructions, STRANGER, ALL, version=version, priority_fee=priority_fee)
    return read_intent(parse_transaction(data).message, RENT)


def effects_of(
    instruction: Instruction,
) -> list[tuple[Kind, str, set[str], str | None, int | None]]:
    """The essentials of each effect of one instruction."""
    return [
        (e.kind, e.role, set(e.authorities), e.destination, e.amount)
        for e in intent_of(instruction).effects
    ]


def names(*keys: Pubkey) -> set[str]:
    """Addresses as text."""
    return {str(key) for key in keys}


def token(data: bytes, *keys: Pubkey, program: Pubkey = w.TOKEN) -> Instruction:
    """A token instruction that our wallet signs."""
    return Instruction(program, data, w.meta(*keys, signers=[ME_KEY]))


def mine(number: int, body: bytes, *keys: Pubkey) -> Instruction:
    """A System instruction that our wallet signs."""
    return w.system(number, body, w.meta(*keys, signers=[ME_KEY]))


SEED = w.seeded(b"s")


AMOUNT, CHECKED = Q("<Q", 7), Q("<QB", 7, 6)


BASE, TO, BLOCKHASHES = bytes(ME_KEY), bytes(OUT), w.RECENT_BLOCKHASHES


LAMPORTS, TOKENS, SWEEP = Kind.LAMPORTS, Kind.TOKENS, Kind.SWEEP


AUTHORITY, HARMLESS, ATA = Kind.AUTHORITY, Kind.HARMLESS, "associated-token"


NESTED = w.meta(ACCOUNT, MINT, OUT, w.NATIVE, w.RENT, ME_KEY, w.TOKEN, signers=[ME_KEY])


CASES: list[tuple[Instruction, Kind, str, Pubkey | None, int | None]] = [
    (w.transfer(ME_KEY, OUT, 7), LAMPORTS, "system/transfer", OUT, 7),
    (
        mine(3, BASE + SEED + Q("<QQ", 7, 0) + TO, ME_KEY, ACCOUNT),
        LAMPORTS, "system/createAccountWithSeed", ACCOUNT, 7,
    ),
    (
        mine(11, AMOUNT + SEED + bytes(w.SYSTEM), ACCOUNT, ME_KEY, OUT),
        LAMPORTS, "system/transferWithSeed", OUT, 7,
    ),
    (mine(1, TO, ME_KEY), AUTHORITY, "system/assign", OUT, None),
    (mine(8, Q("<Q", 80), ME_KEY), AUTHORITY, "system/allocate", None, None),
    (
        mine(9, BASE + SEED + AMOUNT + TO, ACCOUNT, ME_KEY),
        AUTHORITY, "system/allocateWithSeed", OUT, None,
    ),
    (
        mine(10, BASE + SEED + TO, ACCOUNT, ME_KEY),
        AUTHORITY, "system/assignWithSeed", OUT, None,
    ),
    (
        mine(4, b"", ACCOUNT, BLOCKHASHES, ME_KEY),
        AUTHORITY, "system/advanceNonce", None, None,
    ),
    (
        mine(5, AMOUNT, ACCOUNT, OUT, BLOCKHASHES, w.RENT, ME_KEY),
        LAMPORTS, "system/withdrawNonce", OUT, 7,
    ),
    (
        mine(7, TO, ACCOUNT, ME_KEY),
        AUTHORITY, "system/authorizeNonce", OUT, None,
    ),
    (token(b"\3" + AMOUNT, ACCOUNT, OUT, ME_KEY), TOKENS, "token/transfer", OUT, 7),
    (token(b"\x0c" + CHECKED, ACCOUNT, MINT, OUT, ME_KEY), TOKENS, "token/transferChecked", OUT, 7),
    (token(b"\4" + AMOUNT, ACCOUNT, OUT, ME_KEY), TOKENS, "token/approve", OUT, 7),
    (token(b"\x0d" + CHECKED, ACCOUNT, MINT, OUT, ME_KEY), TOKENS, "token/approveChecked", OUT, 7),
    (token(b"\5", ACCOUNT, ME_KEY), HARMLESS, "token/revoke", None, None),
    (token(b"\6\2\1" + TO, ACCOUNT, ME_KEY), AUTHORITY, "token/setAuthority", OUT, None),
    (token(b"\6\3\0", ACCOUNT, ME_KEY), AUTHORITY, "token/setAuthority", None, None),
    (token(b"\7" + AMOUNT, MINT, OUT, ME_KEY), TOKENS, "token/mintTo", OUT, 7),
    (token(b"\x0e" + CHECKED, MINT, OUT, ME_KEY), TOKENS, "token/mintToChecked", OUT, 7),
    (token(b"\x08" + AMOUNT, ACCOUNT, MINT, ME_KEY), TOKENS, "token/burn", None, 7),
    (token(b"\x0f" + CHECKED, ACCOUNT, MINT, ME_KEY), TOKENS, "token/burnChecked", None, 7),
    (token(b"\x09", ACCOUNT, OUT, ME_KEY), SWEEP, "token/closeAccount", OUT, None),
    (token(b"\x26", ACCOUNT, OUT, ME_KEY), SWEEP, "token/withdrawExcessLamports", OUT, None),
    (token(b"\x0a", ACCOUNT, MINT, ME_KEY), AUTHORITY, "token/freezeAccount", None, None),
    (token(b"\x0b", ACCOUNT, MINT, ME_KEY), AUTHORITY, "token/thawAccount", None, None),
    (
        token(b"\x1a\1" + Q("<QBQ", 7, 6, 1), ACCOUNT, MINT, OUT, ME_KEY, program=w.TOKEN_2022),
        TOKENS, "token-2022/transferCheckedWithFee", OUT, 7,
    ),
    (
        token(b"\x1a\3\0", MINT, OUT, ME_KEY, program=w.TOKEN_2022),
        TOKENS, "token-2022/transferFeeExtension", None, None,
    ),
    (
        token(b"\x1d\7\0", ACCOUNT, ME_KEY, w.SYSTEM, program=w.TOKEN_2022),
        LAMPORTS, "token-2022/reallocate", None, None,
    ),
    (
        token(b"\x22\1", ACCOUNT, ME_KEY, program=w.TOKEN_2022),
        AUTHORITY, "token-2022/cpiGuardExtension", None, None,
    ),
    (w.create_ata(ME_KEY, OUT, MINT), LAMPORTS, f"{ATA}/createIdempotent", OUT, RENT),
    (w.create_ata(ME_KEY, OUT, MINT, data=b""), LAMPORTS, f"{ATA}/create", OUT, RENT),
    (w.create_ata(ME_KEY, OUT, MINT, data=b"\0"), LAMPORTS, f"{ATA}/create", OUT, RENT),
    (
        Instruction(w.ATA, b"\2", NESTED),
        AUTHORITY, f"{ATA}/recoverNested", ME_KEY, None,
    ),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case[2])
def test_effect_names_consent_amount_and_recipient(
    case: tuple[Instruction, Kind, str, Pubkey | None, int | None],
) -> None:
    """Each instruction that our wallet signs is one effect, its recipient in its place."""
    instruction, kind, role, to, amount = case
    expected = (kind, role, names(ME_KEY), None if to is None else str(to), amount)
    assert [expected] == effects_of(instruction)


def test_create_account_pays_and_hands_over() -> None:
    """The funder's lamports go to the new account; the new account's own owner is given away."""
    sibling = SIBLING.pubkey()
    data = Q("<QQ", 7, 0) + bytes(OUT)
    instruction = w.system(0, data, w.meta(ME_KEY, sibling, signers=[ME_KEY, sibling]))
    assert effects_of(instruction) == [
        (Kind.LAMPORTS, "system/createAccount", names(ME_KEY), str(sibling), 7),
        (Kind.AUTHORITY, "system/assign", names(sibling), str(OUT), None),
    ]


@pytest.mark.parametrize(
    ("instruction", "role"),
    [
        (w.system(6, bytes(OUT), w.meta(ME_KEY, w.RECENT_BLOCKHASHES, w.RENT)), "initializeNonce"),
        (w.system(12, b"", w.meta(ACCOUNT)), "upgradeNonce"),
    ],
)
def test_effects_without_consent_are_kept(instruction: Instruction, role: str) -> None:
    """Instructions that need no signature are effects all the same: they can prepare a theft."""
    ((kind, name, consent, _, _),) = effects_of(instruction)
    assert (kind, name, consent) == (Kind.AUTHORITY, f"system/{role}", set())


def test_a_nonce_authority_is_found_anywhere_in_the_accounts() -> None:
    """The nonce instructions accept any signer among their accounts, wherever it stands."""
    others = w.meta(ACCOUNT, OUT, w.RECENT_BLOCKHASHES, w.RENT, MINT, ME_KEY, signers=[ME_KEY])
    ((_, _, consent, _, amount),) = effects_of(w.system(5, Q("<Q", 9), others))
    assert (consent, amount) == (names(ME_KEY), 9)


def test_a_multisig_members_consent_counts() -> None:
    """Behind a token multisig stand its signers: each of them consents."""
    keys = w.meta(ACCOUNT, OUT, MINT, ME_KEY, SIBLING.pubkey(), signers=[ME_KEY, SIBLING.pubkey()])
    ((_, _, consent, _, _),) = effects_of(Instruction(w.TOKEN, b"\3" + Q("<Q", 7), keys))
    assert consent == names(ME_KEY, SIBLING.pubkey())


def test_a_signer_that_only_receives_does_not_pay() -> None:
    """A transfer is charged to its source, though the recipient signs the transaction too."""
    intent = intent_of(w.transfer(STRANGER.pubkey(), ME_KEY, 5), w.transfer(ME_KEY, OUT, 1))
    assert intent.lamports_out_max(str(ME_KEY)) == 1


def test_every_transfer_of_a_transaction_counts() -> None:
    """Not only the first: the sum over all, the same again, and what hides between memos."""
    ixs = [w.transfer(ME_KEY, OUT, 2**40 + n) for n in range(3)]
    memo = Instruction(w.MEMO, b"hello", [])
    expected = sum(2**40 + n for n in range(3)) + 2**40
    assert expected == intent_of(ixs[0], memo, ixs[1], ixs[0], ixs[2]).lamports_out_max(str(ME_KEY))


def test_wrapped_sol_counts_as_lamports() -> None:
    """A checked transfer of the native mint is lamports leaving, whatever it is called."""
    instruction = token(b"\x0c" + Q("<QB", 7, 9), ACCOUNT, w.NATIVE, OUT, ME_KEY)
    assert intent_of(instruction).lamports_out_max(str(ME_KEY)) == 7


def test_unknown_amounts_leave_no_bound() -> None:
    """Rent that only the chain knows makes the whole outflow unknown, not zero."""
    instruction = token(b"\x1d\7\0", ACCOUNT, ME_KEY, w.SYSTEM, program=w.TOKEN_2022)
    assert intent_of(instruction, w.transfer(ME_KEY, OUT, 5)).lamports_out_max(str(ME_KEY)) is None


def test_effects_read_as_one_line_each() -> None:
    """The dry run prints effects: one line, with amount, consent and recipient, no line break."""
    intent = intent_of(w.transfer(ME_KEY, OUT, 7))
    assert str(intent.effects[0]) == f"0: system/transfer lamports 7 by {ME_KEY} to {OUT}"
    assert "unknown amount" in str(Effect(Kind.TOKENS, "token/x", 0))


def test_roles_are_unique_and_agree_on_sensitivity() -> None:
    """No two rows of a program share a name but differ in what a policy must say."""
    for program, table in TABLES.items():
        by_name: dict[str, bool] = {}
        for row in table.values():
            assert by_name.setdefault(row.name, row.sensitive) == row.sensitive, program
    assert sum(ROLES.values()) > 30
