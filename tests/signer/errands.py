"""Every kind of errand that brings secrets into the signer, and what followed from each."""

import hashlib
import os
from dataclasses import dataclass, field
from functools import partial

from bip_utils import Bip39MnemonicGenerator, Bip39WordsNum
from nacl.public import PrivateKey, SealedBox
from nacl.signing import SigningKey
from solders.pubkey import Pubkey

from solward.signer.v1 import admin_service_pb2 as ap
from solward.signer.v1 import records_pb2 as rp
from solward.signer.v1 import signer_service_pb2 as pb
from tests.signer import known
from tests.signer.client import VERIFY, Client, fresh_id, payment, sign_message
from tests.signer.exporting import (
    export_mnemonic,
    export_private_key,
    export_vault,
    import_vault,
)
from tests.signer.process import SignerProcess
from tests.signer.refusals import refusal_of

WALLETS = 40


def new_mnemonic() -> str:
    """24 random words."""
    return str(Bip39MnemonicGenerator().FromWordsNumber(Bip39WordsNum.WORDS_NUM_24))


def address_of(seed: bytes) -> str:
    """The address of a private key."""
    return str(Pubkey.from_bytes(bytes(SigningKey(seed).verify_key)))


def _text() -> str:
    return os.urandom(15).hex()


@dataclass(slots=True)
class Errands:
    """Runs errands, in order; `secrets` holds by name what each of them brought or made."""

    client: Client
    root: known.Root
    secrets: dict[str, bytes] = field(default_factory=dict)
    password: str = field(default_factory=_text)
    master: rp.MasterRecord = field(default_factory=rp.MasterRecord)
    wallets: list[rp.WalletRecord] = field(default_factory=list)
    tokens: list[bytes] = field(default_factory=list)
    session_key: bytes = b""

    @classmethod
    def of(cls, signer: SignerProcess, client: Client) -> "Errands":
        """Begin with what the process itself was given."""
        errands = cls(client, known.Root.of(signer.encryption_key, signer.master_password))
        errands.secrets = {
            "ENCRYPTION_KEY": signer.encryption_key,
            "MASTER_PASSWORD": signer.master_password.encode(),
            "master salt": errands.root.salt,
            "master stretched": errands.root.stretched,
            "root": errands.root.root,
            "box seed": errands.root.key(b"box"),
            "key id": errands.root.key(b"key-id"),
            "password": errands.password.encode(),
        }
        return errands

    @property
    def lasting(self) -> dict[str, bytes]:
        """The keys that the signer needs for as long as it runs."""
        names = (b"record", b"ownership-tag", b"audit-chain")
        return {name.decode(): self.root.key(name) for name in names} | {
            "box secret": self.root.box_secret
        }

    def run(self) -> None:
        """All of them, up to two open sessions that have signed."""
        self.import_and_derive()
        self.create()
        self.generate_and_validate()
        self.seal_private_key()
        self.wrong_passwords()
        self.export()
        self.open_sessions(ttl_seconds=1)
        self.sign()

    def import_and_derive(self) -> None:
        """A known mnemonic with a passphrase, and wallets of it."""
        mnemonic, passphrase = new_mnemonic(), _text()
        request = self.client.import_master(mnemonic, self.password, passphrase)
        master = self.client.admin.ImportMasterWallet(request).master
        self.wallets = self.client.wallets(master, self.password, WALLETS)
        self._know_master(mnemonic, passphrase, self.wallets)
        self._know_record("imported master", master.sealed_record, self.password)
        # One that hangs up in mid-stream.
        stream = self.client.signer.DeriveWallets(self.client.derive(master, self.password, 5000))
        next(stream)
        stream.cancel()
        self._rotate(master)

    def create(self) -> None:
        """A mnemonic that nobody ever saw, and wallets of it."""
        request = self.client.create_master(self.password)
        master = self.client.signer.CreateMasterWallet(request).master
        wallets = self.client.wallets(master, self.password, WALLETS)
        record = known.Record.parse(master.sealed_record)
        opened = record.open(self.root, self.password, "", master.master_fingerprint, -1)
        self._know_master(*known.mnemonic_of(opened), wallets)
        self._know_record("created master", master.sealed_record, self.password)

    def generate_and_validate(self) -> None:
        """Mnemonics that are not kept."""
        recipient = PrivateKey.generate()
        generated = self.client.admin.GenerateMnemonic(
            ap.GenerateMnemonicRequest(
                request_id=fresh_id(),
                entropy_bits=256,
                recipient_public_key=bytes(recipient.public_key),
            )
        )
        words = SealedBox(recipient).decrypt(generated.sealed_mnemonic)
        self.secrets["generated mnemonic"] = words
        for validated in (words, words[:-1]):
            name = fresh_id()
            sealed = self.client.seal(validated, "ValidateMnemonic", name, purpose="mnemonic")
            request = ap.ValidateMnemonicRequest(request_id=name, sealed_mnemonic=sealed)
            assert (validated == words) == self.client.admin.ValidateMnemonic(request).valid

    def seal_private_key(self) -> None:
        """A key that was made elsewhere; once for its address, once for another."""
        key = SigningKey.generate()
        pair = bytes(key) + bytes(key.verify_key)
        self._know_key("imported key", bytes(key))
        request = self.client.seal_private_key(address_of(bytes(key)), pair, self.password)
        wallet = self.client.signer.SealPrivateKey(request).wallet
        self._know_record("imported wallet", wallet.sealed_record, self.password)
        wrong = self.client.seal_private_key(self.wallets[0].address, pair, self.password)
        refusal_of(lambda: self.client.signer.SealPrivateKey(wrong))

    def export(self) -> None:
        """A mnemonic, a key, and an archive that is brought back; another password opens it not."""
        operator, archive_password, new_password = PrivateKey.generate(), _text(), _text()
        recipient, admin = bytes(operator.public_key), self.client.admin
        request = export_mnemonic(self.client, self.master, recipient, self.password)
        exported = SealedBox(operator).decrypt(admin.ExportMnemonic(request).sealed_mnemonic)
        assert exported in self.secrets.values()
        admin.ExportPrivateKey(
            export_private_key(self.client, self.wallets[0], recipient, self.password)
        )
        parts = admin.ExportVault(
            export_vault(self.client, [self.master], self.wallets, self.password, archive_password)
        )
        archive = b"".join(part.archive_chunk for part in parts)
        wrong = import_vault(self.client, archive, new_password, new_password)
        refusal_of(partial(admin.ImportVault, wrong))
        first, *_ = admin.ImportVault(
            import_vault(self.client, archive, archive_password, new_password)
        )
        self.secrets["archive password"] = archive_password.encode()
        self.secrets["password of the import"] = new_password.encode()
        for name, value in known.archive_keys(archive, archive_password).items():
            self.secrets[f"archive {name}"] = value
        self._know_record("restored master", first.masters[0].sealed_record, new_password)

    def wrong_passwords(self) -> None:
        """One that does not fit, one that is too short, and one that comes twice."""
        for name, password in (("wrong password", _text()), ("short password", _text()[:11])):
            self.secrets[name] = password.encode()
            request = self.client.open_session(self.wallets[:1], password, purpose=VERIFY)
            refusal_of(partial(self.client.signer.OpenSession, request))
        self._know_record(
            "wrong", self.wallets[0].sealed_record, self.secrets["wrong password"].decode()
        )
        request = self.client.open_session(self.wallets[:1], self.password, purpose=VERIFY)
        self.client.signer.OpenSession(request)
        refusal_of(lambda: self.client.signer.OpenSession(request))

    def open_sessions(self, ttl_seconds: int) -> None:
        """One that will be closed and one that will expire."""
        self.tokens = [
            self.client.session(self.wallets[0], self.password, seconds)
            for seconds in (600, ttl_seconds)
        ]

    def sign(self) -> None:
        """Transactions in a batch, and messages."""
        items = [payment(wallet, self.wallets[0]) for wallet in self.wallets[1:]]
        results = self.client.sign(self.tokens[0], items)
        assert all(result.WhichOneof("outcome") == "signed" for result in results)
        for wallet in self.wallets[:5]:
            self.client.signer.SignMessage(sign_message(self.tokens[0], wallet, b"a message"))

    def close_session(self) -> None:
        """Close the first session; the other expires by itself."""
        self.client.signer.CloseSession(pb.CloseSessionRequest(session_token=self.tokens[0]))
        request = sign_message(self.tokens[0], self.wallets[0], b"a message")
        assert (
            refusal_of(lambda: self.client.signer.SignMessage(request)).reason == "SESSION_INVALID"
        )

    def _rotate(self, master: rp.MasterRecord) -> None:
        old, self.password = self.password, _text()
        self.secrets["new password"] = self.password.encode()
        request = self.client.rotate([master], self.wallets, old, self.password)
        answer = self.client.signer.RotateRecords(request)
        for wallet, record in zip(self.wallets, answer.sealed_wallet_records, strict=True):
            wallet.sealed_record = record
        self.master = rp.MasterRecord(
            master_fingerprint=master.master_fingerprint,
            sealed_record=answer.sealed_master_records[0],
        )
        self._know_record("rotated master", self.master.sealed_record, self.password)
        self.session_key = self.secrets["rotated master wallet key"]

    def _know_master(self, mnemonic: str, passphrase: str, wallets: list[rp.WalletRecord]) -> None:
        name = f"master {len(self.secrets)}"
        seed = known.bip39_seed(mnemonic, passphrase)
        self.secrets[f"{name} mnemonic"] = mnemonic.encode()
        self.secrets[f"{name} mnemonic, hashed as HMAC's key"] = hashlib.sha512(
            mnemonic.encode()
        ).digest()
        self.secrets[f"{name} BIP39 seed"] = seed
        if passphrase:
            self.secrets[f"{name} passphrase"] = passphrase.encode()
        for index in (0, WALLETS - 1):
            for path, value in known.nodes(seed, index).items():
                self.secrets[f"{name} {path}"] = value
            key = known.wallet_seed(seed, index)
            # The signer's wallet has this very key: it was there, so it can be looked for.
            assert address_of(key) == wallets[index].address
            self._know_key(f"{name} wallet {index}", key)

    def _know_key(self, name: str, seed: bytes) -> None:
        expanded = hashlib.sha512(seed).digest()
        self.secrets |= {name: seed, f"{name} expanded": expanded}
        # The scalar, clamped as RFC 8032 says: its ends differ from the hash.
        scalar = bytes([expanded[0] & 248, *expanded[1:31], expanded[31] & 127 | 64])
        self.secrets[f"{name} scalar"] = scalar

    def _know_record(self, name: str, record: str, password: str) -> None:
        for key, value in known.Record.parse(record).keys(self.root, password).items():
            self.secrets[f"{name} {key}"] = value
