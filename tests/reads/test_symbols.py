"""Symbols of mints as the gateway reads them from a node."""

from solders.account import Account
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from gateway.adapters.associated_tokens import metaplex_metadata_address
from gateway.domain.token_metadata import METAPLEX_PROGRAM
from tests.gateway.support import Gateway
from tests.reads.metadata import extended_mint, interface, metaplex
from tests.reads.streams import of, streamed
from tests.reads.tokens import TOKEN, TOKEN_2022, TokenChain
from tests.support.svm_rpc import SvmRpc


async def test_symbols_of_other_accounts(
    gateway: Gateway, tokens: TokenChain, svm_rpc: SvmRpc
) -> None:
    """Metaplex's account for a mint, and what a metadata pointer names; one mint points astray."""
    svm, owner = svm_rpc.chain.svm, Keypair().pubkey()
    plain, pointing, astray = (
        tokens.mint(TOKEN, 6),
        tokens.mint(TOKEN_2022, 6),
        tokens.mint(TOKEN_2022, 6),
    )
    for mint, program in ((plain, TOKEN), (pointing, TOKEN_2022), (astray, TOKEN_2022)):
        tokens.open(owner, mint, program)
    place, someone = Keypair().pubkey(), Keypair().pubkey()
    svm.set_account(place, Account(10**9, interface(pointing, "ZEIG"), someone))
    for mint in (pointing, astray):
        svm.set_account(mint, Account(10**9, extended_mint(mint, pointer=place), TOKEN_2022))
    for mint, symbol in ((plain, "PLEX"), (astray, "FAKE")):
        at = Pubkey.from_string(metaplex_metadata_address(str(mint)))
        program = Pubkey.from_string(METAPLEX_PROGRAM)
        svm.set_account(at, Account(10**9, metaplex(mint, symbol), program))
    (wallet,) = await streamed(gateway, of(owner))
    assert {str(plain): "PLEX", str(pointing): "ZEIG", str(astray): ""} == {
        item.mint: item.symbol for item in wallet.token_balances
    }
    assert {(6, "")} == {(item.decimals, item.error_reason) for item in wallet.token_balances}


async def test_huge_metadata_spoils_nothing(
    gateway: Gateway, tokens: TokenChain, svm_rpc: SvmRpc
) -> None:
    """A mint with megabytes of metadata has decimals, and is not read whole."""
    owner, mint, other = Keypair().pubkey(), tokens.mint(TOKEN_2022, 6), tokens.mint(TOKEN, 3)
    tokens.open(owner, mint, TOKEN_2022)
    tokens.open(owner, other, TOKEN)
    data = extended_mint(mint, "GELD", pointer=mint, uri="u" * 60_000)
    svm_rpc.chain.svm.set_account(mint, Account(10**12, data, TOKEN_2022))
    (wallet,) = await streamed(gateway, of(owner))
    found = {item.mint: (item.decimals, item.symbol, item.error_reason)
             for item in wallet.token_balances}  # fmt: skip
    assert {str(mint): (6, "GELD", ""), str(other): (3, "", "")} == found
    slices = [
        params[1].get("dataSlice")
        for name, params in svm_rpc.calls
        if name == "getMultipleAccounts"
    ]
    assert all(part and part["length"] <= 4_096 for part in slices)
