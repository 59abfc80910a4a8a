"""A gateway that was taken over, with all it may lawfully have: sockets, records, a session."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pytest
from solders.hash import Hash
from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.message import Message, MessageV0, MessageV1, TransactionConfig
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.transaction import VersionedTransaction

from solward.signer.v1 import records_pb2 as rp
from solward.signer.v1 import signer_service_pb2 as pb
from tests.signer.client import Client, connected, proof_of
from tests.signer.process import SignerProcess, signer_process

PASSWORD = "a password of the desk"
TOKEN = Pubkey.from_string("TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA")
ASSOCIATED = Pubkey.from_string("ATokenGPvbdGVxr1b2hvZbsiqW5xWH25efTNsLJA8knL")
SYSTEM = Pubkey.from_string("11111111111111111111111111111111")
LAMPORTS_MAX = 10_000_000
POLICY = f"""version = 1
[[group]]
name = "desk"
master_fingerprints = ["*"]
index_last = 99
signatures_per_minute = 1_000_000
programs = ["system", "compute-budget", "memo", "token", "token-2022", "associated-token"]
instructions_allow = ["token/approve", "token/approveChecked", "token/setAuthority"]
lamports_per_transaction_max = {LAMPORTS_MAX}
destinations = "vault"
message_signing = "raw"
[group.tokens_per_transaction_max]
"*" = 1_000_000
"""


@dataclass(frozen=True, slots=True)
class Thief:
    """The taken-over gateway: `client` reaches signer.sock, `token` names an open session."""

    client: Client
    token: bytes
    wallets: list[rp.WalletRecord]
    loot: Pubkey
    """Where the thief wants it all to go; nobody's key in the vault."""
    mint: Pubkey

    def key(self, at: int = 0) -> Pubkey:
        """The address of one of the vault's wallets."""
        return Pubkey.from_string(self.wallets[at].address)

    def item(
        self,
        instructions: Sequence[Instruction],
        *,
        payer: Pubkey | None = None,
        version: int = 0,
        config: TransactionConfig | None = None,
        signers: Sequence[int] = (0,),
    ) -> pb.TransactionItem:
        """A transaction for wallets to sign, with the proofs that the vault has."""
        paying = payer or self.key()
        message: Message | MessageV0 | MessageV1
        if version == 1:
            message = MessageV1.try_compile(paying, list(instructions), Hash.new_unique(), config)
        elif version == 0:
            message = MessageV0.try_compile(paying, list(instructions), [], Hash.new_unique())
        else:
            message = Message.new_with_blockhash(list(instructions), paying, Hash.new_unique())
        slots = [Signature.default()] * message.header.num_required_signatures
        return pb.TransactionItem(
            transaction=bytes(VersionedTransaction.populate(message, slots)),
            wallets=[self.wallets[at] for at in signers],
            vault_destinations=[proof_of(wallet) for wallet in self.wallets[:3]],
        )

    def outcome(self, item: pb.TransactionItem) -> str:
        """`signed`, or the rule or reason of the refusal."""
        (result,) = self.client.sign(self.token, [item])
        if result.HasField("signed"):
            return "signed"
        assert result.error.signed == "no"
        return result.error.rule or pb_reason(result.error)


def pb_reason(error: pb.ItemError) -> str:
    """A refusal's reason by name."""
    from solward.signer.v1 import errors_pb2  # noqa: PLC0415 - only to name a number

    return errors_pb2.ErrorReason.Name(error.reason).removeprefix("ERROR_REASON_")


@pytest.fixture(scope="module")
def signer() -> Iterator[SignerProcess]:
    """A real signer under a vault policy."""
    with signer_process() as process:
        process.policy.write_text(POLICY)
        process.start()
        yield process


@pytest.fixture(scope="module")
def thief(signer: SignerProcess) -> Iterator[Thief]:
    """The attacker, in the middle of a working day."""
    with connected(signer) as client:
        master = client.signer.CreateMasterWallet(client.create_master(PASSWORD)).master
        wallets = client.wallets(master, PASSWORD, 20)
        token = client.session(wallets[0], PASSWORD)
        yield Thief(client, token, wallets, Keypair().pubkey(), Keypair().pubkey())
