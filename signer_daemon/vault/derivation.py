"""SLIP-0010 ed25519 on a page: m/44'/501'/{index}'/0', as Phantom and solana-keygen derive.

https://github.com/satoshilabs/slips/blob/master/slip-0010.md

A node is 64 bytes: key (32) || chain code (32). ed25519 knows hardened children only, so a node's
public half gives nothing away about its children.
"""

import hashlib
import re
from collections.abc import Callable, Iterator
from struct import Struct
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
_UINT32 = Struct(">I")
_BATCH = 32  # seeds that stand on a page at a time: a quarter of it
_FINGERPRINT = re.compile(r"(?:[0-9a-f]{32})?")


class Identity(NamedTuple):
    """Whom a record or an ownership tag is for: public, and not trusted until checked."""

    address: str
    """base58 of the wallet's public key; empty for a master."""
    fingerprint: str
    """The master's fingerprint, 32 lower-case hex characters; empty for an imported wallet."""
    derivation_index: int
    """The derivation index, 0 to 2^31-1; `IMPORTED` (-1) where there is none."""

    def joined(self, separator: str) -> str:
        """Returns the three fields as text, to be authenticated; no index is written "-"."""
        index = "-" if self.derivation_index == IMPORTED else self.derivation_index
        return f"{self.address}{separator}{self.fingerprint}{separator}{index}"

    @property
    def is_well_formed(self) -> bool:
        """True if the fields have their form, so that `joined` can be read in one way only."""
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
    """Room for one ed25519 key pair on a page, to fill as often as needed and then to wipe."""

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

        Raises PrivateKeyInvalid, and holds zeroes, if the halves do not fit: signing with a public
        key that is not the seed's own gives the seed away.
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


def master_node(seed: memoryview, node: memoryview) -> None:
    """Writes the node m of a BIP39 seed (16 to 64) to `node` (64)."""
    hmac_into(b"ed25519 seed", seed, "sha512", node)


def hardened_child(node: memoryview, index: int, message: memoryview) -> None:
    """Replaces `node` by its hardened child; `message` (37, its first byte zero) is scratch."""
    message[1:33] = node[:32]
    _UINT32.pack_into(message, 33, _HARDENED | index)
    hmac_into(node[32:], message, "sha512", node)


class Branch:
    """The node m/44'/501' of one master, kept on a page: a wallet costs two levels and not four."""

    __slots__ = ("_chain", "_child", "_fixed", "_varied", "batch", "fingerprint")

    def __init__(self, seed: memoryview, page: Page) -> None:
        """Derives the branch from a BIP39 seed (16 to 64)."""
        node = page.take(64)
        self._child = page.take(64)
        self.batch = [page.take(32) for _ in range(_BATCH)]
        # What is hashed for a child, 0x00 || key || index, with the upper bit of the index set. Of
        # the two levels below the branch the first varies in its index, the second in its key; the
        # rest, the leading zero of a fresh page included, is written once.
        self._varied = page.take(37)
        self._fixed = page.take(37)
        master_node(seed, node)
        self.fingerprint = _fingerprint(node[:32], page)
        for level in (_PURPOSE, _SOLANA):
            hardened_child(node, level, self._varied)
        self._varied[1:33] = node[:32]
        self._chain = node[32:]
        _UINT32.pack_into(self._fixed, 33, _HARDENED)

    def derive(self, index: int, pair: KeyPair) -> str:
        """Derives m/44'/501'/{index}'/0' into `pair` and returns the address."""
        if not 0 <= index <= INDEX_MAX:
            raise ValueError(f"a derivation index is 0 to {INDEX_MAX}, not {index}")
        child = self._child
        _UINT32.pack_into(self._varied, 33, _HARDENED | index)
        hmac_into(self._chain, self._varied, "sha512", child)
        self._fixed[1:33] = child[:32]
        hmac_into(child[32:], self._fixed, "sha512", child)
        pair.seed[:] = child[:32]
        return pair.expand()


def _fingerprint(master_key: memoryview, page: Page) -> str:
    # 128 bits: the 32 of a BIP32 fingerprint could be ground until two masters share one.
    pair = KeyPair(page)
    pair.seed[:] = master_key
    pair.expand()
    digest = hashlib.sha256(b"solward/fingerprint/v1" + bytes(pair.public))
    pair.wipe()
    return digest.hexdigest()[:32]


def derive_range(
    branch: Branch,
    indices: range,
    pair: KeyPair,
    seal: Callable[[memoryview, Identity], str],
    tag: Callable[[Identity], str],
) -> Iterator[DerivedWallet]:
    """Yields the wallets at `indices` (0 to 2^31-1), sealed and tagged, in order.

    Wipes `pair` and its own room at the end, also if it is closed early.
    Every microsecond here is paid 10,000 times in a request. So it
    goes by steps, a batch at a time, and not by wallets: code that has just run for another wallet
    is still in the processor's caches, which saves a tenth of the whole.
    """
    seeds = branch.batch
    try:
        for at in range(0, len(indices), len(seeds)):
            identities = []
            for index, seed in zip(indices[at : at + len(seeds)], seeds, strict=False):
                address = branch.derive(index, pair)
                seed[:] = pair.seed
                identities.append(Identity(address, branch.fingerprint, index))
            records, tags = map(seal, seeds, identities), map(tag, identities)
            yield from map(DerivedWallet, identities, list(records), list(tags))
    finally:
        pair.wipe()
        for seed in seeds:
            wipe(seed)
