"""ExportVault and ImportVault: a vault as an archive under a password of its own, and back."""

import struct
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import groupby

from signer_daemon import checks
from signer_daemon.config import Export
from signer_daemon.custody import CHUNK_WALLETS, WALLETS_MAX, Custody
from signer_daemon.errors import invalid
from signer_daemon.exports import require
from signer_daemon.trail import Call, Trail
from signer_daemon.unlocking import KEY_GROUPS_MAX, MASTERS_MAX
from signer_daemon.vault.archive import (
    ARCHIVE_LOG2N,
    HEADER_BYTES,
    ArchiveWriter,
    Entry,
    new_header,
    read_entries,
    read_texts,
    salt_of,
)
from signer_daemon.vault.derivation import (
    IMPORTED,
    INDEX_MAX,
    DerivedWallet,
    Identity,
    KeyPair,
    derive_range,
)
from signer_daemon.vault.errors import ArchiveRejected
from signer_daemon.vault.memory import Page
from signer_daemon.vault.records import KeyGroup, Kind, Master, RecordKeys, Sealer
from solward.signer.v1 import admin_service_pb2 as pb
from solward.signer.v1 import records_pb2

ARCHIVE_CHUNK_BYTES = 64 << 10
EXPORT_WALLETS_MAX = 20_000  # 7 MB of request


class Archives:
    """Exports and imports of vaults. `allowed` is the configuration's word on exports."""

    def __init__(self, custody: Custody, allowed: Export) -> None:
        """Take the rooms and what may leave them."""
        self._custody = custody
        self._allowed = allowed

    def export_vault(
        self, request: pb.ExportVaultRequest, trail: Trail
    ) -> Iterator[pb.ExportVaultResponse]:
        """Write an archive: each master with the ranges derived from it, then imported wallets."""
        request_id = checks.request_id(request.request_id)
        checks.in_range("masters", len(request.masters), 0, MASTERS_MAX)
        checks.in_range("wallets", len(request.wallets), 0, EXPORT_WALLETS_MAX)
        counts = {"masters": len(request.masters), "wallets": len(request.wallets)}
        with trail.call("export_vault", request_id, **counts) as call, ExitStack() as stack:
            require("vault", allowed=self._allowed.vault)
            ranges, imported = self._sorted_wallets(request)
            password = stack.enter_context(
                self._custody.password(request.sealed_password, "ExportVault", request_id)
            )
            header = new_header()
            with self._custody.password(
                request.sealed_archive_password,
                "ExportVault",
                request_id,
                purpose="new_password",
                field="sealed_archive_password",
            ) as archive_password:
                key = stack.enter_context(
                    self._custody.keyring.archive_key(
                        archive_password, salt_of(header), ARCHIVE_LOG2N
                    )
                )
            page = stack.enter_context(self._custody.pool.page())
            writer = ArchiveWriter(header, key, page)
            opener = _Opener(self._custody, password, call, stack)
            call.commit()
            pending = header
            for chunk in self._chunks(request, writer, opener, ranges, imported):
                pending += chunk
                if len(pending) >= ARCHIVE_CHUNK_BYTES:
                    yield pb.ExportVaultResponse(archive_chunk=pending)
                    pending = b""
            yield pb.ExportVaultResponse(archive_chunk=pending)

    def _sorted_wallets(
        self, request: pb.ExportVaultRequest
    ) -> tuple[dict[str, list[tuple[int, int]]], list[records_pb2.WalletRecord]]:
        """Return index ranges by fingerprint, proven by ownership tags, and imported wallets."""
        indices: dict[str, list[int]] = {m.master_fingerprint: [] for m in request.masters}
        imported = []
        for at, wallet in enumerate(request.wallets):
            identity = checks.wallet_identity(f"wallets[{at}]", wallet)
            with checks.naming(f"wallets[{at}]"):
                self._custody.keyring.verify_tag(wallet.ownership_tag, identity)
            if identity.derivation_index == IMPORTED:
                imported.append(wallet)
            elif identity.fingerprint in indices:
                indices[identity.fingerprint].append(identity.derivation_index)
            else:
                raise invalid(f"wallets[{at}]", "its master is not among the masters")
        return {fingerprint: _ranges(held) for fingerprint, held in indices.items()}, imported

    def _chunks(
        self,
        request: pb.ExportVaultRequest,
        writer: ArchiveWriter,
        opener: "_Opener",
        ranges: dict[str, list[tuple[int, int]]],
        imported: list[records_pb2.WalletRecord],
    ) -> Iterator[bytes]:
        for named in request.masters:
            record = checks.sealed(named.sealed_record, Kind.MNEMONIC)
            with self._custody.pool.page() as page:
                keys = opener.keys(record.group)
                master = record.open_master(keys.mnemonic, named.master_fingerprint, page)
                yield writer.add_texts("M", master.mnemonic, master.passphrase)
            for first, count in ranges[named.master_fingerprint]:
                yield writer.add("D", struct.pack(">II", first, count))
        with self._custody.pool.page() as page:
            pair = KeyPair(page)
            for at, wallet in enumerate(imported):
                record = checks.sealed(wallet.sealed_record, Kind.WALLET)
                identity = checks.wallet_identity(f"wallets[{at}]", wallet)
                record.open_wallet(opener.keys(record.group).wallet, identity, pair)
                yield writer.add("I", pair.seed)
        yield writer.end()

    def import_vault(
        self, request: pb.ImportVaultRequest, trail: Trail
    ) -> Iterator[pb.ImportVaultResponse]:
        """Open an archive and seal what it holds under one new key group."""
        request_id = checks.request_id(request.request_id)
        archive = request.archive
        with trail.call("import_vault", request_id) as call, ExitStack() as stack:
            salt = salt_of(archive[:HEADER_BYTES])
            with self._custody.password(
                request.sealed_archive_password,
                "ImportVault",
                request_id,
                field="sealed_archive_password",
            ) as archive_password:
                key = stack.enter_context(
                    self._custody.keyring.archive_key(archive_password, salt, ARCHIVE_LOG2N)
                )
            group = self._custody.keyring.new_group()
            with self._custody.password(
                request.sealed_password, "ImportVault", request_id, purpose="new_password"
            ) as password:
                keys = stack.enter_context(self._custody.keyring.record_keys(password, group))
            with self._custody.pool.page() as page:
                # Once to the end before any of it is believed: a cut archive is found there.
                kinds = [entry.kind for entry in read_entries(archive, key, page)]
            call.note(key_group=group.name, masters=kinds.count("M"))
            call.commit()
            page = stack.enter_context(self._custody.pool.page())
            importer = _Importer(self._custody, keys, stack)
            for entry in read_entries(archive, key, page):
                yield from importer.take(entry)


class _Opener:
    """Record keys by key group, each derived once, for as long as the export lasts."""

    def __init__(
        self, custody: Custody, password: memoryview, call: Call, stack: ExitStack
    ) -> None:
        self._custody = custody
        self._password = password
        self._call = call
        self._stack = stack
        self._open: dict[str, RecordKeys] = {}

    def keys(self, group: KeyGroup) -> RecordKeys:
        if group.name not in self._open:
            if len(self._open) >= KEY_GROUPS_MAX:
                raise invalid("wallets", f"must be of at most {KEY_GROUPS_MAX} key groups")
            self._open[group.name] = self._stack.enter_context(
                self._custody.unlocked(self._password, group, self._call)
            )
        return self._open[group.name]


class _Importer:
    """Turns an archive's entries into records of this signer."""

    def __init__(self, custody: Custody, keys: RecordKeys, stack: ExitStack) -> None:
        self._custody = custody
        self._keys = keys
        pages = [stack.enter_context(custody.pool.page()) for _ in range(4)]
        self._master_page, self._text_page, self._check_page, pair_page = pages
        self._pair = KeyPair(pair_page)
        self._sealer = Sealer(keys, Kind.WALLET)
        self._master: Master | None = None

    def take(self, entry: Entry) -> Iterator[pb.ImportVaultResponse]:
        """Yield what one entry holds."""
        if entry.kind == "M":
            yield pb.ImportVaultResponse(
                masters=[self._take_master(entry)], key_group=self._keys.group.name
            )
        elif entry.kind == "D":
            yield from self._take_range(entry)
        else:
            self._pair.seed[:] = entry.body
            identity = Identity(self._pair.expand(), "", IMPORTED)
            sealed = self._sealer.seal(self._pair.seed, identity)
            self._pair.wipe()
            yield self._response([DerivedWallet(identity, sealed, self._tag(identity))])

    def _take_master(self, entry: Entry) -> records_pb2.MasterRecord:
        for page in (self._master_page, self._text_page, self._check_page):
            page.wipe()
        texts = [_copy(text, self._text_page) for text in read_texts(entry.body)]
        self._custody.words.validate(texts[0], self._check_page)
        self._master = Master.load(texts[0], texts[1], self._master_page)
        self._check_page.wipe()
        sealer = Sealer(self._keys, Kind.MNEMONIC)
        return records_pb2.MasterRecord(
            master_fingerprint=self._master.branch.fingerprint,
            sealed_record=sealer.seal_master(self._master, self._check_page),
        )

    def _take_range(self, entry: Entry) -> Iterator[pb.ImportVaultResponse]:
        first, count = struct.unpack(">II", entry.body)
        if self._master is None or first + count > INDEX_MAX + 1 or count > WALLETS_MAX:
            raise ArchiveRejected
        for at in range(first, first + count, CHUNK_WALLETS):
            indices = range(at, min(at + CHUNK_WALLETS, first + count))
            yield self._response(
                list(
                    derive_range(
                        self._master.branch, indices, self._pair, self._sealer.seal, self._tag
                    )
                )
            )

    def _tag(self, identity: Identity) -> str:
        return self._custody.keyring.tag(identity)

    def _response(self, wallets: list[DerivedWallet]) -> pb.ImportVaultResponse:
        records = [
            records_pb2.WalletRecord(
                address=identity.address,
                master_fingerprint=identity.fingerprint,
                derivation_index=identity.derivation_index,
                sealed_record=sealed,
                ownership_tag=tag,
            )
            for identity, sealed, tag in wallets
        ]
        return pb.ImportVaultResponse(wallets=records, key_group=self._keys.group.name)


def _copy(text: memoryview, page: Page) -> memoryview:
    room = page.take(len(text))
    room[:] = text
    return room


def _ranges(indices: list[int]) -> list[tuple[int, int]]:
    """Return (first, count) for each run of consecutive indices."""
    runs = groupby(enumerate(sorted(set(indices))), key=lambda pair: pair[1] - pair[0])
    found = [[index for _, index in run] for _, run in runs]
    return [(run[0], len(run)) for run in found]
