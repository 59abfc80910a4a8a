"""Making and sealing keys: what the signer does with a password, and what its other calls build on.

Each call goes one way: check, open, work on locked pages, write the audit record, answer.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from signer_daemon import checks
from signer_daemon.errors import Refusal, invalid
from signer_daemon.ledger import Meters
from signer_daemon.ledger.meters import MINUTE_MS, charges_field
from signer_daemon.policy.model import Charge
from signer_daemon.trail import Call, Trail
from signer_daemon.vault.derivation import IMPORTED, Identity, KeyPair, derive_range
from signer_daemon.vault.envelope import EnvelopeOpener
from signer_daemon.vault.errors import RecordRejected
from signer_daemon.vault.keyring import KeyRing
from signer_daemon.vault.memory import PagePool
from signer_daemon.vault.mnemonic import WordLists
from signer_daemon.vault.records import KeyGroup, Kind, Master, RecordKeys, Sealer
from signer_daemon.vault.sessions import SessionTable
from solward.signer.v1 import errors_pb2 as reasons
from solward.signer.v1 import records_pb2
from solward.signer.v1 import signer_service_pb2 as pb

WALLETS_MAX = 10_000
CHUNK_WALLETS = 1000
# Wrong passwords for one key group. A password of 12 characters outlives this by far; the KDF alone
# would let a stolen gateway try sixty a second.
ATTEMPTS_PER_MINUTE = 10


class Custody:
    """The signer's hands on the vault."""

    def __init__(
        self,
        *,
        pool: PagePool,
        keyring: KeyRing,
        envelopes: EnvelopeOpener,
        sessions: SessionTable,
        words: WordLists,
        meters: Meters,
        session_ttl_seconds_max: int,
    ) -> None:
        """Take the rooms; the caller owns and closes them."""
        self.pool = pool
        self.keyring = keyring
        self.envelopes = envelopes
        self.sessions = sessions
        self.words = words
        self.meters = meters
        self.session_ttl_seconds_max = session_ttl_seconds_max

    @contextmanager
    def password(
        self,
        sealed: bytes,
        rpc: str,
        *fields: str | int,
        purpose: str = "password",
        field: str = "sealed_password",
    ) -> Iterator[memoryview]:
        """Lend a password from its envelope, on a page that is wiped when the block ends.

        `field` is where the request has it, for whoever is told that it is refused.
        """
        with self.pool.page() as page:
            with checks.naming(field):
                password = self.envelopes.open_password(
                    sealed, page, purpose, rpc, *map(str, fields)
                )
            yield password

    @contextmanager
    def unlocked(self, password: memoryview, group: KeyGroup, call: Call) -> Iterator[RecordKeys]:
        """Lend the record keys of a group for a block that proves the password by opening a record.

        A wrong one is counted, in the audit log too: so that guessing stays slow across a restart.
        """
        charge = Charge(f"failures/{group.name}", 1, ATTEMPTS_PER_MINUTE, "password attempts")
        if not self.meters.available(charge):
            raise Refusal(
                reasons.ERROR_REASON_PASSWORD_ATTEMPTS,
                f"{ATTEMPTS_PER_MINUTE} wrong passwords in a minute for this key group",
                retry_delay_ms=MINUTE_MS,
            )
        try:
            with self.keyring.record_keys(password, group) as keys:
                yield keys
        except RecordRejected:
            # Not `reserve`: guesses that ran at once must each count, even beyond the limit.
            self.meters.add(charge)
            call.note(charges=charges_field((charge,)))
            raise

    def create_master(
        self, request: pb.CreateMasterWalletRequest, trail: Trail
    ) -> pb.CreateMasterWalletResponse:
        """Generate a mnemonic and seal it under a new key group."""
        request_id = checks.request_id(request.request_id)
        count = checks.one_of("word_count", request.word_count, (12, 24))
        with (
            trail.call("create_master", request_id, word_count=count) as call,
            ExitStack() as stack,
        ):
            password = stack.enter_context(
                self.password(request.sealed_password, "CreateMasterWallet", request_id, count)
            )
            page = stack.enter_context(self.pool.page())
            words = self.words.generate(count, page)
            record, key_group = self.seal_master(words, page.take(0), password, stack)
            call.note(fingerprint=record.master_fingerprint, key_group=key_group)
        return pb.CreateMasterWalletResponse(master=record, key_group=key_group)

    def seal_master(
        self, words: memoryview, passphrase: memoryview, password: memoryview, stack: ExitStack
    ) -> tuple[records_pb2.MasterRecord, str]:
        """Seal a mnemonic under a new key group; return the record and the group's name."""
        page = stack.enter_context(self.pool.page())
        scratch = stack.enter_context(self.pool.page())
        master = Master.load(words, passphrase, page)
        group = self.keyring.new_group()
        with self.keyring.record_keys(password, group) as keys:
            sealed = Sealer(keys, Kind.MNEMONIC).seal_master(master, scratch)
        record = records_pb2.MasterRecord(
            master_fingerprint=master.branch.fingerprint, sealed_record=sealed
        )
        return record, group.name

    def derive(
        self, request: pb.DeriveWalletsRequest, trail: Trail
    ) -> Iterator[pb.DeriveWalletsResponse]:
        """Derive a range under the master's own key group: one scrypt run unlocks all of it."""
        request_id = checks.request_id(request.request_id)
        first, count = request.first_index, request.count
        checks.in_range("count", count, 1, WALLETS_MAX)
        checks.in_range("first_index", first, 0, checks.INDEX_COUNT - count)
        fingerprint = checks.fingerprint("master", request.master.master_fingerprint)
        with (
            trail.call("derive_wallets", request_id, first_index=first, count=count) as call,
            ExitStack() as stack,
        ):
            call.note(fingerprint=fingerprint)
            sealed = checks.sealed(request.master.sealed_record, Kind.MNEMONIC)
            with self.password(
                request.sealed_password, "DeriveWallets", fingerprint, first, count
            ) as password:
                keys = stack.enter_context(self.unlocked(password, sealed.group, call))
            page, pair_page = (stack.enter_context(self.pool.page()) for _ in range(2))
            master = sealed.open_master(keys.mnemonic, fingerprint, page)
            call.commit()
            sealer = Sealer(keys, Kind.WALLET)
            pair = KeyPair(pair_page)
            for at in range(first, first + count, CHUNK_WALLETS):
                indices = range(at, min(at + CHUNK_WALLETS, first + count))
                derived = derive_range(master.branch, indices, pair, sealer.seal, self.keyring.tag)
                identities, records, tags = zip(*derived, strict=True)
                yield pb.DeriveWalletsResponse(
                    first_index=at,
                    addresses=[identity.address for identity in identities],
                    sealed_records=records,
                    ownership_tags=tags,
                    key_group=sealed.group.name,
                )

    def seal_private_key(
        self, request: pb.SealPrivateKeyRequest, trail: Trail
    ) -> pb.SealPrivateKeyResponse:
        """Seal a foreign key under a new key group, if it is the key of the address given."""
        request_id = checks.request_id(request.request_id)
        identity = Identity(checks.address("address", request.address), "", IMPORTED)
        bound = (request_id, identity.address)
        with trail.call("seal_private_key", request_id, address=identity.address) as call:
            with ExitStack() as stack:
                rpc = "SealPrivateKey"
                password = stack.enter_context(self.password(request.sealed_password, rpc, *bound))
                page = stack.enter_context(self.pool.page())
                pair = KeyPair(page)
                with checks.naming("sealed_private_key"):
                    key = self.envelopes.open(
                        request.sealed_private_key, page, "private_key", rpc, *bound
                    )
                    address = pair.load(key)
                if address != identity.address:
                    raise invalid("address", "is not the address of the private key")
                group = self.keyring.new_group()
                with self.keyring.record_keys(password, group) as keys:
                    sealed = Sealer(keys, Kind.WALLET).seal(pair.seed, identity)
            call.note(key_group=group.name)
        wallet = records_pb2.WalletRecord(
            address=identity.address,
            derivation_index=IMPORTED,
            sealed_record=sealed,
            ownership_tag=self.keyring.tag(identity),
        )
        return pb.SealPrivateKeyResponse(wallet=wallet, key_group=group.name)
