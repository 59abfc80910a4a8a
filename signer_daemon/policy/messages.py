r"""The Solana off-chain message format: bytes that can never be a transaction, whatever they say.

A first byte of 0xff is no signature count and no message version, so the two worlds cannot meet.
Two layouts of version 0 are in use after `\xffsolana offchain\x00`; both are accepted, no others:

- the proposal's: application domain (32), format (1), signer count (1), signers (32 each),
  length (2, little endian), text;
- the Solana CLI's: format (1), length (2, little endian), text.
"""

from solders.pubkey import Pubkey

_PREFIX = b"\xffsolana offchain\0"
_DOMAIN_BYTES = 32
_LEDGER_TEXT_BYTES_MAX = 1232  # formats 0 and 1 are those that a hardware wallet shows


def is_off_chain_message(message: bytes, signer: str) -> bool:
    """Tells whether `message` is well formed and, where it lists its signers, lists `signer`."""
    if not message.startswith(_PREFIX):
        return False
    body = message[len(_PREFIX) :]
    if body[1:3] == _length(body[3:]) and _is_text(body[:1], body[3:]):
        return True
    head, tail = body[_DOMAIN_BYTES : _DOMAIN_BYTES + 1], body[_DOMAIN_BYTES + 1 :]
    signers_end = 1 + 32 * (tail[0] if tail else 0)
    signers = [tail[at : at + 32] for at in range(1, signers_end, 32)]
    text = tail[signers_end + 2 :]
    return (
        bytes(Pubkey.from_string(signer)) in signers
        and tail[signers_end : signers_end + 2] == _length(text)
        and _is_text(head, text)
    )


def _length(text: bytes) -> bytes:
    return len(text).to_bytes(4, "little")[:2] if len(text) <= 0xFFFF else b""


def _is_text(kind: bytes, text: bytes) -> bool:
    if not text or (kind in {b"\0", b"\1"} and len(text) > _LEDGER_TEXT_BYTES_MAX):
        return False
    if kind == b"\0":
        return all(0x20 <= byte <= 0x7E for byte in text)
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return kind in {b"\1", b"\2"}
