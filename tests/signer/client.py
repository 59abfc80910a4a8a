"""What a gateway and an operator send to the signer: requests with their secrets sealed."""

import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import grpc
from solders.hash import Hash
from solders.instruction import Instruction
from solders.message import Message, MessageV0, MessageV1
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.system_program import TransferParams, transfer
from solders.transaction import VersionedTransaction

from solward.signer.v1 import admin_service_pb2 as ap
from solward.signer.v1 import records_pb2 as rp
from solward.signer.v1 import signer_service_pb2 as pb
from solward.signer.v1.admin_service_pb2_grpc import AdminServiceStub
from solward.signer.v1.signer_service_pb2_grpc import SignerServiceStub
from solward_client.sealing import Purpose, SignerKey, seal
from tests.signer.known import Record
from tests.signer.process import SignerProcess

SIGN = pb.OpenSessionRequest.PURPOSE_SIGN
VERIFY = pb.OpenSessionRequest.PURPOSE_VERIFY
_OPTIONS = (("grpc.max_receive_message_length", 1 << 24), ("grpc.enable_retries", 0))

Interceptor = grpc.UnaryUnaryClientInterceptor | grpc.UnaryStreamClientInterceptor


def fresh_id() -> str:
    """A new request_id."""
    return str(uuid.uuid4())


class Client:
    """Stubs for both sockets, and requests that the signer accepts as they are."""

    def __init__(self, signer: SignerServiceStub, admin: AdminServiceStub) -> None:
        """Ask the signer for its key."""
        self.signer = signer
        self.admin = admin
        info = signer.GetSignerInfo(pb.GetSignerInfoRequest())
        self.key = SignerKey(info.box_public_key, info.boot_id)
        self.skew_s = 0.0
        """How far the client's clock is ahead of the signer's."""

    def seal(
        self, secret: str | bytes, rpc: str, *fields: str | int, purpose: Purpose = "password"
    ) -> bytes:
        """A secret sealed for one use in one request."""
        raw = secret.encode() if isinstance(secret, str) else secret
        now_s = time.time() + self.skew_s
        return seal(self.key, raw, purpose=purpose, rpc=rpc, fields=fields, now_s=now_s)

    def create_master(self, password: str, word_count: int = 24) -> pb.CreateMasterWalletRequest:
        """Ask for a master."""
        name = fresh_id()
        sealed = self.seal(password, "CreateMasterWallet", name, word_count)
        return pb.CreateMasterWalletRequest(
            request_id=name, word_count=word_count, sealed_password=sealed
        )

    def import_master(
        self, mnemonic: str | bytes, password: str, passphrase: str | bytes = ""
    ) -> ap.ImportMasterWalletRequest:
        """Bring a master along."""
        name, rpc = fresh_id(), "ImportMasterWallet"
        words = self.seal(mnemonic, rpc, name, purpose="mnemonic")
        extra = self.seal(passphrase, rpc, name, purpose="passphrase") if passphrase else b""
        return ap.ImportMasterWalletRequest(
            request_id=name,
            sealed_mnemonic=words,
            sealed_passphrase=extra,
            sealed_password=self.seal(password, rpc, name),
        )

    def derive(
        self, master: rp.MasterRecord, password: str, count: int, first: int = 0
    ) -> pb.DeriveWalletsRequest:
        """Ask for a range."""
        fields = (master.master_fingerprint, first, count)
        return pb.DeriveWalletsRequest(
            request_id=fresh_id(),
            master=master,
            first_index=first,
            count=count,
            sealed_password=self.seal(password, "DeriveWallets", *fields),
        )

    def wallets(
        self, master: rp.MasterRecord, password: str, count: int, first: int = 0
    ) -> list[rp.WalletRecord]:
        """Derive a range and give it as records."""
        return [
            rp.WalletRecord(
                address=address,
                master_fingerprint=master.master_fingerprint,
                derivation_index=part.first_index + at,
                sealed_record=record,
                ownership_tag=tag,
            )
            for part in self.signer.DeriveWallets(self.derive(master, password, count, first))
            for at, (address, record, tag) in enumerate(
                zip(part.addresses, part.sealed_records, part.ownership_tags, strict=True)
            )
        ]

    def seal_private_key(
        self, address: str, private_key: bytes, password: str
    ) -> pb.SealPrivateKeyRequest:
        """Bring a key along."""
        name, rpc = fresh_id(), "SealPrivateKey"
        return pb.SealPrivateKeyRequest(
            request_id=name,
            address=address,
            sealed_private_key=self.seal(private_key, rpc, name, address, purpose="private_key"),
            sealed_password=self.seal(password, rpc, name, address),
        )

    def rotate(
        self,
        masters: Sequence[rp.MasterRecord],
        wallets: Sequence[rp.WalletRecord],
        password: str,
        new_password: str,
    ) -> pb.RotateRecordsRequest:
        """Ask for a new password on records of one key group."""
        texts = [record.sealed_record for record in masters]
        texts += [record.sealed_record for record in wallets]
        group, rpc = Record.parse(texts[0]).key_group, "RotateRecords"
        return pb.RotateRecordsRequest(
            request_id=fresh_id(),
            masters=masters,
            wallets=wallets,
            sealed_password=self.seal(password, rpc, group),
            sealed_new_password=self.seal(new_password, rpc, group, purpose="new_password"),
        )

    def open_session(
        self,
        wallets: Sequence[rp.WalletRecord],
        password: str,
        *,
        ttl_seconds: int = 600,
        purpose: "pb.OpenSessionRequest.Purpose.ValueType" = SIGN,
    ) -> pb.OpenSessionRequest:
        """Ask for a session."""
        groups = sorted(Record.parse(wallet.sealed_record).key_group for wallet in wallets)
        name = pb.OpenSessionRequest.Purpose.Name(purpose)
        fields: list[str | int] = [name, ttl_seconds, *groups]
        return pb.OpenSessionRequest(
            request_id=fresh_id(),
            purpose=purpose,
            wallets=wallets,
            ttl_seconds=ttl_seconds,
            sealed_password=self.seal(password, "OpenSession", *fields),
        )

    def session(self, wallet: rp.WalletRecord, password: str, ttl_seconds: int = 600) -> bytes:
        """Open a session and give its token."""
        request = self.open_session([wallet], password, ttl_seconds=ttl_seconds)
        return self.signer.OpenSession(request).session_token

    def sign(
        self, token: bytes, items: Sequence[pb.TransactionItem]
    ) -> Sequence[pb.TransactionResult]:
        """Have a batch signed."""
        request = pb.SignTransactionsRequest(
            request_id=fresh_id(), session_token=token, items=items
        )
        return self.signer.SignTransactions(request).results


@contextmanager
def connected(signer: SignerProcess, *interceptors: Interceptor) -> Iterator[Client]:
    """A client of a running signer, on both sockets."""
    with (
        grpc.insecure_channel(f"unix:{signer.socket}", options=_OPTIONS) as to_signer,
        grpc.insecure_channel(f"unix:{signer.admin_socket}", options=_OPTIONS) as to_admin,
    ):
        yield Client(
            SignerServiceStub(grpc.intercept_channel(to_signer, *interceptors)),
            AdminServiceStub(grpc.intercept_channel(to_admin, *interceptors)),
        )


def sign_message(token: bytes, wallet: rp.WalletRecord, message: bytes) -> pb.SignMessageRequest:
    """Ask for a signature on a message."""
    return pb.SignMessageRequest(
        request_id=fresh_id(), session_token=token, wallet=wallet, message=message
    )


def transaction(
    instructions: Sequence[Instruction], payer: str, *, version: int = 0, signatures: int = 1
) -> bytes:
    """The wire bytes of an unsigned transaction; version -1 is legacy."""
    key, blockhash = Pubkey.from_string(payer), Hash.new_unique()
    message: Message | MessageV0 | MessageV1
    if version == -1:
        message = Message.new_with_blockhash(list(instructions), key, blockhash)
    elif version == 0:
        message = MessageV0.try_compile(key, list(instructions), [], blockhash)
    else:
        message = MessageV1.try_compile(key, list(instructions), blockhash)
    return bytes(VersionedTransaction.populate(message, [Signature.default()] * signatures))


def payment(
    source: rp.WalletRecord,
    destination: rp.WalletRecord | str,
    lamports: int = 1000,
    *,
    version: int = 0,
    reference: str = "",
) -> pb.TransactionItem:
    """A transfer that `source` signs; a destination given as a record comes with its proof."""
    foreign = isinstance(destination, str)
    address = destination if isinstance(destination, str) else destination.address
    move = TransferParams(
        from_pubkey=Pubkey.from_string(source.address),
        to_pubkey=Pubkey.from_string(address),
        lamports=lamports,
    )
    return pb.TransactionItem(
        reference=reference,
        transaction=transaction([transfer(move)], source.address, version=version),
        wallets=[source],
        vault_destinations=[] if foreign else [proof_of(destination)],
    )


def proof_of(wallet: rp.WalletRecord | str) -> rp.OwnershipProof:
    """The proof that a wallet is the signer's own."""
    assert not isinstance(wallet, str)
    return rp.OwnershipProof(
        address=wallet.address,
        master_fingerprint=wallet.master_fingerprint,
        derivation_index=wallet.derivation_index,
        ownership_tag=wallet.ownership_tag,
    )
