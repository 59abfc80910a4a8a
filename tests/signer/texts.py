"""All that a signer says, and the search for secrets in it."""

from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import grpc
from solders.pubkey import Pubkey
from solders.signature import Signature


def encodings(secret: bytes) -> dict[str, bytes]:
    """A secret as it may stand in a text: raw, hex, base58, base64 at each of three alignments."""
    found = {
        "raw": secret,
        "hex": secret.hex().encode(),
        "HEX": secret.hex().upper().encode(),
        "base58": _base58(secret),
    }
    for shift in range(3):
        # Of what stands before and after it in the encoded bytes only its own characters are kept.
        for name, encode in (("base64", b64encode), ("base64url", urlsafe_b64encode)):
            size = len(secret) - (len(secret) + shift) % 3
            first = 4 * (shift > 0)
            found[f"{name}/{shift}"] = encode(bytes(shift) + secret[:size])[first:]
    return found


def exposed(text: bytes, secrets: Mapping[str, bytes]) -> list[str]:
    """Which secrets stand in a text, and how."""
    return [
        f"{name} as {encoding}"
        for name, secret in secrets.items()
        for encoding, form in encodings(secret).items()
        if form in text
    ]


def _base58(data: bytes) -> bytes:
    if len(data) == 32:
        return str(Pubkey.from_bytes(data)).encode()
    if len(data) == 64:
        return str(Signature.from_bytes(data)).encode()
    alphabet = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
    number, out = int.from_bytes(data, "big"), bytearray()
    while number:
        number, digit = divmod(number, 58)
        out.append(alphabet[digit])
    return bytes(reversed(out))


class Transcript(grpc.UnaryUnaryClientInterceptor, grpc.UnaryStreamClientInterceptor):
    """Writes down every answer and every error with all its details, as bytes."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.parts: list[bytes] = []

    @property
    def text(self) -> bytes:
        """All of it."""
        return b"\n".join(self.parts)

    def intercept_unary_unary(
        self, continuation: Callable[..., Any], details: Any, request: Any
    ) -> Any:
        """Write down one answer."""
        call = continuation(details, request)
        error = call.exception()
        self._error(error) if error else self._answer(call.result())
        return call

    def intercept_unary_stream(
        self, continuation: Callable[..., Any], details: Any, request: Any
    ) -> Any:
        """Write down a stream of answers as they are taken."""
        return _Written(continuation(details, request), self)

    def _answer(self, answer: Any) -> None:
        self.parts += [answer.SerializeToString(), str(answer).encode()]

    def _error(self, error: Any) -> None:
        self.parts.append(str(error).encode())
        for item in error.trailing_metadata() or ():
            value = item.value
            self.parts.append(value if isinstance(value, bytes) else value.encode())


class _Written:
    """A stream that is written down."""

    def __init__(self, call: Any, transcript: Transcript) -> None:
        self._call = call
        self._transcript = transcript

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        try:
            answer = next(self._call)
        except grpc.RpcError as error:
            self._transcript._error(error)
            raise
        self._transcript._answer(answer)
        return answer

    def cancel(self) -> None:
        """Hang up."""
        self._call.cancel()
