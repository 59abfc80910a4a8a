"""A local Solana chain: Surfpool, a Node add-on, behind deploy/localnet/surfpool.cjs."""

import base64
import json
import os
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from solward_client.devstack.errors import ToolMissingError
from solward_client.devstack.node import LOCALNET_DIR, require_node
from solward_client.devstack.process import Process, Program

_READY_TIMEOUT_S = 30
_ADD_ON = LOCALNET_DIR / "node_modules" / "@solana" / "surfpool-linux-x64-gnu"


@dataclass(frozen=True, slots=True)
class ChainOptions:
    """Time between blocks, and the rent rate; 5,080 lamports a byte is live in late 2026."""

    slot_time_ms: int = 200
    rent_lamports_per_byte: int = 5080


class Surfpool:
    """A running local chain, as a context manager. Its state is lost when it stops."""

    def __init__(self, log: Path, options: ChainOptions | None = None) -> None:
        """Start the chain and wait until it answers.

        Raises ToolMissingError without Node or its packages, StartupError if it does not come up.
        """
        if not _ADD_ON.exists():
            raise ToolMissingError(
                "the local chain is not installed: run `make install`, or set SOLANA_RPC_URL"
            )
        chosen = options or ChainOptions()
        arguments = {
            "slotTimeMs": chosen.slot_time_ms,
            "rentPerByte": chosen.rent_lamports_per_byte,
        }
        node = str(require_node().executable)
        self._process = Process(
            Program(
                name="surfpool",
                command=[node, str(LOCALNET_DIR / "surfpool.cjs"), json.dumps(arguments)],
                log=log,
                environment={"PATH": os.defpath, "HOME": os.environ.get("HOME", "/")},
                hold_stdin=True,
                capture_stdout=True,
            )
        )
        try:
            ready = json.loads(self._process.read_line(_READY_TIMEOUT_S))
        except BaseException:
            self._process.kill()
            raise
        self.rpc_url: str = ready["rpcUrl"]
        self.websocket_url: str = ready["wsUrl"]
        # The chain's own faucet: worth nothing anywhere else.
        self.payer_address: str = ready["payer"]
        self.payer_key_pair: bytes = base64.b64decode(ready["payerSecretKey"])

    @property
    def process(self) -> Process:
        """The chain's process."""
        return self._process

    def stop(self) -> None:
        """Stop the chain. Safe to call again."""
        self._process.stop()

    def __enter__(self) -> Self:
        """Return the running chain."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        """Stop the chain."""
        self.stop()
