"""SLIP-0010 ed25519 on a page: m/44'/501'/{index}'/0', as Phantom and solana-keygen derive.

https://github.com/satoshilabs/slips/blob/master/slip-0010.md

A node is 64 bytes: key (32) || chain code (32). ed25519 knows hardened children only, so a node's public
half gives nothing away about its children.
"""

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator
from struct import pack_into
from typing import NamedTuple

from solders.pubkey import Pubkey

from signer_daemon.vault.errors import PrivateKeyInvalid
from signer_daemon.vault.memory import Page
from signer_daemon.vault.primitives import (
    Buffer,
    bind_ed25519_keypair,
    ed25519_sign,
    hmac_into,
    wipe,
)

INDEX_MAX = 2**31 - 1
IMPORTED = -1  # the index of a wallet that no master derived, and of a master itself
_HARDENED = 0x8000_0000
_PURPOSE, _SOLANA = 44, 501
_FINGERPRINT = re.compile(r"(?:[0-9a-f]{32})?")


class Identity(NamedTuple):
    """Whom a record or an ownership tag is for. All of it is public, none of it is trusted until checked."""

    address: str
    """base58 of the wallet's public key; empty for a master."""
    fingerprint: str
    """The master's fingerprint, 32 lower-case hex characters; empty for an imported wallet."""
    derivation_index: int
    """The derivation index, 0 to 2^31-1; `IMPORTED` (-1) where there is none."""

    def joined(self, separator: str) -> str:
        """Returns the three fields as text, for a MAC or for additional data; no index is written "-"."""
        index = "-" if self.derivation_index == IMPORTED else self.derivation_index
        return f"{self.address}{separator}{self.fingerprint}{separator}{index}"

    @property
    def is_well_formed(self) -> bool:
        """True if fingerprint and index have their form, so that `joined` can be read in one way only."""
        return (
            self.address.isascii()
            and _FINGERPRINT.fullmatch(self.fingerprint) is not None
            and IMPORTED <= self.derivation_index <= INDEX_MAX
        )


class DerivedWallet(NamedTuple):
    """What leaves the signer of a derived wallet."""

    identity: Identity
    sealed_record: str
    ownership_tag: str


class KeyPair:
    """Room for one ed25519 key pair on a page. Fill it as often as needed; `wipe` it or the page after."""

    __slots__ = ("_expand", "_room", "public", "secret", "seed")

    def __init__(self, page: Page) -> None:
        self._room = page.take(128)
        self.seed = self._room[:32]
        self.public = self._room[32:64]
        self.secret = self._room[64:]
        self._expand = bind_ed25519_keypair(self.seed, self.public, self.secret)

    def expand(self) -> str:
        """Computes the public half and the secret key from `seed`; returns the address."""
        self._expand()
        # The public half alone: this is the only thing of the pair that ordinary memory sees.
        return str(Pubkey(bytes(self.public)))

    def load(self, private_key: memoryview) -> str:
        """Takes a foreign key, a seed (32) or seed || public key (64); returns its address.

        Raises PrivateKeyInvalid, and holds zeroes, if the halves do not fit: signing with a public key
        that is not the seed's own gives the seed away.
        """
        if len(private_key) not in {32, 64}:
            raise PrivateKeyInvalid
        self.seed[:] = private_key[:32]
        address = self.expand()
        if len(private_key) == 64 and self.public != private_key[32:]:
            self.wipe()
            raise PrivateKeyInvalid
        return address

    def sign(self, message: Buffer) -> bytes:
        """Returns the signature (64) of `message`."""
        return ed25519_sign(self.secret, message)

    def wipe(self) -> None:
        """Zeroes the pair."""
        wipe(self._room)


class Branch:
    """The node m/44'/501' of one master, kept on a page, so that a wallet costs two levels and not four."""

    __slots__ = ("_child", "_message", "_node", "fingerprint")

    def __init__(self, seed: memoryview, page: Page) -> None:
        """Derives the branch from a BIP39 seed (16 to 64)."""
        self._node = page.take(64)
        self._child = page.take(64)
        self._message = page.take(37)
        hmac_into(b"ed25519 seed", seed, "sha512", self._node)
        self.fingerprint = self._fingerprint(page)
        for level in (_PURPOSE, _SOLANA):
            _child(self._node, level, self._message, self._node)

    def derive(self, index: int, pair: KeyPair) -> str:
        """Derives m/44'/501'/{index}'/0' into `pair` and returns the address."""
        _child(self._node, index, self._message, self._child)
        _child(self._child, 0, self._message, self._child)
        pair.seed[:] = self._child[:32]
        return pair.expand()

    def _fingerprint(self, page: Page) -> str:
        # 128 bits: the 32 of a BIP32 fingerprint could be ground until two masters share one.
        master = KeyPair(page)
        master.seed[:] = self._node[:32]
        master.expand()
        digest = hashlib.sha256(b"solward/fingerprint/v1" + bytes(master.public))
        master.wipe()
        return digest.hexdigest()[:32]


def _child(node: memoryview, index: int, message: memoryview, out: memoryview) -> None:
    """Writes the hardened child `index` of `node` to `out`, which may be `node`; `message` (37) is scratch."""
    # 0x00 || key || index: the zero byte was there from the page's last wipe and nobody writes it.
    message[1:33] = node[:32]
    pack_into(">I", message, 33, _HARDENED | index)
    hmac_into(node[32:], message, "sha512", out)


def derive_range(
    branch: Branch,
    indices: Iterable[int],
    pair: KeyPair,
    seal: Callable[[memoryview, Identity], str],
    tag: Callable[[Identity], str],
) -> Iterator[DerivedWallet]:
    """Yields the wallets at `indices` (0 to 2^31-1), each sealed and tagged, in the given order.

    Every microsecond here is paid 10,000 times in a request; one wallet costs 2 HMAC-SHA512, 1 key pair,
    1 AES-GCM seal, 1 HMAC-SHA256 and little else. Whoever closes the iterator early finds `pair` wiped.
    """
    try:
        for index in indices:
            if not 0 <= index <= INDEX_MAX:
                raise ValueError(f"a derivation index is 0 to {INDEX_MAX}, not {index}")
            identity = Identity(branch.derive(index, pair), branch.fingerprint, index)
            yield DerivedWallet(identity, seal(pair.seed, identity), tag(identity))
    finally:
        pair.wipe()
