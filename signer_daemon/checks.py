"""Checks of what callers send, before anything is done with it. Each names the field it refuses."""

import re
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from signer_daemon.errors import invalid, refusal_of
from signer_daemon.vault.derivation import IMPORTED, INDEX_MAX, Identity
from signer_daemon.vault.errors import RecordRejected, VaultError
from signer_daemon.vault.records import Kind, SealedRecord
from solward.signer.v1 import records_pb2 as pb

INDEX_COUNT = INDEX_MAX + 1
# What has this form may be written to the log: no text of a caller's own choice stands there.
_ADDRESS = re.compile(r"[1-9A-HJ-NP-Za-km-z]{32,44}")
_FINGERPRINT = re.compile(r"[0-9a-f]{32}")


def request_id(value: str) -> str:
    """Return a UUID in its one lower-case spelling."""
    try:
        parsed = uuid.UUID(value)
    except ValueError:
        parsed = None
    if parsed is None or str(parsed) != value:
        raise invalid("request_id", "must be a UUID, lower case with hyphens")
    return value


def in_range(field: str, value: int, low: int, high: int) -> int:
    """Return `value` if it is from `low` to `high`."""
    if not low <= value <= high:
        raise invalid(field, f"must be from {low} to {high}")
    return value


def one_of(field: str, value: int, allowed: tuple[int, ...]) -> int:
    """Return `value` if it is one of `allowed`."""
    if value not in allowed:
        raise invalid(field, f"must be one of {', '.join(map(str, allowed))}")
    return value


def public_key(field: str, value: bytes) -> bytes:
    """Return an X25519 public key (32)."""
    if len(value) != 32:
        raise invalid(field, "must be an X25519 public key of 32 bytes")
    return value


def address(field: str, value: str) -> str:
    """Return what has the form of an address; whether it is a wallet's shows when its key opens."""
    if not _ADDRESS.fullmatch(value):
        raise invalid(field, "must be an address: base58 of 32 bytes")
    return value


def fingerprint(field: str, value: str) -> str:
    """Return what has the form of a master's fingerprint."""
    if not _FINGERPRINT.fullmatch(value):
        raise invalid(field, "must be 32 lower-case hex characters")
    return value


def addresses(wallets: "Iterable[pb.WalletRecord]") -> list[str]:
    """Return the addresses of wallets, as far as they are fit to be written to the log."""
    return [wallet.address for wallet in wallets if _ADDRESS.fullmatch(wallet.address)]


@contextmanager
def naming(field: str) -> Iterator[None]:
    """Name the field at fault in what the vault refuses inside the block."""
    try:
        yield
    except VaultError as error:
        refusal = refusal_of(error)
        if refusal is None:
            raise
        raise refusal.at(field) from None


def wallet_identity(field: str, wallet: "pb.WalletRecord | pb.OwnershipProof") -> Identity:
    """Return whom a record or proof claims to be for; nothing of it is proven yet."""
    identity = Identity(wallet.address, wallet.master_fingerprint, wallet.derivation_index)
    if not identity.is_well_formed or not _ADDRESS.fullmatch(identity.address):
        raise invalid(field, "address, master_fingerprint and derivation_index do not fit together")
    if (identity.derivation_index == IMPORTED) != (identity.fingerprint == ""):
        raise invalid(field, "an imported wallet has no fingerprint and index -1")
    return identity


def sealed(text: str, kind: Kind) -> SealedRecord:
    """Parse a sealed record of one kind. Raises RecordRejected, as if it did not open."""
    record = SealedRecord.parse(text)
    if record.kind is not kind:
        raise RecordRejected
    return record
