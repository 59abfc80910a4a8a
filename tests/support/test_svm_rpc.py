"""The scripted node behaves like a cluster where the code under test can tell."""

import base64
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from solders.hash import Hash
from solders.keypair import Keypair
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.system_program import TransferParams, transfer
from solders.transaction import VersionedTransaction

from tests.support.svm_rpc import Doubled, SvmRpc

NOW = {"commitment": "processed"}
FEE = 5000


class Client:
    """The least client."""

    def __init__(self, node: SvmRpc, http: httpx.Client) -> None:
        """Talk to `node`."""
        self.node, self.http = node, http

    def raw(self, method: str, *params: Any) -> Any:
        """Return the whole reply."""
        request = {"jsonrpc": "2.0", "id": 7, "method": method, "params": params}
        return self.http.post(self.node.url, json=request).json()

    def __call__(self, method: str, *params: Any) -> Any:
        """Return the result, without its context."""
        result = self.raw(method, *params)["result"]
        return result["value"] if isinstance(result, dict) and "context" in result else result

    def transfer(self, payer: Keypair, to: Pubkey, lamports: int) -> VersionedTransaction:
        """Return a signed transfer with the latest blockhash."""
        blockhash = Hash.from_string(self("getLatestBlockhash")["blockhash"])
        parameters = TransferParams(from_pubkey=payer.pubkey(), to_pubkey=to, lamports=lamports)
        message = MessageV0.try_compile(payer.pubkey(), [transfer(parameters)], [], blockhash)
        return VersionedTransaction(message, [payer])

    def send(self, transaction: VersionedTransaction, **options: Any) -> Any:
        """Send wire bytes; return the whole reply."""
        wire = base64.b64encode(bytes(transaction)).decode()
        return self.raw("sendTransaction", wire, {"encoding": "base64", **options})


@pytest.fixture
def rpc() -> Iterator[Client]:
    """A client of a node whose time only the test moves."""
    with SvmRpc() as node, httpx.Client() as http:
        yield Client(node, http)


@pytest.fixture
def payer(rpc: Client) -> Keypair:
    """A key pair with one SOL."""
    pair = Keypair()
    rpc.node.chain.fund(pair.pubkey(), 10**9)
    return pair


def status(rpc: Client, signature: str) -> Any:
    """Return one signature's status."""
    return rpc("getSignatureStatuses", [signature], {"searchTransactionHistory": True})[0]


def test_a_transfer_moves_lamports_and_matures(rpc: Client, payer: Keypair) -> None:
    """A transfer is processed at once, then confirmed, then finalized, as blocks come."""
    to = Pubkey.new_unique()
    signature = rpc.send(rpc.transfer(payer, to, 10**6))["result"]
    levels = [status(rpc, signature)["confirmationStatus"]]
    for blocks in (1, 2):
        rpc.node.chain.advance(blocks)
        levels.append(status(rpc, signature)["confirmationStatus"])
    assert ["processed", "confirmed", "finalized"] == levels
    assert 10**6 == rpc("getBalance", str(to), NOW)
    assert 10**9 - 10**6 - FEE == rpc("getBalance", str(payer.pubkey()), NOW)
    accounts = rpc("getMultipleAccounts", [str(to), str(Pubkey.new_unique())])
    assert [10**6, None] == [account and account["lamports"] for account in accounts]
    newest = {"maxSupportedTransactionVersion": 1}
    assert FEE == rpc("getTransaction", signature, newest)["meta"]["fee"]


def test_rent_is_todays(rpc: Client) -> None:
    """The rent floor of an empty account is 5,080 lamports for each of 128 bytes."""
    assert 650_240 == rpc("getMinimumBalanceForRentExemption", 0)


def test_a_failed_transaction_pays_its_fee_and_says_why(rpc: Client, payer: Keypair) -> None:
    """Past preflight a failing transaction lands with its error; in preflight it is refused."""
    below_rent = rpc.transfer(payer, Pubkey.new_unique(), 1)
    refused = rpc.send(below_rent)["error"]
    expected = {"InsufficientFundsForRent": {"account_index": 1}}
    assert (-32002, expected) == (refused["code"], refused["data"]["err"])
    signature = rpc.send(below_rent, skipPreflight=True)["result"]
    assert expected == status(rpc, signature)["err"]
    assert 10**9 - FEE == rpc("getBalance", str(payer.pubkey()), NOW)


def test_a_fee_that_breaks_the_rent_floor_is_never_in_a_block(rpc: Client) -> None:
    """A payer that the fee alone leaves under the rent floor is refused, and keeps the fee."""
    poor = Keypair()
    rpc.node.chain.fund(poor.pubkey(), 652_000)
    drain = rpc.transfer(poor, Pubkey.new_unique(), 652_000 - FEE)
    signature = rpc.send(drain, skipPreflight=True)["result"]
    assert status(rpc, signature) is None
    assert 652_000 == rpc("getBalance", str(poor.pubkey()), NOW)


def test_identical_bytes_land_once(rpc: Client, payer: Keypair) -> None:
    """Sending the same transaction twice moves its lamports once."""
    to = Pubkey.new_unique()
    transaction = rpc.transfer(payer, to, 10**6)
    for _ in range(2):
        rpc.send(transaction, skipPreflight=True)
    assert 10**6 == rpc("getBalance", str(to), NOW)


def test_a_blockhash_dies_after_150_blocks(rpc: Client, payer: Keypair) -> None:
    """A transaction lands at its last valid height and not one block later."""
    late, too_late = (rpc.transfer(payer, Pubkey.new_unique(), 10**6) for _ in range(2))
    last = rpc("getLatestBlockhash", {"commitment": "finalized"})["lastValidBlockHeight"]
    rpc.node.chain.advance(last - rpc("getBlockHeight", {"commitment": "processed"}))
    landed = rpc.send(late, skipPreflight=True)["result"]
    rpc.node.chain.advance()
    dropped = rpc.send(too_late, skipPreflight=True)["result"]
    assert (True, False) == tuple(status(rpc, one) is not None for one in (landed, dropped))
    assert "BlockhashNotFound" == rpc.send(too_late)["error"]["data"]["err"]


def test_held_transactions_land_on_release_or_expire(rpc: Client, payer: Keypair) -> None:
    """What a node holds lands when it lets go, unless its blockhash has died meanwhile."""
    chain = rpc.node.chain
    chain.hold = True
    first = rpc.send(rpc.transfer(payer, Pubkey.new_unique(), 10**6))["result"]
    assert status(rpc, first) is None
    chain.release()
    assert status(rpc, first) is not None
    chain.hold = True
    second = rpc.send(rpc.transfer(payer, Pubkey.new_unique(), 10**6))["result"]
    chain.expire_blockhashes()
    chain.release()
    assert status(rpc, second) is None


def test_a_fork_undoes_and_the_same_bytes_land_again(rpc: Client, payer: Keypair) -> None:
    """After a fork balances are as before, and a transaction that fell out can land again."""
    to = Pubkey.new_unique()
    transaction = rpc.transfer(payer, to, 10**6)
    signature = rpc.send(transaction)["result"]
    assert [signature] == [str(undone) for undone in rpc.node.chain.fork(1)]
    assert (None, 0, 10**9) == (
        status(rpc, signature),
        rpc("getBalance", str(to), NOW),
        rpc("getBalance", str(payer.pubkey()), NOW),
    )
    rpc.send(transaction)
    assert 10**6 == rpc("getBalance", str(to), NOW)


def test_a_lost_reply_has_its_effect_and_a_dropped_call_has_none(
    rpc: Client, payer: Keypair
) -> None:
    """LOSE_REPLY sends and tells nobody; DROP does not send. Both look the same to a client."""
    lost, dropped = (rpc.transfer(payer, Pubkey.new_unique(), 10**6) for _ in range(2))
    rpc.node.faults.lose_reply("sendTransaction")
    with pytest.raises(httpx.RemoteProtocolError):
        rpc.send(lost)
    rpc.node.faults.drop("sendTransaction")
    with pytest.raises(httpx.RemoteProtocolError):
        rpc.send(dropped)
    found = rpc("getSignatureStatuses", [str(t.signatures[0]) for t in (lost, dropped)])
    assert [True, False] == [one is not None for one in found]


def test_faults_answer_what_they_are_told_and_then_stop(rpc: Client) -> None:
    """Malformed bodies, 429s and errors without data come as scripted; the next call works."""
    faults = rpc.node.faults
    faults.body("getSlot", b"{", times=1)
    faults.http_error("getSlot", 429, retry_after_s=1)
    faults.error("getSlot", -32005, "Node is behind")
    request = {"jsonrpc": "2.0", "id": 1, "method": "getSlot"}
    replies = [rpc.http.post(rpc.node.url, json=request) for _ in range(4)]
    assert [200, 429, 200, 200] == [reply.status_code for reply in replies]
    assert (b"{", "1") == (replies[0].content, replies[1].headers["Retry-After"])
    assert {"code": -32005, "message": "Node is behind"} == replies[2].json()["error"]
    assert rpc.node.chain.slot - 3 == replies[3].json()["result"]


def test_limits_and_bad_parameters_are_refused(rpc: Client) -> None:
    """101 accounts, 257 signatures, an oversized transaction and a bad key get -32602."""
    key, signature = str(Pubkey.new_unique()), str(Keypair().sign_message(b""))
    oversized = base64.b64encode(bytes(1233)).decode()
    replies = [
        rpc.raw("getMultipleAccounts", [key] * 101),
        rpc.raw("getSignatureStatuses", [signature] * 257),
        rpc.raw("sendTransaction", oversized, {"encoding": "base64"}),
        rpc.raw("getBalance", "not a key"),
    ]
    assert [-32602] * 4 == [reply["error"]["code"] for reply in replies]
    assert -32601 == rpc.raw("getNothing")["error"]["code"]


def test_blocks_come_by_themselves_when_asked() -> None:
    """With a block time the chain advances without the test."""
    with SvmRpc(block_time_s=0.001) as node, httpx.Client() as http:
        rpc = Client(node, http)
        first = rpc("getBlockHeight")
        while rpc("getBlockHeight") < first + 3:
            pass


def test_a_node_goes_away_and_comes_back(rpc: Client) -> None:
    """Away it refuses connections, back it serves the same chain at the same place."""
    before = rpc("getBlockHeight")
    rpc.node.go_away()
    with pytest.raises(httpx.HTTPError):
        rpc("getBlockHeight")
    rpc.node.come_back()
    assert before == rpc("getBlockHeight")


def test_a_doubled_reply_is_there_before_the_next_request(
    rpc: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever does not look at the id takes the second for the answer to the next request."""
    honest = SvmRpc.answer

    def doubled(node: SvmRpc, body: bytes) -> tuple[int, tuple[tuple[str, str], ...], bytes]:
        status, headers, reply = honest(node, body)
        return status, headers, Doubled(reply)

    with monkeypatch.context() as patch:
        patch.setattr(SvmRpc, "answer", doubled)
        rpc.http.post(rpc.node.url, json={"jsonrpc": "2.0", "id": 1, "method": "getHealth"})
    reply = rpc.raw("getBlockHeight")
    assert (1, "ok") == (reply["id"], reply["result"])
