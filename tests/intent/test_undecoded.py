"""What must not be decoded: the unknown, the inexact, and whatever could call out."""

import struct

import pytest
from solders.instruction import AccountMeta, Instruction
from solders.pubkey import Pubkey

from signer_daemon.intent import Kind
from tests.intent import world as w
from tests.intent.test_effects import (
    ACCOUNT,
    AMOUNT,
    CASES,
    CHECKED,
    ME_KEY,
    MINT,
    OUT,
    STRANGER,
    TOKENS,
    effects_of,
    intent_of,
)

Q = struct.pack


# An extension's data is trusted as a whole or not at all: it has no exact shape here.
EXACT = [case for case in CASES if "Extension" not in case[2] and "reallocate" not in case[2]]


@pytest.mark.parametrize("case", EXACT, ids=lambda case: case[2])
def test_a_byte_more_or_an_account_less_is_another_instruction(
    case: tuple[Instruction, Kind, str, Pubkey | None, int | None],
) -> None:
    """Programs tolerate trailing data; this judge does not take it for the instruction it begins
    with, nor what lacks accounts.
    """
    instruction, _, role, _, _ = case
    program, data, metas = instruction.program_id, bytes(instruction.data), instruction.accounts
    for wrong in (data + b"\7", data + bytes(30)):
        assert role not in {effect[1] for effect in effects_of(Instruction(program, wrong, metas))}
    assert effects_of(Instruction(program, data, []))[0][0] is Kind.UNDECODED


@pytest.mark.parametrize(
    "instruction",
    [
        Instruction(w.TOKEN, b"\xff" + bytes(20), w.meta(ACCOUNT, OUT, ME_KEY, signers=[ME_KEY])),
        Instruction(w.TOKEN, b"\x2d", w.meta(ACCOUNT, OUT, ME_KEY, signers=[ME_KEY])),
        w.system(13, Q("<QQ", 0, 0) + bytes(OUT), w.meta(ME_KEY, signers=[ME_KEY])),
        Instruction(w.key(99).pubkey(), b"swap", w.meta(ME_KEY, signers=[ME_KEY])),
        Instruction(w.BUDGET, b"\0" + bytes(8), []),
    ],
    ids=[
        "p-token batch",
        "unwrapLamports",
        "createAccountAllowPrefund",
        "unknown program",
        "budget",
    ],
)
def test_unknown_instructions_are_undecoded_effects(instruction: Instruction) -> None:
    """What no table describes is an effect of its own kind, with every signer it could use."""
    (effect,) = intent_of(instruction).effects
    signers = {str(m.pubkey) for m in instruction.accounts if m.is_signer}
    assert (effect.kind, set(effect.authorities)) == (Kind.UNDECODED, signers)


@pytest.mark.parametrize("data", [b"\3" + AMOUNT, b"\x0c" + CHECKED, b"\x1a\1" + CHECKED + AMOUNT])
def test_a_transfer_hook_is_never_lent_a_signature(data: bytes) -> None:
    """Behind the authority of a Token-2022 transfer may stand what a hook needs, but no signer: the
    mint's own program would be handed its signature, for its lamports too. The authority itself
    may stand there again: Token-2022 does not pass its signature on.
    """
    stranger = STRANGER.pubkey()
    checked = [MINT] if data[:1] != b"\3" else []
    keys = [ACCOUNT, *checked, OUT, stranger, w.key(90).pubkey()]
    for extra, kind in (([ME_KEY], Kind.UNDECODED), ([stranger], TOKENS), ([OUT], TOKENS)):
        metas = w.meta(*keys, *extra, signers=[stranger, ME_KEY])
        assert effects_of(Instruction(w.TOKEN_2022, data, metas))[0][0] is kind
    metas = w.meta(*keys, ME_KEY, signers=[stranger, ME_KEY])  # the old program has no hooks
    assert data[0] == 0x1A or effects_of(Instruction(w.TOKEN, data, metas))[0][0] is TOKENS


def test_ata_must_be_the_derived_one() -> None:
    """An ATA instruction whose account, token program or owner does not fit is undecoded."""
    good = w.create_ata(ME_KEY, OUT, MINT)
    for place, other in ((1, ACCOUNT), (2, ACCOUNT), (3, ACCOUNT), (5, w.SYSTEM), (5, w.MEMO)):
        metas = list(good.accounts)
        metas[place] = AccountMeta(other, is_signer=False, is_writable=True)
        (effect,) = intent_of(Instruction(w.ATA, b"\1", metas)).effects
        assert effect.kind is Kind.UNDECODED
