"""The client of the gateway."""

import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

import grpc

from solward_client.audit import Audit
from solward_client.balances import Balances
from solward_client.calls import Caller
from solward_client.channel import Tls, open_channel
from solward_client.credentials import Sealer
from solward_client.distributions import Distributions
from solward_client.masters import Masters
from solward_client.signing import Signing, fetch_signer_key
from solward_client.wallets import Wallets


class Solward:
    """What the gateway offers: `masters`, `wallets`, `signing`, `balances`, `distributions`,
    `audit`.

    Methods return the messages of `solward.gateway.v1` and raise SolwardError. Passwords and keys
    are sealed to the signer before they are sent. Safe to use from several threads.
    """

    def __init__(
        self,
        channel: grpc.Channel,
        *,
        signer_key: bytes | None = None,
        now_s: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Take a channel (closed with the client) and the signer key to insist on (32 bytes)."""
        self._channel = channel
        caller = Caller(sleep)
        sealer = Sealer(lambda: fetch_signer_key(channel, caller), signer_key, now_s)
        self.masters = Masters(channel, caller, sealer)
        self.wallets = Wallets(channel, caller, sealer)
        self.signing = Signing(channel, caller, sealer)
        self.balances = Balances(channel, caller)
        self.distributions = Distributions(channel, caller)
        self.audit = Audit(channel, caller)

    @classmethod
    def connect(
        cls, target: str, *, tls: Tls | None = None, signer_key: bytes | None = None
    ) -> Self:
        """Connect to "unix:/path/to/gateway.sock", or to "host:port" with `tls`."""
        return cls(open_channel(target, tls), signer_key=signer_key)

    def close(self) -> None:
        """Close the channel."""
        self._channel.close()

    def __enter__(self) -> Self:
        """Return the client itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the channel."""
        self.close()
