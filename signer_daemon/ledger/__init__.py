"""The audit log as the ledger: what was signed, durable first, and the limits counted from it."""

from signer_daemon.ledger.audit import AuditLog, AuditUnavailableError
from signer_daemon.ledger.clock import Clock, SystemClock
from signer_daemon.ledger.meters import LimitExceededError, Meters, Reservation, charges_field
from signer_daemon.ledger.segments import open_log, verify_series
from signer_daemon.ledger.verify import AuditRejectedError, Head, verify_file

__all__ = [
    "AuditLog",
    "AuditRejectedError",
    "AuditUnavailableError",
    "Clock",
    "Head",
    "LimitExceededError",
    "Meters",
    "Reservation",
    "SystemClock",
    "charges_field",
    "open_log",
    "verify_file",
    "verify_series",
]
