"""Several wallets, items and masters in one request: each is judged by itself, in its place."""

from collections.abc import Callable

from nacl.signing import VerifyKey
from solders.instruction import Instruction
from solders.message import to_bytes_versioned
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.system_program import TransferParams, transfer
from solders.transaction import VersionedTransaction

from solward.signer.v1 import signer_service_pb2 as pb
from tests.hostile.conftest import PASSWORD, Thief
from tests.signer.client import payment

VAULT = "desk/destinations: vault"


def pay(thief: Thief, to: Pubkey, source: int = 0) -> Instruction:
    """A System transfer."""
    return transfer(TransferParams(from_pubkey=thief.key(source), to_pubkey=to, lamports=1000))


def test_a_nested_signer_that_nobody_asked_gets_no_signature(thief: Thief) -> None:
    """A transfer out of wallet 1 in a transaction that wallet 0 pays for: wallet 0's signature
    alone is given, wallet 1's slot stays empty, and asked for both, wallet 1's rules count too.
    """
    inside, outside = pay(thief, thief.key(2), source=1), pay(thief, thief.loot, source=1)
    (result,) = thief.client.sign(thief.token, [thief.item([outside])])
    signed = VersionedTransaction.from_bytes(result.signed.transaction)
    assert (False, 1) == (result.signed.is_complete, len(result.signed.signatures))
    assert [thief.key(), thief.key(1)] == signed.message.account_keys[:2]
    assert Signature.default() == signed.signatures[1]
    assert VAULT == thief.outcome(thief.item([outside], signers=(0, 1)))
    (result,) = thief.client.sign(thief.token, [thief.item([inside], signers=(0, 1))])
    assert (True, 2) == (result.signed.is_complete, len(result.signed.signatures))


def test_a_batch_of_500_gets_500_verdicts_in_order(thief: Thief) -> None:
    """Honest payments, thefts and garbage, mixed: each item has its own final result under its own
    reference, and every signature released is one under an honest transaction.
    """
    makers: list[Callable[[int], pb.TransactionItem]] = [
        lambda at: payment(thief.wallets[0], thief.wallets[1], at + 1),
        lambda at: payment(thief.wallets[0], str(thief.loot), at + 1),
        lambda at: payment(thief.wallets[2], thief.wallets[0], at + 1, version=1),
        lambda _: pb.TransactionItem(transaction=b"\1garbage", wallets=[thief.wallets[0]]),
    ]
    items = [makers[at % 4](at) for at in range(500)]
    for at, item in enumerate(items):
        item.reference = f"item {at}"
    results = thief.client.sign(thief.token, items)
    assert [item.reference for item in items] == [result.reference for result in results]
    kinds = ["", VAULT, "", ""]
    assert kinds * 125 == [result.error.rule for result in results]
    assert [True, False, True, False] * 125 == [result.HasField("signed") for result in results]
    for item, result in zip(items, results, strict=True):
        if result.HasField("signed"):
            signed = VersionedTransaction.from_bytes(result.signed.transaction)
            key = Pubkey.from_string(item.wallets[0].address)
            VerifyKey(bytes(key)).verify(
                to_bytes_versioned(signed.message), bytes(signed.signatures[0])
            )
            asked = VersionedTransaction.from_bytes(item.transaction)
            assert asked.message == signed.message
        else:
            assert "no" == result.error.signed


def test_a_session_of_one_master_signs_for_no_other(thief: Thief) -> None:
    """Wallets of a second master, with one and the same password: the first master's session opens
    none of them, alone or behind an honest item; their own session does.
    """
    create = thief.client.signer.CreateMasterWallet
    other = create(thief.client.create_master(PASSWORD)).master
    (theirs,) = thief.client.wallets(other, PASSWORD, 1)
    items = [payment(thief.wallets[0], theirs), payment(theirs, thief.wallets[0])]
    results = thief.client.sign(thief.token, items)
    assert [True, False] == [result.HasField("signed") for result in results]
    assert "SESSION_INVALID" == thief.outcome(items[1])
    both = thief.item([pay(thief, thief.key(1))])
    both.wallets.append(theirs)
    assert "signed" != thief.outcome(both)
    token = thief.client.session(theirs, PASSWORD)
    results = thief.client.sign(token, items[::-1])
    assert [True, False] == [result.HasField("signed") for result in results]
