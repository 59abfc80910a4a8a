"""What a transaction would do: exact-bytes parsing and every effect that moves value or authority.

Pure: no key, no policy, no clock, no file. `parse_transaction` takes the wire bytes apart,
`read_intent` says what signing them would permit.
"""

from signer_daemon.intent.decode import read_intent
from signer_daemon.intent.effects import Effect, Intent, Kind
from signer_daemon.intent.wire import (
    IntentRejected,
    Message,
    ParsedTransaction,
    parse_transaction,
    starts_like_a_message,
)

__all__ = [
    "Effect",
    "Intent",
    "IntentRejected",
    "Kind",
    "Message",
    "ParsedTransaction",
    "parse_transaction",
    "read_intent",
    "starts_like_a_message",
]
