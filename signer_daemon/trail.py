"""The audit trail as the services use it: a call that touches a wallet leaves a record, or fails.

A record is durable before its call answers. So a call that succeeded is in the log, and one whose
record could not be written did not succeed, whatever was computed meanwhile.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Literal

from signer_daemon.errors import Refusal, refusal_of
from signer_daemon.ledger import AuditLog
from solward.signer.v1 import errors_pb2 as pb

Caller = Literal["signer.sock", "admin.sock", "signer"]


class Trail:
    """Writes records for one caller: the socket it came in by, for which the file mode vouches."""

    def __init__(self, log: AuditLog, caller: Caller) -> None:
        self.log = log
        self.caller = caller

    def event(
        self, event: str, request_id: str, outcome: str, **fields: object
    ) -> dict[str, object]:
        """Return a record to be written; `fields` hold nothing secret."""
        return {
            "event": event,
            "caller": self.caller,
            "request_id": request_id,
            "outcome": outcome,
            **fields,
        }

    @contextmanager
    def call(self, event: str, request_id: str, **fields: object) -> Iterator["Call"]:
        """Guard one call: `ok` is written when it ends well, the refusal's reason when it does not.

        Raises Refusal, also AUDIT_UNAVAILABLE when the record cannot be written.
        """
        call = Call(self, event, request_id, fields)
        try:
            yield call
            call.commit()
        except GeneratorExit:
            # The caller hung up in mid-stream: what was released stands in the log already.
            raise
        except BaseException as error:
            refusal = refusal_of(error)
            call.refuse(refusal or Refusal(pb.ERROR_REASON_INTERNAL, "internal error"))
            if refusal is None:
                raise
            raise refusal from None


class Call:
    """One guarded call, and what it has learned about itself so far."""

    def __init__(
        self, trail: Trail, event: str, request_id: str, fields: Mapping[str, object]
    ) -> None:
        self._trail = trail
        self._event = event
        self._request_id = request_id
        self._fields = dict(fields)
        self._is_committed = False

    def note(self, **fields: object) -> None:
        """Add public facts to the record to be written."""
        self._fields.update(fields)

    def commit(self) -> None:
        """Write the record of success now, before the first secret-derived byte is released."""
        if not self._is_committed:
            self._write("ok")
            self._is_committed = True
            # Counted by that record: one of a refusal that follows must not count them again.
            self._fields.pop("charges", None)

    def refuse(self, refusal: Refusal) -> None:
        """Write the record of a refusal. A log that cannot be written is the louder refusal."""
        if refusal.reason != pb.ERROR_REASON_AUDIT_UNAVAILABLE:
            self.note(reason=refusal.name)
            self._write("refused")

    def _write(self, outcome: str) -> None:
        record = self._trail.event(self._event, self._request_id, outcome, **self._fields)
        self._trail.log.append(record)
