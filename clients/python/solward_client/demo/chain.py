"""The two things that the demonstration asks the local chain for itself: money and a blockhash."""

from typing import Any

import httpx

_TIMEOUT_S = 30.0


class ChainError(Exception):
    """The local chain did not do what it was asked."""


class Chain:
    """A local chain by its JSON-RPC URL."""

    def __init__(self, rpc_url: str) -> None:
        """Take the URL."""
        self._rpc_url = rpc_url

    def airdrop(self, address: str, amount_lamports: int) -> None:
        """Have the chain's faucet fund an address. Raises ChainError."""
        self._call("requestAirdrop", address, amount_lamports)

    def blockhash(self) -> str:
        """Return the latest blockhash. Raises ChainError."""
        return str(self._call("getLatestBlockhash")["value"]["blockhash"])

    def _call(self, method: str, *params: Any) -> Any:
        request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        try:
            answer = httpx.post(self._rpc_url, json=request, timeout=_TIMEOUT_S).json()
            return answer["result"]
        except (httpx.HTTPError, ValueError, KeyError) as error:
            raise ChainError(f"{method} failed: {type(error).__name__}") from None
