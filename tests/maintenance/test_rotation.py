"""New secrets for all records: both valid meanwhile, resumable, and the audit log goes on."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from solders.keypair import Keypair

from tests.maintenance.house import PASSWORD, House
from tests.maintenance.test_vaults import signs

MASTERS = 8


def change_secrets(house: House) -> None:
    """Restart the signer under new secrets, the old ones configured as the previous."""
    home, files = house.signer.home, {}
    for name, secret in (("encryption_key", os.urandom(32)), ("master_password", b"m" * 40)):
        (home / f"new-{name}").touch(0o600)
        (home / f"new-{name}").write_bytes(secret)
        files[f"{name}_file"] = home / f"new-{name}"
    files["previous_encryption_key_file"] = house.signer.key_file
    files["previous_master_password_file"] = house.signer.password_file
    restart(house, files)


def forget_old_secrets(house: House) -> None:
    """Restart the signer with the new secrets alone."""
    home = house.signer.home
    names = ("encryption_key", "master_password")
    restart(house, {f"{name}_file": home / f"new-{name}" for name in names})


def restart(house: House, secrets: dict[str, Any]) -> None:
    """Restart the signer with these secrets and wait until the gateway reaches it again."""
    assert 0 == house.signer.stop()
    house.signer.configure(exports=True, secrets=secrets)
    house.signer.start()


def verification_secret(house: House, out: Path) -> Path:
    """What `audit verify` needs, by the signer's own command."""
    command = [sys.executable, "-m", "signer_daemon", "--config", str(house.signer.config)]
    subprocess.run(
        [*command, "verification-secret", "--out", str(out)], check=True, capture_output=True
    )
    assert 0o600 == out.stat().st_mode & 0o777
    return out


@pytest.fixture
def filled(house: House, tmp_path: Path) -> tuple[House, list[str]]:
    """Masters with three wallets each and an imported key; addresses that must go on signing."""
    key = tmp_path / "key.json"
    key.write_text(json.dumps(list(bytes(Keypair()))))
    for _ in range(MASTERS):
        master = house.run("master", "create", "--words", "12")
        house.run("wallet", "derive", master["id"], "--count", "3")
    addresses = [house.run("wallet", "import", str(key))["address"]]
    addresses += [each["address"] for each in house.run("wallet", "list", "--index-max", "0")]
    return house, [addresses[0], addresses[1], addresses[-1]]


def test_secrets_are_rotated_across_the_database_through_a_kill(
    filled: tuple[House, list[str]], tmp_path: Path
) -> None:
    """Old records sign while the rotation lasts, new ones are under the new keys at once; a kill -9
    in the middle loses nothing; afterwards the new secrets alone are enough.
    """
    house, addresses = filled
    change_secrets(house)
    for address in addresses:
        signs(house, address, PASSWORD, tmp_path)
    fresh = house.run("master", "create", "--words", "12")
    key_id = fresh["key_id"]
    assert key_id == house.run("admin", "status")["key_id"]

    command = [str(Path(sys.executable).with_name("solward")), "admin", "rotate-keys"]
    password = house.signer.home / "operator-password"
    password.write_text(PASSWORD)
    options = ["--target", house.gateway.target, "--password-file", str(password)]
    with subprocess.Popen([*command, *options], stdout=subprocess.DEVNULL) as child:
        while done(house, key_id) < 3:
            assert child.poll() is None, "the rotation ended before it could be killed"
        child.send_signal(signal.SIGKILL)
    assert 3 <= done(house, key_id) < MASTERS + 1

    result = house.run("admin", "rotate-keys")
    left = ("left_key_groups", "left_masters", "left_wallets")
    assert (key_id, [0, 0, 0]) == (result["key_id"], [result[name] for name in left])
    assert 0 < result["rotated_key_groups"] < MASTERS + 1
    again = house.run("admin", "rotate-keys")
    assert 0 == again["rotated_key_groups"]
    forget_old_secrets(house)
    for address in addresses:
        signs(house, address, PASSWORD, tmp_path)


def done(house: House, key_id: str) -> int:
    """How many masters are under the new keys."""
    masters = house.run("master", "list")
    return [master["key_id"] for master in masters].count(key_id)


def test_records_of_another_password_are_left_and_told(
    filled: tuple[House, list[str]], tmp_path: Path
) -> None:
    """What a password does not open is counted, the command fails, and a run with the other
    password does the rest.
    """
    house, _ = filled
    other = "another horse battery"
    house.run("master", "create", password=other)
    change_secrets(house)
    code, result, error = house.attempt("admin", "rotate-keys")
    assert (1, 1, MASTERS + 1) == (code, result["left_masters"], result["rotated_key_groups"])
    assert "" == error  # --json: the counts say it
    assert 0 == house.run("admin", "rotate-keys", password=other)["left_key_groups"]


def test_the_audit_log_goes_on_and_verifies_by_its_secret_alone(
    house: House, tmp_path: Path
) -> None:
    """After a change of secrets the whole chain verifies with the files and a verification secret
    only, in another place; without the old key's, the verifier says which is missing.
    """
    house.run("master", "create", "--words", "12")
    house.run("admin", "freeze", "--all")
    change_secrets(house)
    assert ["all"] == house.run("admin", "status")["freezes"]
    both = verification_secret(house, tmp_path / "both")
    forget_old_secrets(house)
    only_new = verification_secret(house, tmp_path / "new")
    copy = tmp_path / "copy"
    copy.mkdir()
    for file in house.signer.state.glob("audit*.log*"):
        (copy / file.name).write_bytes(file.read_bytes())
    verify = ("audit", "verify", "--log", str(copy / "audit.log"))
    found = house.run(*verify, "--secret", str(both))
    status = house.run("admin", "status")
    assert (2, status["audit_sequence"] + 1) == (found["segments"], found["audit_records"])
    assert status["audit_head"] == found["head"]
    code, _, error = house.attempt(*verify, "--secret", str(only_new))
    assert (1, True) == (code, "no key" in error)

    (closed,) = copy.glob("audit-*.log")
    closed.unlink()
    code, _, error = house.attempt(*verify, "--secret", str(both))
    assert (1, True) == (code, "audit record 0" in error)


def test_a_log_under_unknown_secrets_stops_the_start(house: House) -> None:
    """New secrets without the previous ones: no start, and the message says what to configure."""
    old = house.signer.key_file.read_bytes()
    house.signer.stop()
    house.signer.key_file.write_bytes(os.urandom(32))
    with pytest.raises(Exception, match="previous secrets"):
        house.signer.start()
    house.signer.key_file.write_bytes(old)
    house.signer.start()
