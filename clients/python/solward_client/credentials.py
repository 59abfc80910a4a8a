"""Passwords and keys on their way to the signer, sealed so that the gateway cannot read them."""

import hmac
import time
from collections.abc import Callable, Sequence

import grpc

from solward.gateway.v1.credentials_pb2 import Credential
from solward_client.errors import CLIENT_DOMAIN, SignerKeyChangedError
from solward_client.sealing import Purpose, SignerKey, seal


class Sealer:
    """Seals secrets to the signer, one use each.

    The boot id changes with every start of the signer, so the key is fetched for every secret; the
    X25519 key itself does not change and is compared with `pinned_key` where one is given. Without
    a pin the gateway is trusted to name the right key.
    """

    def __init__(
        self,
        fetch: Callable[[], SignerKey],
        pinned_key: bytes | None = None,
        now_s: Callable[[], float] = time.time,
    ) -> None:
        """Take how to fetch the signer's key, the key to insist on (32 bytes) and a unix clock."""
        self._fetch = fetch
        self._pinned_key = pinned_key
        self._now_s = now_s

    def seal(self, secret: bytes, rpc: str, fields: Sequence[str | int], purpose: Purpose) -> bytes:
        """Return the sealed secret for one request. Raises SignerKeyChangedError."""
        key = self._fetch()
        if self._pinned_key is not None and not hmac.compare_digest(
            self._pinned_key, key.box_public_key
        ):
            raise SignerKeyChangedError(
                grpc.StatusCode.FAILED_PRECONDITION,
                "the signer's sealing key is not the pinned one; nothing was sent",
                reason="SIGNER_KEY_CHANGED",
                domain=CLIENT_DOMAIN,
                signed="no",
            )
        return seal(key, secret, purpose=purpose, rpc=rpc, fields=fields, now_s=self._now_s())

    def credential(
        self,
        password: str,
        rpc: str,
        fields: Sequence[str | int],
        purpose: Purpose = "password",
    ) -> Credential:
        """Return the password sealed for one request of the gateway."""
        return Credential(sealed_password=self.seal(password.encode(), rpc, fields, purpose))
