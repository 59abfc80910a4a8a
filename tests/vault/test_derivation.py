"""SLIP-0010, key pairs and signatures, against published vectors."""

import hashlib
import itertools

import pytest
from solders.keypair import Keypair

from signer_daemon.vault.derivation import (
    IMPORTED,
    INDEX_MAX,
    Branch,
    Identity,
    KeyPair,
    derive_range,
    hardened_child,
    master_node,
)
from signer_daemon.vault.errors import PrivateKeyInvalid
from signer_daemon.vault.memory import Page, PagePool
from tests.vault.samples import SEED_HEX, vectors, view

SEED = bytes.fromhex(SEED_HEX)


def walk(seed: str, path: list[int], page: Page) -> str:
    """The node (hex of key || chain code) at a hardened path."""
    node, message = page.take(64), page.take(37)
    master_node(view(bytes.fromhex(seed)), node)
    for index in path:
        hardened_child(node, index, message)
    return node.hex()


def test_slip_0010_example(page: Page) -> None:
    """The first published ed25519 chain, retyped: m and m/0'/1'/2'/2'/1000000000'."""
    seed = "000102030405060708090a0b0c0d0e0f"
    assert walk(seed, [], page) == (
        "2b4be7f19ee27bbf30c667b642d5f4aa69fd169872f8fc3059c08ebae2eb19e7"
        "90046a93de5380a72b5e45010748567d5ea02bbf6522f979e05c0d8d8ca9fffb"
    )
    assert walk(seed, [0, 1, 2, 2, 1000000000], page) == (
        "8f94d394a8e8fd6b1bc2f3f49f5c47e385281d5c17e65324b0f62483e37e8793"
        "68789923a0cac2cd5a29172a475fe9e0fb14cd6adb5ad98a3fa70333e7afa230"
    )


def test_slip_0010_vectors(pool: PagePool) -> None:
    """Both published ed25519 chains: every key, chain code and public key."""
    for vector in vectors("slip-0010/ed25519.json"):
        for node in vector["nodes"]:
            path = [int(part.rstrip("'")) for part in node["path"].split("/")[1:]]
            with pool.page() as page:
                assert node["private"] + node["chain_code"] == walk(vector["seed"], path, page)
                pair = KeyPair(page)
                pair.seed[:] = bytes.fromhex(node["private"])
                pair.expand()
                assert node["public"] == "00" + pair.public.hex()


def test_ed25519_vectors(pool: PagePool) -> None:
    """RFC 8032 and its superset: the public half and the signature of each message."""
    for line in vectors("pyca/sign.input").splitlines():
        secret, public, message, signed, _ = line.split(":")
        with pool.page() as page:
            pair = KeyPair(page)
            pair.load(view(bytes.fromhex(secret)))
            assert public == pair.public.hex()
            assert signed == pair.sign(bytes.fromhex(message)).hex() + message


def test_wycheproof_ed25519_keys_sign_what_verifies(pool: PagePool) -> None:
    """Of Wycheproof's valid signatures, those of its one published key pair (RFC 8032, test 1) are
    what we make of the same message.
    """
    seed = "add4bb8103785baf9ac534258e8aaf65f5f1adb5ef5f3df19bb80ab989c4d64b"
    made = 0
    for group in vectors("wycheproof/ed25519_test.json")["testGroups"]:
        with pool.page() as page:
            pair = KeyPair(page)
            pair.load(view(bytes.fromhex(seed)))
            if pair.public.hex() != group["publicKey"]["pk"]:
                continue
            for test in group["tests"]:
                signature = pair.sign(bytes.fromhex(test["msg"])).hex()
                assert (test["result"] == "valid") == (test["sig"] == signature)
                made += 1
    assert made > 50


def test_fingerprint_is_of_the_master_key(page: Page) -> None:
    """The fingerprint is 128 bits of a hash, with its own label, of the public key of node m."""
    branch = Branch(view(SEED), page)
    node = bytes.fromhex(walk(SEED_HEX, [], page))
    public = bytes(Keypair.from_seed(node[:32]).pubkey())
    expected = hashlib.sha256(b"solward/fingerprint/v1" + public).hexdigest()[:32]
    assert expected == branch.fingerprint


@pytest.mark.parametrize("index", [0, 1, 31, 32, 1000, INDEX_MAX])
def test_path_is_that_of_phantom_and_solana_keygen(page: Page, index: int) -> None:
    """An index gives the key that solders derives at m/44'/501'/{index}'/0'."""
    pair = KeyPair(page)
    address = Branch(view(SEED), page).derive(index, pair)
    other = Keypair.from_seed_and_derivation_path(SEED, f"m/44'/501'/{index}'/0'")
    assert str(other.pubkey()) == address
    assert bytes(other) == bytes(pair.secret)
    assert bytes(other.sign_message(b"a message")) == pair.sign(b"a message")


@pytest.mark.parametrize("index", [-1, INDEX_MAX + 1, 2**32])
def test_an_index_beyond_31_bits_is_refused(page: Page, index: int) -> None:
    """It would not wrap to another wallet."""
    with pytest.raises(ValueError, match="index"):
        Branch(view(SEED), page).derive(index, KeyPair(page))


@pytest.mark.parametrize("count", [0, 1, 31, 32, 33, 100])
def test_a_range_is_its_wallets_one_by_one(pool: PagePool, count: int) -> None:
    """In batches or singly, from any first index: the same identities, each with its own seed."""
    with pool.page() as page, pool.page() as other:
        branch, pair, single = Branch(view(SEED), page), KeyPair(other), KeyPair(other)
        indices = range(7, 7 + count)
        derived = list(
            derive_range(
                branch, indices, pair, lambda seed, _: seed.hex(), lambda i: i.address[::-1]
            )
        )
        assert list(indices) == [wallet.identity.derivation_index for wallet in derived]
        for wallet in derived:
            assert (
                branch.derive(wallet.identity.derivation_index, single) == wallet.identity.address
            )
            assert single.seed.hex() == wallet.sealed_record
            assert wallet.identity.address[::-1] == wallet.ownership_tag
            assert branch.fingerprint == wallet.identity.fingerprint


def test_a_range_leaves_no_seed(pool: PagePool) -> None:
    """Closed early, exhausted or broken off by an error, it leaves the pair and the batch zero."""
    with pool.page() as page, pool.page() as other:
        branch, pair = Branch(view(SEED), page), KeyPair(other)
        wallets = derive_range(branch, range(100), pair, lambda *_: "", lambda _: "")
        assert len(list(itertools.islice(wallets, 40))) == 40
        assert any(pair.seed)
        wallets.close()  # type: ignore[attr-defined] # an iterator to callers, a generator to us
        broken = derive_range(branch, range(100), pair, lambda *_: str(1 // 0), lambda _: "")
        with pytest.raises(ZeroDivisionError):
            next(broken)
        assert not any(other.view)
        assert not any(any(seed) for seed in branch.batch)


def test_a_foreign_key_must_fit_together(page: Page) -> None:
    """A seed and a true pair give the same address; a pair with a foreign public half, and wrong
    lengths, are refused and leave nothing.
    """
    whole = bytes(Keypair.from_seed(SEED[:32]))
    pair = KeyPair(page)
    assert pair.load(view(whole)) == pair.load(view(whole[:32]))
    for wrong in (whole[:32] + SEED[32:], whole[:31], whole[:33], whole[:63], whole + b"x", b""):
        pair.wipe()
        with pytest.raises(PrivateKeyInvalid):
            pair.load(view(wrong))
        assert not any(page.view)


def test_identity_has_one_reading() -> None:
    """Separators cannot move between fields: an ill-formed fingerprint or index is not accepted."""
    fingerprint = "0123456789abcdef" * 2
    for good in (("a", fingerprint, 0), ("a", fingerprint, INDEX_MAX), ("a", "", IMPORTED)):
        assert Identity(*good).is_well_formed
    for bad in (
        ("a", fingerprint.upper().replace("0", "A"), 0),
        ("a", fingerprint + "\n", 0),
        ("a", fingerprint[1:], 0),
        ("a", "$" * 32, 0),
        ("a", fingerprint, -2),
        ("a", fingerprint, INDEX_MAX + 1),
        ("ä", fingerprint, 0),
    ):
        assert not Identity(*bad).is_well_formed
    assert Identity("a", "b", IMPORTED).joined("$") == "a$b$-"
    assert Identity("a", "b", 0).joined("$") == "a$b$0"
