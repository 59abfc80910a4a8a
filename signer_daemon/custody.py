"""Making, sealing and unlocking keys: everything the signer does with a password.

Each method is one call of the contract: check, open, work on locked pages, write the audit record,
answer.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from signer_daemon import checks
from signer_daemon.errors import invalid
from signer_daemon.trail import Trail
from signer_daemon.vault.derivation import IMPORTED, Identity, KeyPair, derive_range
from signer_daemon.vault.envelope import EnvelopeOpener
from signer_daemon.vault.keyring import KeyRing
from signer_daemon.vault.memory import PagePool
from signer_daemon.vault.mnemonic import WordLists
from signer_daemon.vault.records import Kind, Master, RecordKeys, SealedRecord, Sealer
from signer_daemon.vault.sessions import SessionTable
from solward.signer.v1 import records_pb2
from solward.signer.v1 import signer_service_pb2 as pb

WALLETS_MAX = 10_000
MASTERS_MAX = 100
KEY_GROUPS_MAX = 16
CHUNK_WALLETS = 1000


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
        session_ttl_seconds_max: int,
    ) -> None:
        """Take the rooms; the caller owns and closes them."""
        self.pool = pool
        self.keyring = keyring
        self.envelopes = envelopes
        self.sessions = sessions
        self.words = words
        self.session_ttl_seconds_max = session_ttl_seconds_max

    @contextmanager
    def password(
        self, sealed: bytes, rpc: str, *fields: str | int, purpose: str = "password"
    ) -> Iterator[memoryview]:
        """Lend a password from its envelope, on a page that is wiped when the block ends."""
        with self.pool.page() as page:
            yield self.envelopes.open_password(sealed, page, purpose, rpc, *map(str, fields))

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
        """Derive a range under the master's own key group: one scrypt run then unlocks all of it."""
        request_id = checks.request_id(request.request_id)
        first, count = request.first_index, request.count
        checks.in_range("count", count, 1, WALLETS_MAX)
        checks.in_range("first_index", first, 0, checks.INDEX_COUNT - count)
        fingerprint = request.master.master_fingerprint
        with (
            trail.call("derive_wallets", request_id, first_index=first, count=count) as call,
            ExitStack() as stack,
        ):
            call.note(fingerprint=fingerprint[:32])
            sealed = checks.sealed(request.master.sealed_record, Kind.MNEMONIC)
            with self.password(
                request.sealed_password, "DeriveWallets", fingerprint, first, count
            ) as password:
                keys = stack.enter_context(self.keyring.record_keys(password, sealed.group))
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
        identity = Identity(request.address, "", IMPORTED)
        bound = (request_id, identity.address)
        with trail.call("seal_private_key", request_id, address=identity.address[:64]) as call:
            with ExitStack() as stack:
                rpc = "SealPrivateKey"
                password = stack.enter_context(self.password(request.sealed_password, rpc, *bound))
                page = stack.enter_context(self.pool.page())
                key = self.envelopes.open(
                    request.sealed_private_key, page, "private_key", rpc, *bound
                )
                pair = KeyPair(page)
                if pair.load(key) != identity.address:
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

    def open_session(
        self, request: pb.OpenSessionRequest, trail: Trail, now_ms: int
    ) -> pb.OpenSessionResponse:
        """Prove a password on one wallet of each key group; keep their keys for purpose SIGN."""
        request_id = checks.request_id(request.request_id)
        purposes = (pb.OpenSessionRequest.PURPOSE_SIGN, pb.OpenSessionRequest.PURPOSE_VERIFY)
        checks.one_of("purpose", request.purpose, purposes)
        purpose = pb.OpenSessionRequest.Purpose.Name(request.purpose)
        limit = self.session_ttl_seconds_max
        ttl_seconds = checks.in_range("ttl_seconds", request.ttl_seconds, 0, limit) or limit
        checks.in_range("wallets", len(request.wallets), 1, KEY_GROUPS_MAX)
        identities = [
            checks.wallet_identity(f"wallets[{at}]", wallet)
            for at, wallet in enumerate(request.wallets)
        ]
        addresses = [identity.address for identity in identities]
        with trail.call("open_session", request_id, purpose=purpose, addresses=addresses) as call:
            records = [
                checks.sealed(wallet.sealed_record, Kind.WALLET) for wallet in request.wallets
            ]
            groups = sorted(record.group.name for record in records)
            if len(set(groups)) != len(groups):
                raise invalid("wallets", "must be of different key groups")
            call.note(key_groups=groups)
            bound: list[str | int] = [purpose, request.ttl_seconds, *groups]
            with self.password(request.sealed_password, "OpenSession", *bound) as password:
                unlocked = self._unlock(password, records, identities)
                if request.purpose == pb.OpenSessionRequest.PURPOSE_VERIFY:
                    for _ in unlocked:
                        pass
                    return pb.OpenSessionResponse(key_groups=groups)
                token = self.sessions.open(unlocked, ttl_seconds)
            try:
                call.commit()
            except BaseException:
                self.sessions.close(token)
                raise
        return pb.OpenSessionResponse(
            session_token=token, expire_time_ms=now_ms + ttl_seconds * 1000, key_groups=groups
        )

    def _unlock(
        self, password: memoryview, records: list[SealedRecord], identities: list[Identity]
    ) -> Iterator[RecordKeys]:
        """Yield the keys of each record's group once its record has opened with them."""
        with self.pool.page() as page:
            pair = KeyPair(page)
            for record, identity in zip(records, identities, strict=True):
                with self.keyring.record_keys(password, record.group) as keys:
                    record.open_wallet(keys.wallet, identity, pair)
                    pair.wipe()
                    yield keys

    def rotate(self, request: pb.RotateRecordsRequest, trail: Trail) -> pb.RotateRecordsResponse:
        """Seal records of one key group again: new password, new salt, current keys."""
        request_id = checks.request_id(request.request_id)
        checks.in_range("masters", len(request.masters), 0, MASTERS_MAX)
        checks.in_range("wallets", len(request.wallets), 0, WALLETS_MAX)
        if not request.masters and not request.wallets:
            raise invalid("wallets", "there is nothing to rotate")
        counts = {"masters": len(request.masters), "wallets": len(request.wallets)}
        with trail.call("rotate_records", request_id, **counts) as call, ExitStack() as stack:
            masters = [checks.sealed(m.sealed_record, Kind.MNEMONIC) for m in request.masters]
            wallets = [checks.sealed(w.sealed_record, Kind.WALLET) for w in request.wallets]
            group = (masters or wallets)[0].group
            if any(record.group != group for record in (*masters, *wallets)):
                raise invalid("wallets", "masters and wallets must be of one key group")
            call.note(key_group=group.name)
            old, new = self._rotation_keys(request, group.name, (masters or wallets)[0], stack)
            call.note(new_key_group=new.group.name)
            response = pb.RotateRecordsResponse(key_group=new.group.name)
            self._rotate_masters(request, masters, old, new, response)
            self._rotate_wallets(request, wallets, old, new, response)
        return response

    def _rotation_keys(
        self,
        request: pb.RotateRecordsRequest,
        key_group: str,
        sample: SealedRecord,
        stack: ExitStack,
    ) -> tuple[RecordKeys, RecordKeys]:
        rpc = "RotateRecords"
        new_password = self.password(
            request.sealed_new_password, rpc, key_group, purpose="new_password"
        )
        with self.password(request.sealed_password, rpc, key_group) as password:
            old = stack.enter_context(self.keyring.record_keys(password, sample.group))
        with new_password as password:
            new = stack.enter_context(
                self.keyring.record_keys(password, self.keyring.new_group(sample.group.log2n))
            )
        return old, new

    def _rotate_masters(
        self,
        request: pb.RotateRecordsRequest,
        records: list[SealedRecord],
        old: RecordKeys,
        new: RecordKeys,
        response: pb.RotateRecordsResponse,
    ) -> None:
        sealer = Sealer(new, Kind.MNEMONIC)
        for named, record in zip(request.masters, records, strict=True):
            with self.pool.page() as page, self.pool.page() as scratch:
                master = record.open_master(old.mnemonic, named.master_fingerprint, page)
                response.sealed_master_records.append(sealer.seal_master(master, scratch))

    def _rotate_wallets(
        self,
        request: pb.RotateRecordsRequest,
        records: list[SealedRecord],
        old: RecordKeys,
        new: RecordKeys,
        response: pb.RotateRecordsResponse,
    ) -> None:
        sealer = Sealer(new, Kind.WALLET)
        with self.pool.page() as page:
            pair = KeyPair(page)
            for at, (named, record) in enumerate(zip(request.wallets, records, strict=True)):
                identity = checks.wallet_identity(f"wallets[{at}]", named)
                record.open_wallet(old.wallet, identity, pair)
                response.sealed_wallet_records.append(sealer.seal(pair.seed, identity))
                response.ownership_tags.append(self.keyring.tag(identity))
