"""Addresses of associated token accounts, by solders."""

from typing import Final

from solders.pubkey import Pubkey

_ASSOCIATED_TOKEN_PROGRAM: Final = Pubkey.from_string(
    "ATokenGPvbdGVxr1b2hvZbsiqW5xWH25efTNsLJA8knL"
)


def associated_token_address(owner: str, token_program: str, mint: str) -> str:
    """Returns where a wallet's associated account of a mint is, whether it exists or not."""
    seeds = [bytes(Pubkey.from_string(text)) for text in (owner, token_program, mint)]
    return str(Pubkey.find_program_address(seeds, _ASSOCIATED_TOKEN_PROGRAM)[0])
