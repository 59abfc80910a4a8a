"""Secrets and vaults that leave a house through its operator, and move into another one."""

import json
import os
import sys
import time
from pathlib import Path

import pytest
from bip_utils import Bip39MnemonicGenerator
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from solders.signature import Signature

from tests.maintenance.house import PASSWORD, House, MakeHouse, mode_of

# 10,000 take half a minute: VAULT_WALLETS=10000.
WALLETS = int(os.environ.get("VAULT_WALLETS", "300"))
# In the off-chain format, which the policy asks of imported wallets.
MESSAGE = b"\xffsolana offchain\0" + b"\0" + len(b"hello").to_bytes(2, "little") + b"hello"
ARCHIVE_PASSWORD = "a password for the archive"
NEW_PASSWORD = "a password at the new house"


def signs(house: House, address: str, password: str, directory: Path) -> None:
    """Have a wallet sign through the gateway and verify the signature."""
    message = directory / "message"
    message.write_bytes(MESSAGE)
    argv = ("sign", "message", str(message), "--wallet", address)
    signed = house.run(*argv, password=password)
    public = Ed25519PublicKey.from_public_bytes(bytes(Pubkey.from_string(address)))
    public.verify(bytes(Signature.from_string(signed["signature"])), MESSAGE)


@pytest.fixture
def archive_password(tmp_path: Path) -> str:
    """A file with the archive's password."""
    file = tmp_path / "archive-password"
    file.write_text(ARCHIVE_PASSWORD)
    return str(file)


def test_a_vault_moves_to_another_signer_and_an_empty_database(
    house: House, make_house: MakeHouse, tmp_path: Path, archive_password: str
) -> None:
    """Masters, derived and imported wallets leave as one archive and sign under other secrets,
    another password and in another database, every address the same.
    """
    key = tmp_path / "key.json"
    key.write_text(json.dumps(list(bytes(Keypair()))))
    master = house.run("master", "create")
    house.run("wallet", "derive", master["id"], "--count", str(WALLETS), "--tag", "desk")
    guest = house.run("wallet", "import", str(key))
    old, archive, new = (str(tmp_path / name) for name in ("old", "vault.arc", "new"))

    begun = time.monotonic()
    assert 0 == house.records("export", "--out", old).returncode
    options = ("--archive-password-file", archive_password)
    left = house.run("admin", "export-vault", "--records", old, "--out", archive, *options)
    assert (1, WALLETS + 1) == (left["masters"], left["wallets"])
    there = make_house()
    moving = ("admin", "import-vault", archive, "--records-out", new, *options)
    there.run(*moving, password=NEW_PASSWORD)
    imported = there.records("import", new)
    assert {
        "masters_stored": 1,
        "wallets_stored": WALLETS + 1,
        "masters_unchanged": 0,
        "wallets_unchanged": 0,
    } == json.loads(imported.stdout)
    took_s = time.monotonic() - begun
    sys.stdout.write(f"\n{WALLETS + 1} wallets moved in {took_s:.1f} s\n")  # with pytest -s

    listed = {
        name: {w["address"] for w in at.run("wallet", "list", "--all")}
        for name, at in (("here", house), ("there", there))
    }
    assert listed["here"] == listed["there"]
    (moved,) = there.run("master", "list")
    assert (master["fingerprint"], WALLETS) == (moved["fingerprint"], moved["derived_count"])
    last = there.run("wallet", "list", "--index-min", str(WALLETS - 1))[0]
    for address in (last["address"], guest["address"]):
        signs(there, address, NEW_PASSWORD, tmp_path)
    # All of it is one key group now, the imported wallet too: it takes another password together.
    again = ("--new-password-file", archive_password)
    argv = ("wallet", "rotate-password", guest["address"], *again)
    assert WALLETS + 1 == there.run(*argv, password=NEW_PASSWORD)["rotated_wallet_count"]
    for address in (last["address"], guest["address"]):
        signs(there, address, ARCHIVE_PASSWORD, tmp_path)
    assert {0o600} == {mode_of(Path(path)) for path in (old, archive, new)}
    secret = PASSWORD.encode()
    assert not any(secret in Path(path).read_bytes() for path in (old, archive, new))


def test_an_imported_mnemonic_reaches_the_database_and_derives(
    house: House, tmp_path: Path
) -> None:
    """`import-master --records-out`, then `records import`: the wallets of a mnemonic made
    elsewhere are derived and sign. Exported again, it is the same mnemonic.
    """
    words = str(Bip39MnemonicGenerator().FromWordsNumber(12))
    mnemonic, passphrase = tmp_path / "mnemonic", tmp_path / "passphrase"
    mnemonic.write_text(words)
    passphrase.write_text("Zürich")
    records, back = tmp_path / "records", tmp_path / "back"
    files = ("--mnemonic-file", str(mnemonic), "--passphrase-file", str(passphrase))
    house.run("admin", "import-master", *files, "--records-out", str(records))
    assert 0 == house.records("import", str(records)).returncode
    (master,) = house.run("master", "list")
    house.run("wallet", "derive", master["id"], "--count", "2")
    wallets = house.run("wallet", "list")
    signs(house, wallets[1]["address"], PASSWORD, tmp_path)

    everything = tmp_path / "everything"
    house.records("export", "--out", str(everything))
    given = ("--records", str(everything), "--out", str(back))
    house.run("admin", "export-mnemonic", master["fingerprint"], *given)
    assert (f"{words}\nZürich\n", 0o600) == (back.read_text(), mode_of(back))


def test_a_private_key_leaves_to_a_private_file_only(house: House, tmp_path: Path) -> None:
    """`export-key` writes a solana-keygen file of mode 0600, never over another, and shows a
    secret on a terminal only.
    """
    master = house.run("master", "create")
    house.run("wallet", "derive", master["id"], "--count", "1")
    (wallet,) = house.run("wallet", "list")
    records, out = str(tmp_path / "records"), tmp_path / "key.json"
    house.records("export", "--out", records)
    command = ("admin", "export-key", wallet["address"], "--records", records)
    house.run(*command, "--out", str(out))
    pair = bytes(json.loads(out.read_text()))
    assert (wallet["address"], 0o600) == (str(Keypair.from_bytes(pair).pubkey()), mode_of(out))
    code, _, error = house.attempt(*command, "--out", str(out))
    assert (2, True) == (code, "exists" in error)
    code, shown, error = house.attempt(*command, "--show")
    assert (2, None, True) == (code, shown, "terminal" in error)


def test_a_refused_export_leaves_no_file(
    house: House, tmp_path: Path, archive_password: str
) -> None:
    """A wrong password makes no archive, not even an empty one."""
    house.run("master", "create")
    records, archive = str(tmp_path / "records"), tmp_path / "vault.arc"
    house.records("export", "--out", records)
    command = ("admin", "export-vault", "--records", records, "--out", str(archive))
    options = ("--archive-password-file", archive_password)
    code, _, error = house.attempt(*command, *options, password="another password")
    assert (1, "RECORD_REJECTED") == (code, json.loads(error)["error"]["reason"])
    assert not archive.exists()
