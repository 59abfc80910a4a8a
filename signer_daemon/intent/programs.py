"""The programs that this signer decodes: addresses and the names that policies use."""

from functools import lru_cache

from solders.pubkey import Pubkey

SYSTEM = "11111111111111111111111111111111"
TOKEN = "TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA"  # noqa: S105 - a program's address
TOKEN_2022 = "TokenzQdBNbLqP5VEhdkAS6EPFLC1PHnBqCXEpPxuEb"  # noqa: S105 - a program's address
ASSOCIATED_TOKEN = "ATokenGPvbdGVxr1b2hvZbsiqW5xWH25efTNsLJA8knL"  # noqa: S105 - a program's address
COMPUTE_BUDGET = "ComputeBudget111111111111111111111111111111"
MEMO = "MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr"
MEMO_V1 = "Memo1UhkJRfHyvLMcVucJwxXeuD728EqVDDwQDxFMNo"
NATIVE_MINT = "So11111111111111111111111111111111111111112"

NAMES = {
    SYSTEM: "system",
    TOKEN: "token",
    TOKEN_2022: "token-2022",
    ASSOCIATED_TOKEN: "associated-token",
    COMPUTE_BUDGET: "compute-budget",
    MEMO: "memo",
    MEMO_V1: "memo-v1",
}


@lru_cache(maxsize=16_384)
def associated_token_address(owner: str, token_program: str, mint: str) -> str:
    """Derives the ATA of `owner` for `mint`: whoever owns such an account, it was made for `owner`.
    All base58. Cached: a derivation costs some 20 us.
    """
    seeds = [bytes(Pubkey.from_string(part)) for part in (owner, token_program, mint)]
    return str(Pubkey.find_program_address(seeds, Pubkey.from_string(ASSOCIATED_TOKEN))[0])
