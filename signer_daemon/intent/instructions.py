"""The instructions that this signer decodes, as tables: name, effect, layout, consent, recipient.

Sources: the processors of the System, SPL Token (p-token), Token-2022, Associated Token Account and
Compute Budget programs. A row's data must fit exactly; the programs tolerate trailing bytes, this
judge does not.
"""

from typing import Final, NamedTuple

from signer_daemon.intent import programs
from signer_daemon.intent.effects import Kind

# Who consents: positions in the instruction's accounts; those among them that sign count.
NOBODY: Final = slice(0, 0)
FIRST: Final = slice(0, 1)
SECOND: Final = slice(1, 2)
# The nonce and seed instructions look for their authority among all the signers they are given.
ANYBODY: Final = slice(None)
KEY: Final = "key"  # the destination is the last 32-byte field of the data


class Row(NamedTuple):
    """One instruction.

    `layouts` are struct formats of what follows the discriminator, tried by length; `*` stands for
    a seed string. The amount is the first integer in it. A token authority may be a multisig, so
    its consent is a slice that reaches to the end. A `sensitive` role gives authority away, or has
    an effect that no amount describes: a policy must allow it by name.
    """

    name: str
    kind: Kind
    layouts: tuple[str, ...] = ("",)
    accounts: int = 0
    by: slice = NOBODY
    to: int | str | None = None
    mint: int | None = None
    sensitive: bool = False


def _authority(
    name: str,
    layouts: tuple[str, ...],
    accounts: int,
    by: slice,
    to: int | str | None = None,
    mint: int | None = None,
) -> Row:
    return Row(name, Kind.AUTHORITY, layouts, accounts, by, to, mint, sensitive=True)


def _u32(number: int) -> bytes:
    return number.to_bytes(4, "little")


_SYSTEM: dict[bytes, Row] = {
    _u32(0): Row("createAccount", Kind.LAMPORTS, ("QQ32s",), 2, FIRST, 1),
    _u32(1): _authority("assign", ("32s",), 1, FIRST, KEY),
    _u32(2): Row("transfer", Kind.LAMPORTS, ("Q",), 2, FIRST, 1),
    _u32(3): Row("createAccountWithSeed", Kind.LAMPORTS, ("32s*QQ32s",), 2, FIRST, 1),
    _u32(4): _authority("advanceNonce", ("",), 3, ANYBODY),
    _u32(5): Row("withdrawNonce", Kind.LAMPORTS, ("Q",), 5, ANYBODY, 1, sensitive=True),
    _u32(6): _authority("initializeNonce", ("32s",), 3, NOBODY, KEY),
    _u32(7): _authority("authorizeNonce", ("32s",), 2, ANYBODY, KEY),
    _u32(8): _authority("allocate", ("Q",), 1, FIRST),
    _u32(9): _authority("allocateWithSeed", ("32s*Q32s",), 1, ANYBODY, KEY),
    _u32(10): _authority("assignWithSeed", ("32s*32s",), 1, ANYBODY, KEY),
    _u32(11): Row("transferWithSeed", Kind.LAMPORTS, ("Q*32s",), 3, SECOND, 2),
    _u32(12): _authority("upgradeNonce", ("",), 1, NOBODY),
}

_FROM_2, _FROM_3 = slice(2, None), slice(3, None)
_TOKEN: dict[bytes, Row] = {
    b"\0": _authority("initializeMint", ("B32sB", "B32sB32s"), 1, NOBODY),
    b"\1": Row("initializeAccount", Kind.HARMLESS, ("",), 3),
    b"\2": _authority("initializeMultisig", ("B",), 1, NOBODY),
    b"\3": Row("transfer", Kind.TOKENS, ("Q",), 3, _FROM_2, 1),
    b"\4": Row("approve", Kind.TOKENS, ("Q",), 3, _FROM_2, 1, sensitive=True),
    b"\5": Row("revoke", Kind.HARMLESS, ("",), 2, slice(1, None)),
    b"\6": _authority("setAuthority", ("BB", "BB32s"), 2, slice(1, None), KEY),
    b"\7": Row("mintTo", Kind.TOKENS, ("Q",), 3, _FROM_2, 1, 0, sensitive=True),
    b"\x08": Row("burn", Kind.TOKENS, ("Q",), 3, _FROM_2, None, 1, sensitive=True),
    b"\x09": Row("closeAccount", Kind.SWEEP, ("",), 3, _FROM_2, 1),
    b"\x0a": _authority("freezeAccount", ("",), 3, _FROM_2),
    b"\x0b": _authority("thawAccount", ("",), 3, _FROM_2),
    b"\x0c": Row("transferChecked", Kind.TOKENS, ("QB",), 4, _FROM_3, 2, 1),
    b"\x0d": Row("approveChecked", Kind.TOKENS, ("QB",), 4, _FROM_3, 2, 1, sensitive=True),
    b"\x0e": Row("mintToChecked", Kind.TOKENS, ("QB",), 3, _FROM_2, 1, 0, sensitive=True),
    b"\x0f": Row("burnChecked", Kind.TOKENS, ("QB",), 3, _FROM_2, None, 1, sensitive=True),
    b"\x10": Row("initializeAccount2", Kind.HARMLESS, ("32s",), 2),
    b"\x11": Row("syncNative", Kind.HARMLESS, ("",), 1),
    b"\x12": Row("initializeAccount3", Kind.HARMLESS, ("32s",), 2),
    b"\x13": _authority("initializeMultisig2", ("B",), 1, NOBODY),
    b"\x14": _authority("initializeMint2", ("B32sB", "B32sB32s"), 1, NOBODY),
    b"\x16": Row("initializeImmutableOwner", Kind.HARMLESS, ("",), 1),
    b"\x26": Row("withdrawExcessLamports", Kind.SWEEP, ("",), 3, _FROM_2, 1),
}

# Token-2022's extensions that are named but not decoded: allowing one is trust, not proof. The ones
# that move tokens or fund rent have an amount nobody here can know, which no cap lets through.
_EXTENSIONS: dict[int, tuple[str, Kind]] = {
    25: ("initializeMintCloseAuthority", Kind.AUTHORITY),
    26: ("transferFeeExtension", Kind.TOKENS),
    27: ("confidentialTransferExtension", Kind.TOKENS),
    28: ("defaultAccountStateExtension", Kind.AUTHORITY),
    29: ("reallocate", Kind.LAMPORTS),
    30: ("memoTransferExtension", Kind.AUTHORITY),
    31: ("createNativeMint", Kind.LAMPORTS),
    32: ("initializeNonTransferableMint", Kind.AUTHORITY),
    33: ("interestBearingMintExtension", Kind.AUTHORITY),
    34: ("cpiGuardExtension", Kind.AUTHORITY),
    35: ("initializePermanentDelegate", Kind.AUTHORITY),
    36: ("transferHookExtension", Kind.AUTHORITY),
    37: ("confidentialTransferFeeExtension", Kind.TOKENS),
    39: ("metadataPointerExtension", Kind.AUTHORITY),
    40: ("groupPointerExtension", Kind.AUTHORITY),
    41: ("groupMemberPointerExtension", Kind.AUTHORITY),
    42: ("confidentialMintBurnExtension", Kind.TOKENS),
    43: ("scaledUiAmountExtension", Kind.AUTHORITY),
    44: ("pausableExtension", Kind.AUTHORITY),
}
EXTENSIONS: Final = {
    bytes([number]): Row(name, kind, (), 1, ANYBODY, sensitive=True)
    for number, (name, kind) in _EXTENSIONS.items()
}

_FEE_TRANSFER = Row("transferCheckedWithFee", Kind.TOKENS, ("QBQ",), 4, _FROM_3, 2, 1)
_HARVEST = Row("harvestWithheldTokensToMint", Kind.HARMLESS, ("",), 1)

TABLES: Final[dict[str, dict[bytes, Row]]] = {
    programs.SYSTEM: _SYSTEM,
    programs.TOKEN: _TOKEN,
    programs.TOKEN_2022: _TOKEN | {b"\x1a\x01": _FEE_TRANSFER, b"\x1a\x04": _HARVEST} | EXTENSIONS,
    # The ATA's owner can close it and keep the rent: so the owner, not the account, receives.
    programs.ASSOCIATED_TOKEN: {
        b"": Row("create", Kind.LAMPORTS, ("",), 6, FIRST, 2, 3),
        b"\0": Row("create", Kind.LAMPORTS, ("",), 6, FIRST, 2, 3),
        b"\1": Row("createIdempotent", Kind.LAMPORTS, ("",), 6, FIRST, 2, 3),
        b"\2": _authority("recoverNested", ("",), 7, slice(5, 6), 5),
    },
    programs.COMPUTE_BUDGET: {
        b"\1": Row("requestHeapFrame", Kind.HARMLESS, ("I",)),
        b"\2": Row("setComputeUnitLimit", Kind.HARMLESS, ("I",)),
        b"\3": Row("setComputeUnitPrice", Kind.HARMLESS, ("Q",)),
        b"\4": Row("setLoadedAccountsDataSizeLimit", Kind.HARMLESS, ("I",)),
    },
    programs.MEMO: {b"": Row("memo", Kind.HARMLESS, ())},
    programs.MEMO_V1: {b"": Row("memo", Kind.HARMLESS, ())},
}

ROLES: Final = {
    f"{programs.NAMES[program]}/{row.name}": row.sensitive
    for program, table in TABLES.items()
    for row in table.values()
}
"""Every role that a policy can name, and whether it is sensitive."""
