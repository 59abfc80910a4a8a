"""GetTotalBalances, and selection by the signer's policy groups."""

from typing import Any

import grpc
import pytest
from solders.account import Account
from solders.keypair import Keypair

from gateway.domain.amounts import U64_MAX
from gateway.domain.errors import PreconditionFailedError
from gateway.domain.tokens import TokenAccount, TokenHolding, WalletTokens
from gateway.domain.totals import MINTS_MAX, Totals
from gateway.workflows import selections
from solward.gateway.v1 import balance_service_pb2 as pb
from solward.gateway.v1 import wallet_service_pb2 as wallet_pb
from tests.gateway.fake_signer import FakeSigner
from tests.gateway.support import Gateway, refusal_of
from tests.reads.conftest import Adopt
from tests.reads.tokens import TOKEN, TOKEN_2022, TokenChain
from tests.support.svm_faults import Fault, Kind
from tests.support.svm_rpc import SvmRpc

BY_OWNER = "getTokenAccountsByOwner"


def tagged(tag: str, **options: Any) -> pb.GetTotalBalancesRequest:
    """A request for a tag."""
    return pb.GetTotalBalancesRequest(
        wallets=pb.WalletSelection(tag=tag), filter=pb.TokenFilter(**options)
    )


async def test_a_tag_holds(
    gateway: Gateway, adopt: Adopt, tokens: TokenChain, svm_rpc: SvmRpc
) -> None:
    """Lamports and each token over all wallets of a tag, auxiliary and frozen ones included; sums
    above u64 exactly; no wallet without the tag.
    """
    first, second, other = Keypair(), Keypair(), Keypair()
    await adopt(first, "desk")
    await adopt(second, "desk")
    await adopt(other, "cold")
    for number, pair in enumerate((first, second, other)):
        svm_rpc.chain.fund(pair.pubkey(), 2**62 + number)
    plain, fees = tokens.mint(TOKEN, 9), tokens.fee_mint(2, "GELD")
    big, twin = tokens.mint(TOKEN, 0), tokens.mint(TOKEN, 0)
    auxiliary = tokens.open_auxiliary(second.pubkey(), plain, TOKEN)
    tokens.issue(plain, tokens.open(first.pubkey(), plain, TOKEN), 5, TOKEN)
    tokens.issue(plain, auxiliary, 7, TOKEN)
    tokens.freeze(auxiliary, plain, TOKEN)
    tokens.issue(plain, tokens.open(other.pubkey(), plain, TOKEN), 1_000, TOKEN)
    tokens.issue(fees, tokens.open(first.pubkey(), fees, TOKEN_2022), 3, TOKEN_2022)
    tokens.issue(big, tokens.open(first.pubkey(), big, TOKEN), U64_MAX, TOKEN)
    # What no ledger shows at one slot, wallets read one after another may: more than the supply.
    doubled = tokens.open(second.pubkey(), twin, TOKEN)
    tokens.issue(twin, doubled, U64_MAX, TOKEN)
    account = svm_rpc.chain.svm.get_account(doubled)
    assert account
    data = bytes(big) + account.data[32:]
    svm_rpc.chain.svm.set_account(doubled, Account(account.lamports, data, TOKEN))

    answer = await gateway.balances.GetTotalBalances(tagged("desk"))
    assert (2, 2**63 + 1, 0) == (answer.wallet_count, answer.total_lamports, answer.error_count)
    sums = {t.mint: (t.amount, t.frozen_amount, t.account_count, t.decimals, t.symbol)
            for t in answer.tokens}  # fmt: skip
    assert {
        str(plain): ("12", "7", 2, 9, ""),
        str(fees): ("3", "0", 1, 2, "GELD"),
        str(big): (str(2 * U64_MAX), "0", 2, 0, ""),
    } == sums
    assert sorted(sums) == [total.mint for total in answer.tokens]
    assert 0 < answer.context_slot_min <= answer.context_slot_max
    rent = sum(a.lamports for a in map(svm_rpc.chain.svm.get_account, [auxiliary, doubled]) if a)
    assert answer.token_account_lamports > rent
    one = await gateway.balances.GetTotalBalances(
        tagged("desk", mints=[str(plain)], associated_only=True)
    )
    assert [("5", 1)] == [(total.amount, total.account_count) for total in one.tokens]


async def test_what_is_missing_is_said(
    gateway: Gateway, adopt: Adopt, tokens: TokenChain, svm_rpc: SvmRpc
) -> None:
    """A wallet that cannot be listed and an account that does not decode: counted, named, left out;
    a mint that is gone still has its sum.
    """
    good, bad = Keypair(), Keypair()
    await adopt(good, "desk")
    await adopt(bad, "desk")
    mint = tokens.mint(TOKEN, 3)
    whole, broken, orphan = (tokens.open_auxiliary(good.pubkey(), mint, TOKEN) for _ in range(3))
    tokens.issue(mint, whole, 40, TOKEN)
    tokens.issue(mint, broken, 50, TOKEN)
    svm = svm_rpc.chain.svm
    gone = Keypair().pubkey()
    for place, at, new in ((broken, 108, b"\7"), (orphan, 0, bytes(gone) + bytes(good.pubkey()))):
        account = svm.get_account(place)
        assert account
        data = account.data[:at] + new + account.data[at + len(new) :]
        svm.set_account(place, Account(account.lamports, data, TOKEN))
    fault = {"code": -32602, "message": "no"}
    svm_rpc.faults.add(Fault(BY_OWNER, Kind.ERROR, None, fault, about=str(bad.pubkey())))
    answer = await gateway.balances.GetTotalBalances(tagged("desk"))
    assert 2 == answer.error_count
    assert {
        (str(good.pubkey()), str(broken), "MALFORMED_ACCOUNT"),
        (str(bad.pubkey()), "", "RPC_UNAVAILABLE"),
    } == {(item.address, item.token_account, item.error_reason) for item in answer.errors}
    assert {(str(mint), "40", ""), (str(gone), "0", "MINT_NOT_FOUND")} == {
        (total.mint, total.amount, total.error_reason) for total in answer.tokens
    }


async def test_a_mint_that_was_not_read_at_first(
    gateway: Gateway, tokens: TokenChain, svm_rpc: SvmRpc
) -> None:
    """What the node did not say of a mint for the first wallets it may for the next."""
    mint = tokens.mint(TOKEN, 4)
    owners = [Keypair().pubkey() for _ in range(40)]
    for owner in (owners[0], owners[39]):
        tokens.issue(mint, tokens.open(owner, mint, TOKEN), 1, TOKEN)
    refusal = {"code": -32602, "message": "no"}
    balances = Fault("getMultipleAccounts", Kind.DELAY, 1)
    balances.gate.set()
    svm_rpc.faults.add(balances)  # the wallets' own lamports come first
    svm_rpc.faults.add(Fault("getMultipleAccounts", Kind.ERROR, 1, refusal))
    addresses = pb.AddressList(addresses=map(str, owners))
    request = pb.GetTotalBalancesRequest(wallets=pb.WalletSelection(addresses=addresses))
    answer = await gateway.balances.GetTotalBalances(request)
    (total,) = answer.tokens
    assert ("2", 4, "") == (total.amount, total.decimals, total.error_reason)


async def test_a_wallet_counts_once(gateway: Gateway, svm_rpc: SvmRpc, tokens: TokenChain) -> None:
    """An address that is named twice is one wallet."""
    key = tokens.boss.pubkey()
    selection = pb.WalletSelection(addresses=pb.AddressList(addresses=[str(key)] * 2))
    answer = await gateway.balances.GetTotalBalances(pb.GetTotalBalancesRequest(wallets=selection))
    assert (1, svm_rpc.chain.balance(key)) == (answer.wallet_count, answer.total_lamports)


def test_too_many_mints_are_refused() -> None:
    """Beyond 10,000 mints the caller has to say which; a part would look like all."""
    totals = Totals(1)

    def hold(number: int) -> None:
        mint = f"mint{number}"
        account = TokenAccount(mint, "w", 1, "", 0, False, False, "", 0)
        totals.add_tokens(WalletTokens("w", 1, [TokenHolding("a", str(TOKEN), 1, account)]))

    for number in range(MINTS_MAX):
        hold(number)
    hold(0)
    with pytest.raises(PreconditionFailedError):
        hold(MINTS_MAX)


async def test_a_policy_group(
    gateway: Gateway,
    adopt: Adopt,
    wallets: list[wallet_pb.Wallet],
    svm_rpc: SvmRpc,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The signer says who is in a group: derived wallets in one, imported in another, none in a
    third; in order of creation. A group that the policy has not is refused.
    """
    monkeypatch.setattr(selections, "_PROOFS_PER_CALL", 2)
    guest = Keypair()
    await adopt(guest)
    svm_rpc.chain.fund(guest.pubkey(), 9)

    async def members(name: str) -> list[str]:
        request = pb.BatchGetBalancesRequest(policy_group=name)
        found = await gateway.balances.BatchGetBalances(request)
        return [item.address for item in found.balances]

    assert [wallet.address for wallet in wallets] == await members("desk")
    assert [str(guest.pubkey())] == await members("guest")
    assert [] == await members("empty")
    selection = pb.WalletSelection(policy_group="guest")
    total = await gateway.balances.GetTotalBalances(pb.GetTotalBalancesRequest(wallets=selection))
    assert (1, 9) == (total.wallet_count, total.total_lamports)
    request = pb.BatchGetBalancesRequest(policy_group="nobody")
    refusal = await refusal_of(gateway.balances.BatchGetBalances(request))
    assert (grpc.StatusCode.FAILED_PRECONDITION, ("policy_group",)) == (
        refusal.code,
        refusal.fields,
    )


async def test_a_policy_that_changes_meanwhile(
    gateway: Gateway, wallets: list[wallet_pb.Wallet], fake: FakeSigner
) -> None:
    """Groups of two policies are never mixed: the caller is told to ask again."""
    assert wallets
    fake.policy_digests = ["old", "new"]
    request = pb.BatchGetBalancesRequest(policy_group="desk")
    refusal = await refusal_of(gateway.balances.BatchGetBalances(request))
    assert grpc.StatusCode.UNAVAILABLE is refusal.code
    assert 3 == len((await gateway.balances.BatchGetBalances(request)).balances)
