"""What the signer is asked and what it answers, as values; and the signer as a port.

The signer alone holds keys and decides. Everything here is ciphertext, public, or a secret on its
way in.
"""

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import astuple, dataclass, field
from typing import Final, Literal, Protocol

from gateway.domain.errors import GatewayError, Signed
from gateway.domain.lookup_tables import LookupTable
from gateway.domain.verdicts import PolicyAnswer, PolicyForecast, PolicyGroups
from gateway.domain.wallets import IndexRange, OwnershipProof, SigningWallet

SIGNER_DOMAIN: Final = "signer.solward"
SessionPurpose = Literal["PURPOSE_SIGN", "PURPOSE_VERIFY"]
_RECORD_FIELDS: Final = 8
_KEY_ID_FIELD: Final = 4


class SignerRefusedError(GatewayError):
    """The signer refused, and its answer goes to the client unchanged.

    `code` is the canonical gRPC status code, `status` the serialized google.rpc.Status with the
    signer's own details, `signed` "no" or "maybe".
    """

    def __init__(
        self,
        message: str,
        *,
        code: int,
        reason: str,
        field: str,
        status: bytes,
        signed: Signed = "no",
    ) -> None:
        super().__init__(message, field=field, reason=reason)
        self.code = code
        self.status = status
        self.signed = signed


@dataclass(frozen=True, slots=True)
class Secret:
    """A secret on its way to the signer: sealed by the client, or in clear to be sealed here.

    Exactly one of the two is given. Neither is ever shown.
    """

    sealed: bytes = field(default=b"", repr=False)
    plaintext: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class SignerInfo:
    """The signer's X25519 key (32 bytes) and the id of its present start (16 bytes).

    `key_id` names the keys that it seals new records under.
    """

    box_public_key: bytes
    boot_id: bytes
    key_id: str
    version: str


@dataclass(frozen=True, slots=True)
class SealedMaster:
    """A mnemonic, sealed: what `master_wallets` stores."""

    fingerprint: str
    record: str
    key_group: str


@dataclass(frozen=True, slots=True)
class SealedKey:
    """An imported key, sealed: what `wallets` stores."""

    address: str
    record: str
    ownership_tag: str
    key_group: str


@dataclass(frozen=True, slots=True)
class DerivedColumns:
    """Derived wallets as columns of one length; row i has the index `first_index` + i."""

    first_index: int
    addresses: Sequence[str]
    records: Sequence[str]
    ownership_tags: Sequence[str]
    key_group: str


@dataclass(frozen=True, slots=True)
class RotatedRecords:
    """Records under a new password, in the order they were given."""

    masters: Sequence[str]
    wallets: Sequence[str]
    ownership_tags: Sequence[str]
    key_group: str


@dataclass(frozen=True, slots=True)
class SessionScope:
    """What a session may do, inside what the policy allows. Whatever it leaves out is refused."""

    index_first: int
    index_last: int
    sign_transactions: bool
    sign_messages: bool
    lamports_max: int
    idle_ttl_seconds: int

    def spelling(self) -> str:
        """Returns the scope as sealed passwords are bound to it (signer.v1.OpenSessionRequest)."""
        return ",".join(str(int(value)) for value in astuple(self))


@dataclass(frozen=True, slots=True)
class SessionOrder:
    """What a session is for: one wallet of each key group, by group; a TTL of 0 is the limit."""

    purpose: SessionPurpose
    wallets: Mapping[str, SigningWallet]
    ttl_seconds: int = 0
    scope: SessionScope | None = None


@dataclass(frozen=True, slots=True)
class SignerSession:
    """An open session. `token` is a bearer secret; empty where a password was only verified."""

    token: bytes = field(repr=False)
    expire_time_ms: int = 0


@dataclass(frozen=True, slots=True)
class SignItem:
    """A transaction to sign or judge, with its wallets and the proofs that a `vault` rule wants.

    `lookup_tables` are those that it uses; the signer believes them if its policy pins them.
    """

    reference: str
    transaction: bytes
    wallets: Sequence[SigningWallet]
    vault_destinations: Sequence[OwnershipProof] = ()
    lookup_tables: Sequence[LookupTable] = ()


@dataclass(frozen=True, slots=True)
class SignedTransaction:
    """A signed transaction. `transaction_signature` is all zero while the first slot is empty."""

    transaction: bytes
    transaction_signature: bytes
    is_complete: bool
    signatures: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class ItemRefusal:
    """Why one item of a batch was not signed: reason, whose, canonical code, where to look."""

    reason: str
    domain: str
    code: int
    message: str
    rule: str = ""
    field: str = ""
    retry_delay_ms: int = 0
    signed: str = "no"


SignOutcome = SignedTransaction | ItemRefusal


def key_id_of(record: str) -> str:
    """Returns the id of the keys that a record is sealed under, "" if it is no such record."""
    fields = record.split("$")
    return fields[_KEY_ID_FIELD] if len(fields) == _RECORD_FIELDS else ""


class Signer(Protocol):
    """The signing daemon.

    Every method raises SignerUnavailableError or SignerRefusedError, and those that take a Secret
    PreconditionFailedError (PLAINTEXT_SECRET_REFUSED) where this gateway seals for nobody.
    """

    async def info(self) -> SignerInfo:
        """Asks the signer for its public facts."""
        ...

    async def create_master(
        self, request_id: str, word_count: int, password: Secret
    ) -> SealedMaster:
        """Makes a new master. Not idempotent."""
        ...

    def derive(
        self, request_id: str, master: SealedMaster, indices: IndexRange, password: Secret
    ) -> AsyncGenerator[DerivedColumns, None]:
        """Derives a range; yields it in order, without gaps, in chunks."""
        ...

    async def seal_private_key(
        self, request_id: str, address: str, private_key: Secret, password: Secret
    ) -> SealedKey:
        """Seals a key that was made elsewhere."""
        ...

    async def rotate(
        self,
        request_id: str,
        records: tuple[Sequence[SealedMaster], Sequence[SigningWallet]],
        key_group: str,
        password: Secret,
        new_password: Secret,
    ) -> RotatedRecords:
        """Seals (masters, wallets) of one key group under a new password: all or none."""
        ...

    async def open_session(
        self, request_id: str, order: SessionOrder, password: Secret
    ) -> SignerSession:
        """Proves a password for one wallet of each key group, and for SIGN keeps the keys open."""
        ...

    async def close_session(self, token: bytes) -> None:
        """Ends a session."""
        ...

    async def sign_transactions(
        self, request_id: str, token: bytes, items: Sequence[SignItem]
    ) -> list[SignOutcome]:
        """Signs in order; one final outcome for each item."""
        ...

    async def sign_message(
        self, request_id: str, token: bytes, wallet: SigningWallet, message: bytes
    ) -> bytes:
        """Signs one message."""
        ...

    async def check_policy(self, item: SignItem) -> PolicyAnswer:
        """Says what the policy would answer."""
        ...

    async def forecast_policy(self, items: Sequence[SignItem]) -> PolicyForecast:
        """Says what the policy would answer to all of the items together."""
        ...

    async def policy_groups(self, proofs: Sequence[OwnershipProof]) -> PolicyGroups:
        """Says which policy group each of up to 1,000 wallets falls into."""
        ...
