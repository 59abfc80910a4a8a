"""The locks and the licence: what is installed is what was reviewed, from any index."""

import hashlib
import itertools
import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
LOCKS = ("requirements.lock", "requirements-node.lock")
NODE_LOCK = REPOSITORY / "deploy" / "localnet" / "package-lock.json"
# The text as the foundation publishes it and Debian ships it.
APACHE_2_SHA256 = "cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30"


def _project() -> dict[str, Any]:
    return tomllib.loads((REPOSITORY / "pyproject.toml").read_text())


@pytest.mark.parametrize("name", LOCKS)
def test_locks_name_versions_and_hashes_and_no_place(name: str) -> None:
    """Every requirement is pinned and hashed, and nothing says where to fetch it."""
    text = (REPOSITORY / name).read_text()
    assert None is re.search(r"://|--index|--extra-index|--find-links| @ ", text)
    requirements = re.split(r"\n(?=[A-Za-z])", text.strip())
    loose = [one for one in requirements if "==" not in one or "--hash=sha256:" not in one]
    assert [] == loose


def test_the_node_lock_names_no_place() -> None:
    """Each package has an integrity hash, and none says where it was fetched."""
    packages = json.loads(NODE_LOCK.read_text())["packages"]
    fetched = {name: package for name, package in packages.items() if name}
    assert {"sha512"} == {package["integrity"].partition("-")[0] for package in fetched.values()}
    assert [] == [name for name, package in fetched.items() if "resolved" in package]


def test_the_lock_covers_what_the_project_asks_for() -> None:
    """Whatever pyproject.toml names, extras included, is in the lock."""
    project = _project()["project"]
    extras = project["optional-dependencies"].values()
    asked = itertools.chain(project["dependencies"], *extras)
    names = {re.split(r"[^A-Za-z0-9._-]", one)[0] for one in asked}
    locked = set(
        re.findall(r"^([a-z0-9._-]+)==", (REPOSITORY / LOCKS[0]).read_text(), re.MULTILINE)
    )
    assert set() == names - locked - {project["name"]}


def test_the_licence_is_apache_2() -> None:
    """LICENSE is the full, unchanged text, and the package says the same."""
    digest = hashlib.sha256((REPOSITORY / "LICENSE").read_bytes()).hexdigest()
    assert (APACHE_2_SHA256, "Apache-2.0") == (digest, _project()["project"]["license"])
