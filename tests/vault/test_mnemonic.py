"""BIP39: the published vectors, every language, and what is not a mnemonic."""

import subprocess
import sys
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path

import pytest
from bip_utils import Bip39Languages, Bip39MnemonicGenerator, Bip39MnemonicValidator
from bip_utils.bip.bip39 import bip39_mnemonic
from hypothesis import given
from hypothesis import strategies as st

from signer_daemon.vault import mnemonic as bip39
from signer_daemon.vault.errors import MnemonicInvalid
from signer_daemon.vault.memory import PagePool
from signer_daemon.vault.mnemonic import WordLists
from tests.vault.samples import MNEMONIC, SEED_HEX, nfkd, vectors, view

COUNTS = {12: 128, 15: 160, 18: 192, 21: 224, 24: 256}


def generated(words: WordLists, count: int, pool: PagePool) -> bytes:
    """A mnemonic of ours, copied from its page."""
    with pool.page() as page:
        return bytes(words.generate(count, page))


def test_published_example(words: WordLists, pool: PagePool) -> None:
    """The first vector of BIP39 gives its published words and seed."""
    with pool.page() as page:
        assert bytes(words.from_entropy(page.take(35), 12, page)) == MNEMONIC
        assert bip39.seed(view(MNEMONIC), view(b"TREZOR"), page).hex() == SEED_HEX


def test_trezor_vectors(words: WordLists, pool: PagePool) -> None:
    """All 24 English vectors: entropy to words, words to seed, and the check passes."""
    for entropy, text, seed, _ in vectors("trezor-bip39/vectors.json")["english"]:
        count = len(text.split())
        with pool.page() as page:
            bits = page.take(35)
            bits[: len(entropy) // 2] = bytes.fromhex(entropy)
            made = words.from_entropy(bits, count, page)
            assert text.encode() == bytes(made)
            assert words.validate(made, page) == ("english", count)
            assert seed == bip39.seed(made, view(b"TREZOR"), page).hex()


@pytest.mark.parametrize("count", [12, 24])
def test_generated_mnemonics_are_valid_and_differ(
    words: WordLists, pool: PagePool, count: int
) -> None:
    """What is generated is valid, to bip-utils too, has the words asked for and never repeats."""
    made = {generated(words, count, pool) for _ in range(50)}
    assert len(made) == 50
    for text in made:
        assert Bip39MnemonicValidator(Bip39Languages.ENGLISH).IsValid(text.decode())
        with pool.page() as page:
            assert words.validate(view(text), page) == ("english", count)


def test_only_12_or_24_words_are_generated(words: WordLists, pool: PagePool) -> None:
    """Any other count is refused."""
    for count in (0, 11, 13, 15, 25):
        with pytest.raises(ValueError, match="12 or 24"):
            generated(words, count, pool)


def test_the_languages_are_those_of_bip_utils(words: WordLists) -> None:
    """No language that bip-utils knows is missing."""
    assert {language.name.lower() for language in Bip39Languages} == set(words.languages)
    assert len(bip39_mnemonic.Bip39MnemonicConst.LANGUAGE_FILES) == len(words.languages)


@pytest.mark.parametrize("language", Bip39Languages)
@pytest.mark.parametrize("count", COUNTS)
def test_every_language_and_length_is_recognised(
    words: WordLists, pool: PagePool, language: Bip39Languages, count: int
) -> None:
    """A mnemonic by bip-utils is valid to us, with its language and its count."""
    for _ in range(4):
        text = nfkd(Bip39MnemonicGenerator(language).FromWordsNumber(count).ToStr())
        with pool.page() as page:
            found, found_count = words.validate(view(text), page)
        assert count == found_count
        # The Chinese lists share words: a text can be valid in both, and then the first is named.
        assert found == language.name.lower() or "chinese" in found


@given(st.integers(0, 23), st.integers(0, 2047))
def test_a_changed_word_is_valid_only_if_its_checksum_is(
    words: WordLists, pool: PagePool, place: int, index: int
) -> None:
    """With any word replaced, we and bip-utils say the same."""
    text = MNEMONIC.decode().split() + MNEMONIC.decode().split()
    text[place] = list(words._indices["english"])[index].decode()
    changed = " ".join(text)
    expected = Bip39MnemonicValidator(Bip39Languages.ENGLISH).IsValid(changed)
    with pool.page() as page:
        try:
            words.validate(view(changed.encode()), page)
            valid = True
        except MnemonicInvalid:
            valid = False
    assert expected == valid


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b" ",
        MNEMONIC + b" ",
        b" " + MNEMONIC,
        MNEMONIC.replace(b" ", b"  ", 1),
        MNEMONIC.replace(b" ", b"\n", 1),
        MNEMONIC.upper(),
        MNEMONIC[8:],
        MNEMONIC + b" about",
        MNEMONIC.replace(b"about", b"abandon"),
        MNEMONIC.replace(b"about", b"abou"),
        "ábaco ".encode() * 11 + "ábaco".encode(),
        b"\xff" * 100,
        b" ".join([b"abandon"] * 11 + ["ábaco".encode()]),
        b"x" * 1024,
        b" " * 1024,
    ],
)
def test_what_is_no_mnemonic(words: WordLists, pool: PagePool, text: bytes) -> None:
    """Wrong counts, spaces, case, checksums, mixed lists and junk are all refused alike."""
    with pool.page() as page, pytest.raises(MnemonicInvalid, match="the mnemonic is not valid"):
        words.validate(view(text), page)


def test_an_empty_passphrase_does_not_wear_out(pool: PagePool) -> None:
    """Two seeds in a row with no passphrase are the same: the wiped salt is nobody else's."""
    with pool.page() as page:
        first = bip39.seed(view(MNEMONIC), view(b""), page)
        second = bip39.seed(view(MNEMONIC), view(b""), page)
        assert first == second
        assert first.hex().startswith(
            "5eb00bbddcf069084889a8ab9155568165f5c453ccb85e70811aaed6f6da5fc1"
        )


def test_an_altered_word_list_stops_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A list with one letter changed, or no bip-utils at all, is refused when lists are read."""
    real = find_spec("bip_utils")
    assert real is not None
    assert real.submodule_search_locations is not None
    copy = tmp_path / "bip" / "bip39" / "wordlist"
    copy.mkdir(parents=True)
    for file in Path(real.submodule_search_locations[0], "bip", "bip39", "wordlist").glob("*.txt"):
        (copy / file.name).write_bytes(file.read_bytes())
    spec = ModuleSpec("bip_utils", None, is_package=True)
    spec.submodule_search_locations = [str(tmp_path)]
    monkeypatch.setattr(bip39, "find_spec", lambda _name: spec)
    assert WordLists.load().languages
    korean = copy / "korean.txt"
    korean.write_bytes(korean.read_bytes().replace("가격".encode(), "가걱".encode()) + b"#")
    with pytest.raises(RuntimeError, match="korean"):
        WordLists.load()
    monkeypatch.setattr(bip39, "find_spec", lambda _name: None)
    with pytest.raises(RuntimeError, match="not installed"):
        WordLists.load()


def test_the_vault_never_imports_bip_utils() -> None:
    """Reading its word lists loads none of its code, nor anything of PyNaCl's that copies keys."""
    code = """if True:
        import sys, signer_daemon.vault.envelope, signer_daemon.vault.sessions
        from signer_daemon.vault.mnemonic import WordLists
        WordLists.load()
        print(sorted({"bip_utils", "nacl.signing", "nacl.public"} & set(sys.modules)))
    """
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, check=True)
    assert done.stdout == b"[]\n"
