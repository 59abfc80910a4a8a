"""Derivation agrees with bip-utils and solders, which share no code with ours."""

import random

from bip_utils import (
    Bip32Slip10Ed25519,
    Bip39Languages,
    Bip39MnemonicGenerator,
    Bip39SeedGenerator,
)
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from signer_daemon.vault import mnemonic as bip39
from signer_daemon.vault.derivation import INDEX_MAX, Branch, KeyPair
from signer_daemon.vault.memory import PagePool
from signer_daemon.vault.mnemonic import WordLists
from signer_daemon.vault.text import nfkd as nfkd_on_page
from tests.vault.samples import nfkd, view

MNEMONICS = 1000
PASSPHRASES = (
    "",
    "TREZOR",
    "pässwörd",
    "㍍ガバヴァぱばぐゞちぢ十人十色",
    "ﬁancé Å 가힣",
    "ạ̈́q̣̇",
    "\U0001d400①",
)


def test_a_thousand_random_mnemonics(words: WordLists, pool: PagePool) -> None:
    """All agree on 1,000 mnemonics, of 12 and 24 words, in every language, at random indices.

    Passphrases are with and without non-ASCII; languages, seeds, keys and addresses are compared.
    """
    chance = random.Random(20260401)
    languages = list(Bip39Languages)
    for at in range(MNEMONICS):
        language = languages[at // 2 % len(languages)] if at % 4 else Bip39Languages.ENGLISH
        count = 12 if at % 2 else 24
        passphrase = PASSPHRASES[at % len(PASSPHRASES)]
        index = chance.choice((0, at, chance.randint(0, INDEX_MAX)))
        text = Bip39MnemonicGenerator(language).FromWordsNumber(count)
        with pool.page() as page, pool.page() as scratch:
            mnemonic = view(nfkd(text.ToStr()))
            found = words.validate(mnemonic, scratch)
            assert count == found[1]
            assert found[0] == language.name.lower() or "chinese" in found[0]
            salt = nfkd_on_page(view(passphrase.encode()), scratch, bytes_max=256)
            seed = bip39.seed(mnemonic, salt, page)
            pair = KeyPair(page)
            address = Branch(seed, page).derive(index, pair)

            their_seed = Bip39SeedGenerator(text, language).Generate(passphrase)
            assert their_seed == bytes(seed)
            path = f"m/44'/501'/{index}'/0'"
            solders = Keypair.from_seed_and_derivation_path(their_seed, path)
            assert bytes(solders) == bytes(pair.secret)
            theirs = Bip32Slip10Ed25519.FromSeed(their_seed).DerivePath(path)
            assert theirs.PrivateKey().Raw().ToBytes() == bytes(pair.seed)
            public = theirs.PublicKey().RawCompressed().ToBytes()[1:]
            assert str(Pubkey(public)) == str(solders.pubkey()) == address
