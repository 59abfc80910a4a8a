"""OpenSession and RotateRecords: what a password unlocks, for a time or for good."""

from collections.abc import Iterator
from contextlib import ExitStack

from signer_daemon import checks
from signer_daemon.custody import Custody
from signer_daemon.errors import invalid
from signer_daemon.trail import Call, Trail
from signer_daemon.vault.derivation import INDEX_MAX, Identity, KeyPair
from signer_daemon.vault.records import Kind, RecordKeys, SealedRecord, Sealer
from signer_daemon.vault.sessions import UNSCOPED, Scope
from solward.signer.v1 import signer_service_pb2 as pb

MASTERS_MAX = 100
KEY_GROUPS_MAX = 16
ROTATED_WALLETS_MAX = 20_000  # 7 MB of request: a vault that was moved is one key group


def open_session(
    custody: Custody, request: pb.OpenSessionRequest, trail: Trail, now_ms: int
) -> pb.OpenSessionResponse:
    """Prove a password on one wallet of each key group; keep their wallet keys for purpose SIGN."""
    request_id = checks.request_id(request.request_id)
    purposes = (pb.OpenSessionRequest.PURPOSE_SIGN, pb.OpenSessionRequest.PURPOSE_VERIFY)
    checks.one_of("purpose", request.purpose, purposes)
    purpose = pb.OpenSessionRequest.Purpose.Name(request.purpose)
    limit = custody.session_ttl_seconds_max
    ttl_seconds = checks.in_range("ttl_seconds", request.ttl_seconds, 0, limit) or limit
    scope, idle_seconds, scope_text = _scope(request, ttl_seconds)
    checks.in_range("wallets", len(request.wallets), 1, KEY_GROUPS_MAX)
    identities = [
        checks.wallet_identity(f"wallets[{at}]", wallet)
        for at, wallet in enumerate(request.wallets)
    ]
    addresses = [identity.address for identity in identities]
    with trail.call("open_session", request_id, purpose=purpose, addresses=addresses) as call:
        records = [checks.sealed(wallet.sealed_record, Kind.WALLET) for wallet in request.wallets]
        groups = sorted(record.group.name for record in records)
        if len(set(groups)) != len(groups):
            raise invalid("wallets", "must be of different key groups")
        call.note(key_groups=groups, scope=scope_text)
        bound: list[str | int] = [purpose, request.ttl_seconds, *scope_text, *groups]
        with custody.password(request.sealed_password, "OpenSession", *bound) as password:
            unlocked = _unlock(custody, password, records, identities, call)
            if request.purpose == pb.OpenSessionRequest.PURPOSE_VERIFY:
                for _ in unlocked:
                    pass
                return pb.OpenSessionResponse(key_groups=groups)
            token = custody.sessions.open(
                unlocked, ttl_seconds, idle_seconds=idle_seconds, scope=scope
            )
        try:
            call.note(session=custody.sessions.scope(token)[0])
            call.commit()
        except BaseException:
            custody.sessions.close(token)
            raise
    return pb.OpenSessionResponse(
        session_token=token, expire_time_ms=now_ms + ttl_seconds * 1000, key_groups=groups
    )


def _scope(request: pb.OpenSessionRequest, ttl_seconds: int) -> tuple[Scope, int, list[str]]:
    """Return the scope, the idle time in seconds (0: none) and the text that the password binds."""
    if not request.HasField("scope"):
        return UNSCOPED, 0, []
    given = request.scope
    checks.in_range("scope.index_first", given.index_first, 0, INDEX_MAX)
    checks.in_range("scope.index_last", given.index_last, given.index_first, INDEX_MAX)
    idle_seconds = checks.in_range("scope.idle_ttl_seconds", given.idle_ttl_seconds, 0, ttl_seconds)
    scope = Scope(
        given.index_first,
        given.index_last,
        given.sign_transactions,
        given.sign_messages,
        given.lamports_max,
    )
    return scope, idle_seconds, [",".join(str(int(part)) for part in (*scope, idle_seconds))]


def _unlock(
    custody: Custody,
    password: memoryview,
    records: list[SealedRecord],
    identities: list[Identity],
    call: Call,
) -> Iterator[RecordKeys]:
    """Yield the keys of each record's group once its record has opened with them."""
    with custody.pool.page() as page:
        pair = KeyPair(page)
        for record, identity in zip(records, identities, strict=True):
            with custody.unlocked(password, record.group, call) as keys:
                record.open_wallet(keys.wallet, identity, pair)
                pair.wipe()
                yield keys


def rotate(
    custody: Custody, request: pb.RotateRecordsRequest, trail: Trail
) -> pb.RotateRecordsResponse:
    """Seal records of one key group again: new password, new salt, current keys."""
    request_id = checks.request_id(request.request_id)
    checks.in_range("masters", len(request.masters), 0, MASTERS_MAX)
    checks.in_range("wallets", len(request.wallets), 0, ROTATED_WALLETS_MAX)
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
        rpc = "RotateRecords"
        with custody.password(request.sealed_password, rpc, group.name) as password:
            old = stack.enter_context(custody.unlocked(password, group, call))
        with custody.password(
            request.sealed_new_password,
            rpc,
            group.name,
            purpose="new_password",
            field="sealed_new_password",
        ) as password:
            new_group = custody.keyring.new_group(group.log2n)
            new = stack.enter_context(custody.keyring.record_keys(password, new_group))
        call.note(new_key_group=new_group.name)
        response = pb.RotateRecordsResponse(key_group=new_group.name)
        _rotate_masters(custody, request, masters, (old, new), response)
        _rotate_wallets(custody, request, wallets, (old, new), response)
    return response


def _rotate_masters(
    custody: Custody,
    request: pb.RotateRecordsRequest,
    records: list[SealedRecord],
    keys: tuple[RecordKeys, RecordKeys],
    response: pb.RotateRecordsResponse,
) -> None:
    old, new = keys
    sealer = Sealer(new, Kind.MNEMONIC)
    for named, record in zip(request.masters, records, strict=True):
        with custody.pool.page() as page, custody.pool.page() as scratch:
            master = record.open_master(old.mnemonic, named.master_fingerprint, page)
            response.sealed_master_records.append(sealer.seal_master(master, scratch))


def _rotate_wallets(
    custody: Custody,
    request: pb.RotateRecordsRequest,
    records: list[SealedRecord],
    keys: tuple[RecordKeys, RecordKeys],
    response: pb.RotateRecordsResponse,
) -> None:
    old, new = keys
    sealer = Sealer(new, Kind.WALLET)
    with custody.pool.page() as page:
        pair = KeyPair(page)
        for at, (named, record) in enumerate(zip(request.wallets, records, strict=True)):
            identity = checks.wallet_identity(f"wallets[{at}]", named)
            record.open_wallet(old.wallet, identity, pair)
            response.sealed_wallet_records.append(sealer.seal(pair.seed, identity))
            response.ownership_tags.append(custody.keyring.tag(identity))
