"""Errors that the domain, the workflows and the adapters raise.

    GatewayError
    ├── InvalidArgumentError          the request cannot be right; `field` names the culprit
    │   └── TotalTooSmallError        a split has a share under the least its recipient can get
    ├── NotFoundError                 no such resource
    ├── AlreadyExistsError            the address, fingerprint or index is taken
    ├── PreconditionFailedError       right request, wrong moment (state, etag, funds)
    │   ├── EtagMismatchError         the resource is not the one that was approved
    │   └── RequestIdConflictError    the request id was used before with another body
    ├── PolicyDeniedError             the signer's policy would refuse the plan; `rule` names why
    ├── OutOfRangeError               the result would not fit (u64)
    ├── StoreUnavailableError         the database cannot be reached, timed out or refused the work
    ├── SignerUnavailableError        the signer cannot be reached
    ├── ShuttingDownError             the gateway is stopping
    ├── ChainUnavailableError         no RPC endpoint gave an answer that can be believed
    └── TransactionRejectedError      the RPC node refused a transaction (it may land all the same)

Every error has a `reason`, a name of gateway.v1.ErrorReason without its prefix.
Messages are safe to show: they hold no secret and nothing of a sealed record.
"""

from typing import ClassVar, Literal

Signed = Literal["no", "maybe"]


class GatewayError(Exception):
    """Base of everything the gateway raises on purpose.

    `field` is the request field at fault, in proto spelling, or "" where none is.
    """

    default_reason: ClassVar[str] = "INTERNAL"
    signed: Signed = "no"
    """Whether a signature was made for whoever asked: "maybe" where the answer was lost."""

    def __init__(self, message: str, *, field: str = "", reason: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.field = field
        self.reason = reason or self.default_reason


class InvalidArgumentError(GatewayError):
    """The request cannot be right, whatever the state of the system."""

    default_reason = "INVALID_FIELD"


class TotalTooSmallError(InvalidArgumentError):
    """The total does not give every recipient its rent floor, or of a token a base unit."""

    default_reason = "BELOW_RENT_FLOOR"


class NotFoundError(GatewayError):
    """No resource has this name."""

    default_reason = "WALLET_NOT_FOUND"


class AlreadyExistsError(GatewayError):
    """A resource with this identity exists."""

    default_reason = "ALREADY_STORED"


class PreconditionFailedError(GatewayError):
    """The resource or the system is not in a state that allows this now."""

    default_reason = "WRONG_STATE"


class EtagMismatchError(PreconditionFailedError):
    """The etag is not the resource's current one."""

    default_reason = "ETAG_MISMATCH"


class RequestIdConflictError(PreconditionFailedError):
    """The request id was used before, with a different request."""

    default_reason = "REQUEST_ID_REUSED"


class PolicyDeniedError(GatewayError):
    """The signer's policy would refuse what is planned. `rule` is as the signer names it."""

    default_reason = "POLICY_DENIED"

    def __init__(self, message: str, *, rule: str) -> None:
        super().__init__(message)
        self.rule = rule


class OutOfRangeError(GatewayError):
    """The result would leave the range of an unsigned 64-bit integer."""

    default_reason = "INVALID_FIELD"


class StoreUnavailableError(GatewayError):
    """The database cannot be reached, took too long or refused; nothing was committed.

    The one exception is a connection lost during COMMIT itself, where nobody can know; requests
    that carry a request_id are safe to repeat.
    """

    default_reason = "DATABASE_UNAVAILABLE"


class SignerUnavailableError(GatewayError):
    """The signer cannot be reached or did not answer in time.

    `signed` is "maybe" if it had been asked for a signature by then.
    """

    default_reason = "SIGNER_UNAVAILABLE"

    def __init__(self, message: str, *, signed: Signed = "no") -> None:
        super().__init__(message)
        self.signed = signed


class ShuttingDownError(GatewayError):
    """The gateway is stopping. `signed` as in SignerUnavailableError."""

    default_reason = "SHUTTING_DOWN"

    def __init__(self, message: str, *, signed: Signed = "no") -> None:
        super().__init__(message)
        self.signed = signed


class ChainUnavailableError(GatewayError):
    """No RPC endpoint gave an answer that can be believed."""

    default_reason = "RPC_UNAVAILABLE"


class TransactionRejectedError(GatewayError):
    """The RPC node refused the transaction. Other nodes may not, so it may land all the same.

    A node refuses to simulate, too: what it does not know, or cannot decode.
    """

    default_reason = "TRANSACTION_REJECTED"
