"""Lookup tables in a gateway's hands: their contents come with the request, and may be any lie.

The signer believes a table only if its policy pins the content's hash. Messages are put together by
hand, so that each index means what the test says.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import pytest
from solders.hash import Hash
from solders.instruction import CompiledInstruction
from solders.keypair import Keypair
from solders.message import MessageAddressTableLookup, MessageHeader, MessageV0
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.transaction import VersionedTransaction

from solward.signer.v1 import signer_service_pb2 as pb
from tests.hostile.conftest import PASSWORD, POLICY, SYSTEM, Thief
from tests.signer.client import connected, proof_of
from tests.signer.process import signer_process

NOT_PINNED = "desk/lookup_table: not pinned"
VAULT = "desk/destinations: vault"
PINNED, SECOND, UNPINNED = (Keypair.from_seed(bytes([n]) * 32).pubkey() for n in (61, 62, 63))
TO = 2  # static accounts: the wallet, System; what is looked up follows


@dataclass(frozen=True, slots=True)
class Library:
    """The thief, and the pinned tables' true contents."""

    thief: Thief
    entries: list[Pubkey]

    def content(self, *, swapped: bool = False) -> bytes:
        """[wallet 1, wallet 2, the thief's]; swapped: the thief's first."""
        entries = self.entries[::-1] if swapped else self.entries
        return b"".join(map(bytes, entries))

    def pay(
        self,
        lookups: Sequence[tuple[Pubkey, bytes, bytes]],
        shown: Sequence[tuple[Pubkey, bytes]],
        to: int = TO,
    ) -> pb.TransactionItem:
        """Wallet 0 pays 5 lamports to account `to`; `lookups` are (table, writable, read-only)."""
        data = (2).to_bytes(4, "little") + (5).to_bytes(8, "little")
        message = MessageV0(
            MessageHeader(1, 0, 1),
            [self.thief.key(), SYSTEM],
            Hash.new_unique(),
            [CompiledInstruction(1, data, bytes([0, to]))],
            [MessageAddressTableLookup(*lookup) for lookup in lookups],
        )
        return pb.TransactionItem(
            transaction=bytes(VersionedTransaction.populate(message, [Signature.default()])),
            wallets=[self.thief.wallets[0]],
            vault_destinations=[proof_of(wallet) for wallet in self.thief.wallets[:3]],
            lookup_tables=[
                pb.LookupTable(address=str(table), addresses=content) for table, content in shown
            ],
        )


@pytest.fixture(scope="module")
def library() -> Iterator[Library]:
    """A signer whose policy pins two tables of one content."""
    with signer_process() as process:
        process.policy.write_text(POLICY)
        process.start()
        with connected(process) as client:
            master = client.signer.CreateMasterWallet(client.create_master(PASSWORD)).master
            wallets = client.wallets(master, PASSWORD, 3)
        process.stop()
        loot = Keypair().pubkey()
        entries = [*(Pubkey.from_string(wallet.address) for wallet in wallets[1:]), loot]
        pin = hashlib.sha256(b"".join(map(bytes, entries))).hexdigest()
        tables = f'[lookup_table]\n"{PINNED}" = "{pin}"\n"{SECOND}" = "{pin}"\n'
        process.policy.write_text(POLICY.replace("[[group]]", tables + "[[group]]"))
        process.start()
        with connected(process) as client:
            token = client.session(wallets[0], PASSWORD)
            yield Library(Thief(client, token, wallets, loot, Keypair().pubkey()), entries)


Build = Callable[[Library], pb.TransactionItem]
LOOT, WALLET_1, WALLET_2 = b"\2", b"\0", b"\1"

ATTACKS: dict[str, tuple[Build, str]] = {
    "true content, the thief's entry": (
        lambda x: x.pay([(PINNED, LOOT, b"")], [(PINNED, x.content())]),
        VAULT,
    ),
    "swapped content, the thief's entry posing as wallet 1": (
        lambda x: x.pay([(PINNED, LOOT, b"")], [(PINNED, x.content(swapped=True))]),
        NOT_PINNED,
    ),
    "no content": (lambda x: x.pay([(PINNED, WALLET_1, b"")], []), NOT_PINNED),
    "one entry more": (
        lambda x: x.pay([(PINNED, WALLET_1, b"")], [(PINNED, x.content() + bytes(32))]),
        NOT_PINNED,
    ),
    "one entry less": (
        lambda x: x.pay([(PINNED, WALLET_1, b"")], [(PINNED, x.content()[:-32])]),
        NOT_PINNED,
    ),
    "shifted by one byte": (
        lambda x: x.pay([(PINNED, WALLET_1, b"")], [(PINNED, b"\0" + x.content()[:-1])]),
        NOT_PINNED,
    ),
    "cut inside an entry": (
        lambda x: x.pay([(PINNED, WALLET_1, b"")], [(PINNED, x.content()[:-1])]),
        NOT_PINNED,
    ),
    "a table that nobody pinned, shown truthfully": (
        lambda x: x.pay([(UNPINNED, WALLET_1, b"")], [(UNPINNED, x.content())]),
        NOT_PINNED,
    ),
    "an unpinned table that nothing uses": (
        lambda x: x.pay(
            [(PINNED, WALLET_1, b""), (UNPINNED, b"", WALLET_2)],
            [(PINNED, x.content()), (UNPINNED, x.content())],
        ),
        NOT_PINNED,
    ),
    "shown twice, the lie last": (
        lambda x: x.pay(
            [(PINNED, LOOT, b"")], [(PINNED, x.content()), (PINNED, x.content(swapped=True))]
        ),
        NOT_PINNED,
    ),
    "shown twice, the lie first": (
        lambda x: x.pay(
            [(PINNED, LOOT, b"")], [(PINNED, x.content(swapped=True)), (PINNED, x.content())]
        ),
        VAULT,
    ),
    # The runtime takes the writable entries of all tables, then the read-only ones of all. Table by
    # table, account 3 would be wallet 2.
    "indices shifted by a second table": (
        lambda x: x.pay(
            [(PINNED, WALLET_1, WALLET_2), (SECOND, LOOT, b"")],
            [(PINNED, x.content()), (SECOND, x.content())],
            to=TO + 1,
        ),
        VAULT,
    ),
    "an index that the table does not have": (
        lambda x: x.pay([(PINNED, b"\3", b"")], [(PINNED, x.content())]),
        "TRANSACTION_MALFORMED",
    ),
    "an account behind all that is looked up": (
        lambda x: x.pay([(PINNED, WALLET_1, b"")], [(PINNED, x.content())], to=TO + 1),
        "TRANSACTION_MALFORMED",
    ),
    "one account looked up twice": (
        lambda x: x.pay(
            [(PINNED, WALLET_1, b""), (SECOND, WALLET_1, b"")],
            [(PINNED, x.content()), (SECOND, x.content())],
        ),
        "TRANSACTION_MALFORMED",
    ),
    "a table that looks nothing up": (
        lambda x: x.pay(
            [(PINNED, WALLET_1, b""), (SECOND, b"", b"")],
            [(PINNED, x.content()), (SECOND, x.content())],
        ),
        "TRANSACTION_MALFORMED",
    ),
}
HONEST: dict[str, Build] = {
    "one entry": lambda x: x.pay([(PINNED, WALLET_1, b"")], [(PINNED, x.content())]),
    "the last of two tables": lambda x: x.pay(
        [(PINNED, WALLET_1, LOOT), (SECOND, WALLET_2, b"")],
        [(PINNED, x.content()), (SECOND, x.content())],
        to=TO + 1,
    ),
    "content of a table that is not used": lambda x: x.pay(
        [(PINNED, WALLET_1, b"")], [(PINNED, x.content()), (UNPINNED, x.content(swapped=True))]
    ),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_a_lie_about_a_table_gets_no_signature(library: Library, name: str) -> None:
    """Swapped, shifted, cut, unpinned, missing, or true and pointing at the thief: refused."""
    attack, rule = ATTACKS[name]
    assert (name, rule) == (name, library.thief.outcome(attack(library)))


@pytest.mark.parametrize("name", HONEST)
def test_a_pinned_table_shown_truthfully_is_used(library: Library, name: str) -> None:
    """The positive control: with the pinned content the same payments to our wallets are signed."""
    assert (name, "signed") == (name, library.thief.outcome(HONEST[name](library)))
