"""ListTransactions with the token accounts' own transactions."""

from typing import Any

import grpc
import pytest
from solders.keypair import Keypair

from solward.gateway.v1 import balance_service_pb2 as pb
from tests.gateway.support import Gateway, refusal_of
from tests.reads.conftest import Adopt
from tests.reads.tokens import TOKEN, TOKEN_2022, TokenChain, pay
from tests.support.svm_chain import Landed

SOL = 10**9


async def listed(gateway: Gateway, wallet_id: object, **options: Any) -> list[pb.TransactionRecord]:
    """All pages."""
    found: list[pb.TransactionRecord] = []
    token = ""
    while True:
        request = pb.ListTransactionsRequest(
            wallet_id=str(wallet_id), include_token_accounts=True, page_token=token, **options
        )
        page = await gateway.balances.ListTransactions(request)
        assert len(page.transactions) <= (options.get("page_size") or 100)
        found += page.transactions
        token = page.next_page_token
        options.pop("before_signature", None)
        if not token:
            return found


def names(*landed: Landed) -> list[str]:
    """Signatures."""
    return [str(item.signature) for item in landed]


class Desk:
    """A wallet with lamports and two mints, and what happened to it, oldest first."""

    def __init__(self, tokens: TokenChain) -> None:
        self.tokens, self.me, self.sender = tokens, Keypair(), Keypair()
        self.plain, self.fees = tokens.mint(TOKEN, 6), tokens.fee_mint(2, "GELD")
        self.mine, self.geld = (
            tokens.open(self.me.pubkey(), self.plain, TOKEN),
            tokens.open(self.me.pubkey(), self.fees, TOKEN_2022),
        )
        self.theirs, self.other = (
            tokens.open(self.sender.pubkey(), self.plain, TOKEN),
            tokens.open(self.sender.pubkey(), self.fees, TOKEN_2022),
        )
        tokens.issue(self.plain, self.theirs, 10_000, TOKEN)
        tokens.issue(self.fees, self.other, 10_000, TOKEN_2022)

    def live(self) -> list[Landed]:
        """Tokens in, lamports in, tokens out and in again, of one mint and the other."""
        move, boss = self.tokens.move, self.tokens.boss.pubkey()
        return [
            move(self.theirs, self.sender, self.mine, self.plain, TOKEN, 700, 6),
            self.tokens.land([pay(boss, self.me.pubkey(), SOL)]),
            move(self.mine, self.me, self.theirs, self.plain, TOKEN, 50, 6),
            move(self.other, self.sender, self.geld, self.fees, TOKEN_2022, 1_000, 2),
            move(self.theirs, self.sender, self.mine, self.plain, TOKEN, 1, 6),
        ]


async def test_incoming_tokens_are_listed(
    gateway: Gateway, adopt: Adopt, tokens: TokenChain
) -> None:
    """A transfer that names only the wallet's token account is there with its amount, net of what
    the mint withholds; without the option it is not; each transaction once, newest first.
    """
    desk = Desk(tokens)
    wallet_id = await adopt(desk.me)
    happened = desk.live()
    tokens.chain.advance(3)
    found = await listed(gateway, wallet_id)
    newest = found[: len(happened)]
    assert names(*reversed(happened)) == [record.signature for record in newest]
    assert len(found) == len({record.signature for record in found})
    moves = [
        [(m.token_account, m.after_amount - m.before_amount) for m in record.token_changes]
        for record in reversed(newest)
    ]
    mine = str(desk.mine)
    assert [[(mine, 700)], [], [(mine, -50)], [(str(desk.geld), 990)], [(mine, 1)]] == moves
    assert [0, SOL, 0, 0, 0] == [record.change_lamports for record in reversed(newest)]
    assert all(not record.error_reason for record in found)
    request = pb.ListTransactionsRequest(wallet_id=str(wallet_id))
    own = (await gateway.balances.ListTransactions(request)).transactions
    assert names(happened[2], happened[1]) == [record.signature for record in own[:2]]


@pytest.mark.parametrize("page_size", [1, 2, 3, 100])
async def test_pages_before_and_until(
    gateway: Gateway, adopt: Adopt, tokens: TokenChain, page_size: int
) -> None:
    """However long the pages, they show the same list; before and until cut it anywhere."""
    desk = Desk(tokens)
    wallet_id = await adopt(desk.me)
    desk.live()
    happened = [*desk.live(), *desk.live()]
    tokens.chain.advance(3)
    whole = [record.signature for record in await listed(gateway, wallet_id)]
    found = await listed(gateway, wallet_id, page_size=page_size)
    assert whole == [record.signature for record in found]
    newest, oldest = happened[-2], happened[0]
    cut = await listed(
        gateway,
        wallet_id,
        page_size=page_size,
        before_signature=str(newest.signature),
        until_signature=str(oldest.signature),
    )
    assert names(*reversed(happened[1:-2])) == [record.signature for record in cut]


async def test_one_mints_accounts(gateway: Gateway, adopt: Adopt, tokens: TokenChain) -> None:
    """With mints named, the token accounts of others are left out, not what names the wallet."""
    desk = Desk(tokens)
    wallet_id = await adopt(desk.me)
    happened = desk.live()
    tokens.chain.advance(3)
    found = await listed(gateway, wallet_id, mints=[str(desk.fees)])
    shown = [record.signature for record in found[:3]]
    assert names(happened[3], happened[2], happened[1]) == shown


async def test_many_transactions_of_one_slot(
    gateway: Gateway, adopt: Adopt, tokens: TokenChain
) -> None:
    """Within a slot too each transaction comes once, over pages of two, and those of one account
    in the ledger's order. (That of different accounts no node tells.)
    """
    desk = Desk(tokens)
    wallet_id = await adopt(desk.me)
    tokens.advances = False
    happened = desk.live()
    tokens.chain.advance(3)
    assert 1 == len({item.height for item in happened})
    found = (await listed(gateway, wallet_id, page_size=2))[: len(happened)]
    assert set(names(*happened)) == {record.signature for record in found}
    for account in (desk.me.pubkey(), desk.mine, desk.geld):
        own = names(*(item for item in reversed(happened) if account in item.keys))
        assert own == [record.signature for record in found if record.signature in own]


async def test_too_many_accounts(gateway: Gateway, adopt: Adopt, tokens: TokenChain) -> None:
    """A wallet with 65 token accounts is asked to name mints; one mint's are listed then."""
    me, spam, good = Keypair(), tokens.mint(TOKEN, 0), tokens.mint(TOKEN, 0)
    wallet_id = await adopt(me)
    for _ in range(64):
        tokens.open_auxiliary(me.pubkey(), spam, TOKEN)
    tokens.open(me.pubkey(), good, TOKEN)
    request = pb.ListTransactionsRequest(wallet_id=str(wallet_id), include_token_accounts=True)
    refusal = await refusal_of(gateway.balances.ListTransactions(request))
    assert grpc.StatusCode.FAILED_PRECONDITION is refusal.code
    assert ("mints",) == refusal.fields
    tokens.chain.advance(3)
    assert 1 == len(await listed(gateway, wallet_id, mints=[str(good)]))


async def test_bad_requests_are_named(gateway: Gateway, adopt: Adopt) -> None:
    """Mints without the option, no address, and tokens of another list never reach the node."""
    wallet_id = str(await adopt(Keypair()))
    for fields, name in (
        ({"mints": [str(TOKEN)]}, "mints"),
        ({"mints": ["nonsense"], "include_token_accounts": True}, "mints[0]"),
        ({"mints": [str(TOKEN)] * 21, "include_token_accounts": True}, "mints"),
        ({"page_token": "AAAA", "include_token_accounts": True}, "page_token"),
        ({"page_token": "A" * 20_000, "include_token_accounts": True}, "page_token"),
    ):
        request = pb.ListTransactionsRequest(wallet_id=wallet_id, **fields)
        refusal = await refusal_of(gateway.balances.ListTransactions(request))
        assert (name,) == refusal.fields
