"""A vault archive: masters and keys under a password of their own, to be opened by another signer.

    "solward-vault1\\n" || log2n (1) || salt (16) || chunks of: length (4, big endian) || ciphertext

AES-256-GCM. The nonce is the chunk's number (11, big endian) and 1 in the last chunk, else 0; the
additional data is what stands before the chunks. So chunks cannot be altered, moved, repeated or
left out, and the end cannot be cut. A chunk holds whole entries:

    'M' || length (2) || mnemonic || length (2) || passphrase       a master
    'D' || first index (4) || count (4)                             wallets of the master before it
    'I' || seed (32)                                                an imported wallet

A derived wallet's key is not in it: whoever opens the archive derives it again, and so knows by
proof, not by the archive's word, which master and index it belongs to.
"""

import struct
from collections.abc import Iterator
from typing import NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from signer_daemon.vault.errors import ArchiveRejected
from signer_daemon.vault.memory import PAGE_BYTES, Page
from signer_daemon.vault.primitives import random_into

ARCHIVE_LOG2N = 17  # an archive leaves the house: 128 MiB and some 250 ms a guess
_MAGIC = b"solward-vault1\n"
_SALT_BYTES, _TAG_BYTES = 16, 16
HEADER_BYTES = len(_MAGIC) + 1 + _SALT_BYTES


class Entry(NamedTuple):
    """One entry: its kind, and its body as a view of the page it was read to."""

    kind: str
    body: memoryview


def new_header() -> bytes:
    """Return the beginning of a new archive, with a fresh salt."""
    salt = bytearray(_SALT_BYTES)
    random_into(salt)
    return _MAGIC + bytes([ARCHIVE_LOG2N]) + salt


def salt_of(header: bytes) -> bytes:
    """Return the salt (16) of an archive's header. Raises ArchiveRejected if it is none of ours."""
    if len(header) != HEADER_BYTES or header[:-_SALT_BYTES] != _MAGIC + bytes([ARCHIVE_LOG2N]):
        raise ArchiveRejected
    return header[-_SALT_BYTES:]


class ArchiveWriter:
    """Packs entries on a page and seals the page when it is full."""

    def __init__(self, header: bytes, key: memoryview, page: Page) -> None:
        """`key` (32) is the archive's; `page` is the writer's alone until the end."""
        self._header = header
        self._aead = AESGCM(key)
        self._plain = page.take(PAGE_BYTES)
        self._used = 0
        self._number = 0

    def add(self, kind: str, *parts: memoryview | bytes) -> bytes:
        """Add an entry; return the chunk that it has filled, or nothing."""
        size = 1 + sum(map(len, parts))
        chunk = b""
        if self._used + size > len(self._plain):
            chunk = self._seal(last=False)
        self._plain[self._used] = ord(kind)
        at = self._used + 1
        for part in parts:
            self._plain[at : at + len(part)] = part
            at += len(part)
        self._used = at
        return chunk

    def add_texts(self, kind: str, *texts: memoryview) -> bytes:
        """Add an entry of texts with their lengths before them."""
        return self.add(kind, *(part for text in texts for part in (_u16(len(text)), text)))

    def end(self) -> bytes:
        """Return the last chunk."""
        return self._seal(last=True)

    def _seal(self, *, last: bool) -> bytes:
        sealed = bytearray(self._used + _TAG_BYTES)
        plain = self._plain[: self._used]
        self._aead.encrypt_into(_nonce(self._number, last=last), plain, self._header, sealed)
        self._number += 1
        self._used = 0
        return struct.pack(">I", len(sealed)) + bytes(sealed)


def read_entries(archive: bytes, key: memoryview, page: Page) -> Iterator[Entry]:
    """Yield the entries, each on `page` until the next chunk takes its place.

    Raises ArchiveRejected, sooner or later, for anything but a whole archive: run through it once
    before you believe any of it.
    """
    aead, header = AESGCM(key), archive[:HEADER_BYTES]
    plain = page.take(PAGE_BYTES)
    at, number, last = HEADER_BYTES, 0, False
    while not last:
        (size,) = struct.unpack(">I", archive[at : at + 4].rjust(4, b"\0"))
        at += 4 + size
        last = at == len(archive)
        opened = size - _TAG_BYTES
        if at > len(archive) or not 0 <= opened <= PAGE_BYTES:
            raise ArchiveRejected
        try:
            aead.decrypt_into(
                _nonce(number, last=last), archive[at - size : at], header, plain[:opened]
            )
        except InvalidTag:
            page.wipe()  # the library leaves what it decrypted
            raise ArchiveRejected from None
        number += 1
        yield from _entries(plain[:opened])


def read_texts(body: memoryview) -> list[memoryview]:
    """Return the texts of an entry."""
    texts = []
    while body:
        (size,) = struct.unpack_from(">H", body)
        texts.append(body[2 : 2 + size])
        body = body[2 + size :]
    return texts


def _entries(plain: memoryview) -> Iterator[Entry]:
    at = 0
    while at < len(plain):
        kind = chr(plain[at])
        at += 1
        size = {"D": 8, "I": 32}.get(kind, 0)
        if kind == "M":
            for _ in range(2):
                size += 2 + int.from_bytes(plain[at + size : at + size + 2], "big")
        body = plain[at : at + size]
        # Authentic, but perhaps not by a Solward that knows what we know.
        if not size or len(body) != size:
            raise ArchiveRejected
        yield Entry(kind, body)
        at += size


def _u16(value: int) -> bytes:
    return struct.pack(">H", value)


def _nonce(number: int, *, last: bool) -> bytes:
    return number.to_bytes(11, "big") + bytes([last])
