"""ListTokenBalances on accounts that the real token programs made."""

import base64
import struct
from uuid import UUID

import grpc
import pytest
from solders.account import Account
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from gateway.domain.amounts import U64_MAX
from solward.gateway.v1 import balance_service_pb2 as pb
from tests.gateway.support import Gateway, refusal_of
from tests.reads.conftest import Adopt
from tests.reads.tokens import TOKEN, TOKEN_2022, TokenChain, associated
from tests.support.svm_rpc import SvmRpc

OTHER = Keypair().pubkey()


async def listed(gateway: Gateway, wallet_id: object) -> dict[str, pb.TokenBalance]:
    """One page, by address of the account."""
    request = pb.ListTokenBalancesRequest(wallet_id=str(wallet_id))
    page = await gateway.balances.ListTokenBalances(request)
    return {item.token_account: item for item in page.token_balances}


async def test_both_programs_and_every_flag(
    gateway: Gateway, adopt: Adopt, tokens: TokenChain
) -> None:
    """Associated, auxiliary, frozen, delegated, closable by another, withheld, up to u64 max."""
    me = Keypair()
    wallet_id, key = await adopt(me), me.pubkey()
    plain = tokens.mint(TOKEN, 9)
    first = tokens.open(key, plain, TOKEN)
    tokens.issue(plain, first, U64_MAX - 1, TOKEN)
    tokens.approve(first, me, OTHER, 2**60)
    tokens.set_closer(first, me, OTHER)
    second = tokens.open_auxiliary(key, plain, TOKEN)
    tokens.issue(plain, second, 1, TOKEN)
    tokens.freeze(second, plain, TOKEN)
    fees = tokens.fee_mint(0, "GELD")
    third = tokens.open(key, fees, TOKEN_2022)
    sender = Keypair()
    fourth = tokens.open(sender.pubkey(), fees, TOKEN_2022)
    tokens.issue(fees, fourth, 1_000, TOKEN_2022)
    tokens.move(fourth, sender, third, fees, TOKEN_2022, 1_000, 0)

    found = await listed(gateway, wallet_id)
    assert {str(first), str(second), str(third)} == found.keys()
    one, two, three = found[str(first)], found[str(second)], found[str(third)]
    assert (U64_MAX - 1, 9) == (one.amount, one.decimals)
    assert (True, False) == (one.is_associated, one.frozen)
    assert (str(OTHER), 2**60, str(OTHER)) == (
        one.delegate,
        one.delegated_amount,
        one.close_authority,
    )
    assert (1, False, True, "") == (two.amount, two.is_associated, two.frozen, two.delegate)
    assert (str(plain), str(TOKEN), 10**9) == (two.mint, two.token_program, two.account_lamports)
    assert (990, 10, 0, "GELD") == (
        three.amount,
        three.withheld_amount,
        three.decimals,
        three.symbol,
    )
    assert (str(TOKEN_2022), True, "") == (
        three.token_program,
        three.is_associated,
        three.error_reason,
    )


async def test_pages_show_every_account_once(
    gateway: Gateway, adopt: Adopt, tokens: TokenChain
) -> None:
    """Five accounts in pages of two; a token of another wallet's list is refused."""
    me = Keypair()
    wallet_id, mint = await adopt(me), tokens.mint(TOKEN, 0)
    made = {str(tokens.open_auxiliary(me.pubkey(), mint, TOKEN)) for _ in range(5)}
    seen: list[str] = []
    token, last, pages = "", "", 0
    while token or not pages:
        request = pb.ListTokenBalancesRequest(
            wallet_id=str(wallet_id), page_size=2, page_token=token
        )
        page = await gateway.balances.ListTokenBalances(request)
        seen += [item.token_account for item in page.token_balances]
        token, pages = page.next_page_token or "", pages + 1
        last = token or last
    assert (sorted(made), 3) == (seen, pages)
    other = await adopt(Keypair())
    for wrong, whose in ((last, other), ("AAAA", wallet_id), ("!", wallet_id)):
        request = pb.ListTokenBalancesRequest(wallet_id=str(whose), page_token=wrong)
        assert ("page_token",) == (
            await refusal_of(gateway.balances.ListTokenBalances(request))
        ).fields


async def test_damaged_accounts_are_errors_and_spoil_no_other(
    gateway: Gateway, adopt: Adopt, tokens: TokenChain, svm_rpc: SvmRpc
) -> None:
    """A bad state byte, a foreign owner and a missing mint are named; no amount is shown."""
    me = Keypair()
    wallet_id, key = await adopt(me), me.pubkey()
    mint = tokens.mint(TOKEN, 3)
    good, bad, foreign, orphan = (tokens.open_auxiliary(key, mint, TOKEN) for _ in range(4))
    svm = svm_rpc.chain.svm

    def change(address: Pubkey, at: int, new: bytes) -> None:
        account = svm.get_account(address)
        assert account is not None
        data = account.data[:at] + new + account.data[at + len(new) :]
        svm.set_account(address, Account(account.lamports, data, account.owner))

    change(bad, 108, b"\7")
    change(orphan, 0, bytes(Keypair().pubkey()))
    svm_rpc.faults.clear()
    found = await listed(gateway, wallet_id)
    assert ("", 3) == (found[str(good)].error_reason, found[str(good)].decimals)
    assert ("MALFORMED_ACCOUNT", 0, "") == (
        found[str(bad)].error_reason,
        found[str(bad)].amount,
        found[str(bad)].mint,
    )
    assert "MINT_NOT_FOUND" == found[str(orphan)].error_reason
    change(mint, 45, b"\0")  # not initialized
    assert "MALFORMED_MINT" == (await listed(gateway, wallet_id))[str(foreign)].error_reason


async def test_a_node_that_lies_about_owners_and_lists(
    gateway: Gateway, adopt: Adopt, svm_rpc: SvmRpc
) -> None:
    """Accounts of somebody else are FOREIGN_OWNER; of another program or twice: UNAVAILABLE."""
    wallet_id = await adopt(Keypair())
    data = bytes(Keypair().pubkey()) * 2 + struct.pack("<Q", 7) + bytes(36) + b"\1" + bytes(56)
    account = {
        "lamports": 5,
        "owner": str(TOKEN),
        "executable": False,
        "data": [base64.b64encode(data).decode(), "base64"],
    }
    entry = {"pubkey": str(OTHER), "account": account}

    def say(*entries: object) -> None:
        value = {"context": {"slot": 5_000}, "value": list(entries)}
        svm_rpc.faults.clear()
        svm_rpc.faults.result("getTokenAccountsByOwner", value, times=1)
        rest = {"context": {"slot": 5_000}, "value": []}
        svm_rpc.faults.result("getTokenAccountsByOwner", rest, times=None)

    say(entry)
    found = await listed(gateway, wallet_id)
    assert ("FOREIGN_OWNER", 0) == (found[str(OTHER)].error_reason, found[str(OTHER)].amount)
    for lie in ([entry, entry], [{**entry, "account": {**account, "owner": str(ATA_LIKE)}}]):
        svm_rpc.faults.clear()
        value = {"context": {"slot": 5_000}, "value": lie}
        svm_rpc.faults.result("getTokenAccountsByOwner", value, times=None)
        request = pb.ListTokenBalancesRequest(wallet_id=str(wallet_id))
        refusal = await refusal_of(gateway.balances.ListTokenBalances(request, timeout=1))
        assert grpc.StatusCode.UNAVAILABLE is refusal.code


ATA_LIKE = associated(OTHER, OTHER, TOKEN)


@pytest.mark.parametrize(
    ("wallet_id", "code"),
    [("", grpc.StatusCode.INVALID_ARGUMENT), (str(UUID(int=7)), grpc.StatusCode.NOT_FOUND)],
)
async def test_wallets_that_are_none(
    gateway: Gateway, wallet_id: str, code: grpc.StatusCode
) -> None:
    """No id is a mistake, an unknown one is not found."""
    for call, request in (
        (gateway.balances.ListTokenBalances, pb.ListTokenBalancesRequest(wallet_id=wallet_id)),
        (gateway.balances.ListTransactions, pb.ListTransactionsRequest(wallet_id=wallet_id)),
    ):
        assert code is (await refusal_of(call(request))).code
