"""What the rooms of the vault raise.

    VaultError
    ├── MemoryUnavailable      memory cannot be locked, or no page is free
    ├── SecretsInvalid         ENCRYPTION_KEY or MASTER_PASSWORD is not fit for use
    ├── TextInvalid            not UTF-8, or too long for its purpose
    │   └── PasswordRejected
    │       ├── PasswordTooShort
    │       └── PasswordInvalid
    ├── MnemonicInvalid        unknown word, wrong count or wrong checksum
    ├── PrivateKeyInvalid      wrong length, or the public half does not fit
    ├── RecordRejected         a sealed record did not open; never says why
    ├── ArchiveRejected        a vault archive did not open; never says why
    ├── OwnershipRejected      an ownership tag is not ours, or not this wallet's
    ├── EnvelopeRejected       a sealed secret was refused; `reason` is stable
    ├── KdfBusy                no slot for a password derivation in time
    └── SessionError
        ├── SessionInvalid     unknown, closed or expired: the three look the same
        ├── SessionLacksKey    the session does not unlock this key group
        └── SessionLimit       too many sessions, or too many keys for one

No message holds anything that was opened, and no error is chained to a library's own (`from None`):
a library's error may carry the bytes it choked on.
"""

from enum import StrEnum


class VaultError(Exception):
    """Anything the vault refuses."""


class MemoryUnavailable(VaultError):
    """Memory could not be locked (at start), or the pool has no free page (under load)."""


class SecretsInvalid(VaultError):
    """ENCRYPTION_KEY is not 32 bytes, or MASTER_PASSWORD is not 32 to 1,024 characters."""


class TextInvalid(VaultError):
    """A secret text is not UTF-8 or is longer than its purpose allows."""


class PasswordRejected(TextInvalid):
    """A password breaks the rules: 12 to 256 characters, UTF-8, at most 1,024 bytes."""


class PasswordTooShort(PasswordRejected):
    """A password has too few characters (code points)."""


class PasswordInvalid(PasswordRejected):
    """A password is too long, or not UTF-8."""


class MnemonicInvalid(VaultError):
    """A mnemonic has an unknown word, words of several lists, a wrong count or a wrong checksum."""

    def __init__(self) -> None:
        super().__init__("the mnemonic is not valid")


class PrivateKeyInvalid(VaultError):
    """A private key is neither a 32-byte seed nor a 64-byte key pair that fits together."""

    def __init__(self) -> None:
        super().__init__("the private key is not a seed or a key pair")


class RecordRejected(VaultError):
    """A sealed record did not open: text, password, keys or address, the message is the same."""

    def __init__(self) -> None:
        super().__init__("the record does not open with this password and identity")


class ArchiveRejected(VaultError):
    """A vault archive did not open. Password, version, altered or cut: one message."""

    def __init__(self) -> None:
        super().__init__("the archive does not open with this password")


class OwnershipRejected(VaultError):
    """An ownership tag was not made by this signer for this address, fingerprint and index."""

    def __init__(self) -> None:
        super().__init__("the ownership tag does not fit the wallet")


class EnvelopeReason(StrEnum):
    """Why a sealed secret was refused. A stale boot id shows as OTHER_REQUEST."""

    MALFORMED = "malformed"
    EXPIRED = "expired"
    TOO_FAR_AHEAD = "too far ahead"
    OTHER_REQUEST = "other request"
    REPLAYED = "replayed"
    TOO_MANY = "too many live"


class EnvelopeRejected(VaultError):
    """A sealed secret was refused; `reason` says why."""

    def __init__(self, reason: EnvelopeReason) -> None:
        super().__init__(f"the sealed secret was refused: {reason}")
        self.reason = reason


class KdfBusy(VaultError):
    """No slot for a password derivation came free before the deadline. Nothing was derived."""


class SessionError(VaultError):
    """Anything about a session."""


class SessionInvalid(SessionError):
    """The token names no open session."""


class SessionLacksKey(SessionError):
    """The session is open but does not unlock the key group asked for."""


class SessionLimit(SessionError):
    """The table has no room for another session, or a session none for another key."""
