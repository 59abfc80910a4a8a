"""BIP39 on a page: generate a mnemonic, check one, and make its seed. https://bips.xyz/39

The word lists are public and stay in ordinary memory; which of their words make up a mnemonic is
written nowhere but on the page.
"""

import hashlib
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

from cryptography.hazmat.primitives.hashes import SHA512
from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC

from signer_daemon.vault.errors import MnemonicInvalid
from signer_daemon.vault.memory import Page
from signer_daemon.vault.primitives import random_into, sha256_into, wipe

MNEMONIC_BYTES_MAX = 24 * 33 + 23  # 24 of the longest words (Korean, NFKD) and the spaces between
PASSPHRASE_BYTES_MAX = 256
SEED_BYTES = 64
_BITS_BYTES = 35  # 32 of entropy, 1 of checksum, and 2 that stay zero for the last window to read

# Entropy bytes by word count. Every 32 bits of entropy bring one bit of checksum: 33 bits are 3
# words.
ENTROPY_BYTES = {words: words * 4 // 3 for words in (12, 15, 18, 21, 24)}

# SHA-256 of each file. A list that differs by one word loses wallets, so it must not be found at
# import of a mnemonic but at start. In the order in which languages are tried.
_LIST_DIGESTS = {
    "english": "2f5eed53a4727b4bf8880d8f3f199efc90e58503646d9ff8eff3a2ed3b24dbda",
    "french": "ebc3959ab7801a1df6bac4fa7d970652f1df76b683cd2f4003c941c63d517e59",
    "italian": "d392c49fdb700a24cd1fceb237c1f65dcc128f6b34a8aacb58b59384b5c648c2",
    "spanish": "46846a5a0139d1e3cb77293e521c2865f7bcdb82c44e8d0a06a2cd0ecba48c0b",
    "portuguese": "2685e9c194c82ae67e10ba59d9ea5345a23dc093e92276fc5361f6667d79cd3f",
    "czech": "7e80e161c3e93d9554c2efb78d4e3cebf8fc727e9c52e03b83b94406bdcc95fc",
    "korean": "9e95f86c167de88f450f0aaf89e87f6624a57f973c67b516e338e8e8b8897f60",
    "chinese_simplified": "5c5942792bd8340cb8b27cd592f1015edf56a8c5b26276ee18a482428e7c5726",
    "chinese_traditional": "417b26b3d8500a4ae3d59717d7011952db6fc2fb84b807f3f94ac734e89c1b5f",
}


class WordLists:
    """The BIP39 word lists, by language; each 2,048 words in UTF-8, NFKD."""

    def __init__(self, words: Mapping[str, list[bytes]]) -> None:
        self._english = words["english"]
        self._indices = {
            language: {word: index for index, word in enumerate(listed)}
            for language, listed in words.items()
        }

    @classmethod
    def load(cls) -> "WordLists":
        """Reads the lists from bip-utils' data files.

        Its code is not imported: it was not written to leave nothing behind. Raises RuntimeError
        if a list is missing or altered.
        """
        package = find_spec("bip_utils")
        if package is None or not package.submodule_search_locations:
            raise RuntimeError("bip-utils, whose word lists are used, is not installed")
        directory = Path(package.submodule_search_locations[0], "bip", "bip39", "wordlist")
        words = {}
        for language, digest in _LIST_DIGESTS.items():
            text = directory.joinpath(f"{language}.txt").read_bytes()
            if hashlib.sha256(text).hexdigest() != digest:
                raise RuntimeError(f"the {language} word list is not the published one")
            words[language] = text.split()
        return cls(words)

    @property
    def languages(self) -> tuple[str, ...]:
        """The languages, in the order in which `validate` tries them."""
        return tuple(self._indices)

    def generate(self, word_count: int, page: Page) -> memoryview:
        """Writes a new English mnemonic of 12 or 24 words to `page` and returns it."""
        if word_count not in {12, 24}:
            raise ValueError("a mnemonic has 12 or 24 words")
        bits = page.take(_BITS_BYTES)
        random_into(bits[: ENTROPY_BYTES[word_count]])
        return self.from_entropy(bits, word_count, page)

    def from_entropy(self, bits: memoryview, word_count: int, page: Page) -> memoryview:
        """Writes the English mnemonic for the entropy at the start of `bits` (35) to `page`."""
        entropy_bytes = ENTROPY_BYTES[word_count]
        bits[entropy_bytes] = _checksum(bits[:entropy_bytes], page)
        out = page.take(word_count * 9)  # English words have at most 8 letters
        size = 0
        for position in range(word_count):
            byte, bit = divmod(11 * position, 8)
            # 11 bits start in this byte and end in the next but one at the latest. One word at a
            # time, so that no integer ever holds more than a word's worth of the entropy.
            window = bits[byte] << 16 | bits[byte + 1] << 8 | bits[byte + 2]
            word = self._english[window >> (13 - bit) & 0x7FF]
            out[size : size + len(word)] = word
            size += len(word)
            out[size] = 0x20
            size += 1
        return out[: size - 1]

    def validate(self, mnemonic: memoryview, page: Page) -> tuple[str, int]:
        """Returns the language and the word count; `page` lends room for the check.

        The mnemonic is UTF-8 in NFKD, its words separated by one space. Lists overlap (English and
        French, the two Chinese), so all words must be of one list and the checksum must hold in it.
        Raises MnemonicInvalid, which does not say what is wrong.
        """
        words = _split(mnemonic)
        if len(mnemonic) > MNEMONIC_BYTES_MAX or len(words) not in ENTROPY_BYTES:
            raise MnemonicInvalid
        entropy_bytes = ENTROPY_BYTES[len(words)]
        with page.scratch(_BITS_BYTES) as bits:
            for language, indices in self._indices.items():
                if not _pack(words, indices, bits):
                    continue
                if bits[entropy_bytes] == _checksum(bits[:entropy_bytes], page):
                    return language, len(words)
        raise MnemonicInvalid


def seed(mnemonic: memoryview, passphrase: memoryview, page: Page) -> memoryview:
    """Writes the BIP39 seed (64) to `page` and returns it, in about 1 ms.

    Both texts are UTF-8 in NFKD.
    """
    out = page.take(SEED_BYTES)
    with page.scratch(8 + len(passphrase)) as salted:
        salted[:8] = b"mnemonic"
        salted[8:] = passphrase
        # The library insists on `bytes`. They are made from a view and so are always fresh:
        # `b"mnemonic" + b""` would be the literal itself, and the wipe would be of the program.
        salt = bytes(salted)
    try:
        PBKDF2HMAC(SHA512(), SEED_BYTES, salt, 2048).derive_into(mnemonic, out)
    finally:
        wipe(salt)
    return out


def _checksum(entropy: memoryview, page: Page) -> int:
    """Returns the checksum bits, in the upper bits of a byte whose other bits are zero."""
    with page.scratch(32) as digest:
        sha256_into(entropy, digest)
        return digest[0] & (0xFF00 >> len(entropy) // 4)


def _split(mnemonic: memoryview) -> list[memoryview]:
    # Read-only views: those hash and compare as `bytes` do, so a dict finds them without a copy.
    text = mnemonic.toreadonly()
    ends = [at for at, byte in enumerate(text) if byte == 0x20] + [len(text)]
    starts = [0] + [end + 1 for end in ends[:-1]]
    return [text[start:end] for start, end in zip(starts, ends, strict=True)]


def _pack(words: list[memoryview], indices: dict[bytes, int], bits: memoryview) -> bool:
    """Writes the words' indices, 11 bits each, to `bits`. False if one is not in the list."""
    pending = pending_bits = at = 0
    for word in words:
        index = indices.get(word)  # type: ignore[call-overload] # a view equals its bytes
        if index is None:
            return False
        pending = pending << 11 | index
        pending_bits += 11
        while pending_bits >= 8:
            pending_bits -= 8
            bits[at] = pending >> pending_bits
            pending &= (1 << pending_bits) - 1
            at += 1
    bits[at] = pending << (8 - pending_bits)
    return True
