"""What a command is given: passwords, keys, transactions and lists.

A secret comes from a prompt, a file or stdin, never from the command line, which every user of the
machine can read.
"""

import argparse
import base64
import binascii
import getpass
import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

from nacl.signing import SigningKey
from solders.pubkey import Pubkey

STDIN = "-"
_DAY_S = 86_400


class UsageError(Exception):
    """The command cannot be right as it was given; the message says what to change."""


def read_bytes(path: str) -> bytes:
    """Return a file's bytes, or stdin's for "-". Raises UsageError."""
    if path == STDIN:
        return sys.stdin.buffer.read()
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None


def read_text(path: str) -> str:
    """Return a file's text, or stdin's for "-". Raises UsageError."""
    try:
        return read_bytes(path).decode()
    except UnicodeDecodeError:
        raise UsageError(f"{path}: not UTF-8 text") from None


def read_lines(path: str) -> list[str]:
    """Return the lines of a file that are not blank. Raises UsageError."""
    return [line.strip() for line in read_text(path).splitlines() if line.strip()]


def secret(path: str | None, prompt: str, *, confirm: bool = False) -> str:
    """Return a secret from a file ("-" for stdin), or ask for it, twice with `confirm`."""
    if path is not None:
        # Editors and `echo` end a file with a newline that is no part of the password.
        return read_text(path).removesuffix("\n").removesuffix("\r")
    try:
        given = getpass.getpass(f"{prompt}: ", stream=sys.stderr)
        if confirm and getpass.getpass(f"{prompt}, again: ", stream=sys.stderr) != given:
            raise UsageError("the two do not match")
    except (EOFError, OSError):
        raise UsageError(f"no terminal to ask for the {prompt.lower()}: give a file") from None
    return given


def refuse_shared_stdin(*paths: str | None) -> None:
    """Raise UsageError if more than one input would be read from stdin."""
    if paths.count(STDIN) > 1:
        raise UsageError("only one input can come from stdin")


def read_transaction(path: str) -> bytes:
    """Return a transaction's wire bytes from a file that holds them raw or as base64."""
    raw = read_bytes(path)
    try:
        # Wire bytes begin with a small count or a version byte, neither of them a base64 character.
        return base64.b64decode(b"".join(raw.split()), validate=True)
    except binascii.Error:
        return raw


def read_private_key(path: str) -> tuple[str, bytes]:
    """Return the address and the bytes of a private key: a solana-keygen file, or base58 text."""
    text = read_text(path).strip()
    try:
        key = bytes(json.loads(text)) if text.startswith("[") else _base58(text)
    except (ValueError, TypeError):
        raise UsageError(f"{path}: not a solana-keygen file or base58 key") from None
    if len(key) not in {32, 64}:
        raise UsageError(f"{path}: a private key is a 32-byte seed or a 64-byte key pair")
    return str(Pubkey(bytes(SigningKey(key[:32]).verify_key))), key


def moment(text: str) -> datetime:
    """Parse an ISO 8601 time, UTC unless it says otherwise. For argparse."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not an ISO 8601 time") from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def seconds(text: str) -> float:
    """Parse how long something may take, in seconds, up to a day. For argparse."""
    try:
        found = float(text)
    except ValueError:
        found = 0.0
    if not 0 < found <= _DAY_S:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds, at most a day")
    return found


def filled(text: str) -> str:
    """Refuse an empty text, such as a shell makes of a variable that is not set. For argparse."""
    if not text:
        raise argparse.ArgumentTypeError("it is empty")
    return text


def is_uuid(text: str) -> bool:
    """Return whether a text is a UUID, so that commands can take an id or an address."""
    try:
        UUID(text)
    except ValueError:
        return False
    return True


def _base58(text: str) -> bytes:
    alphabet = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
    number = 0
    for character in text:
        number = number * 58 + alphabet.index(character)
    zeros = len(text) - len(text.lstrip("1"))
    return bytes(zeros) + number.to_bytes((number.bit_length() + 7) // 8, "big")
