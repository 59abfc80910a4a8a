"""Addresses that are derived from a mint: associated token accounts, Metaplex metadata."""

from typing import Final

from solders.pubkey import Pubkey

from gateway.domain.token_metadata import METAPLEX_PROGRAM

_ASSOCIATED_TOKEN_PROGRAM: Final = Pubkey.from_string(
    "ATokenGPvbdGVxr1b2hvZbsiqW5xWH25efTNsLJA8knL"
)
_METADATA_SEED: Final = b"metadata"
_METADATA_PROGRAM: Final = Pubkey.from_string(METAPLEX_PROGRAM)


def associated_token_address(owner: str, token_program: str, mint: str) -> str:
    """Returns where a wallet's associated account of a mint is, whether it exists or not."""
    seeds = [bytes(Pubkey.from_string(text)) for text in (owner, token_program, mint)]
    return str(Pubkey.find_program_address(seeds, _ASSOCIATED_TOKEN_PROGRAM)[0])


def metaplex_metadata_address(mint: str) -> str:
    """Returns where a mint's Metaplex metadata is, whether it exists or not."""
    seeds = [_METADATA_SEED, bytes(_METADATA_PROGRAM), bytes(Pubkey.from_string(mint))]
    return str(Pubkey.find_program_address(seeds, _METADATA_PROGRAM)[0])
