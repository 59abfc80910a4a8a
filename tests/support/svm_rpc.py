"""A JSON-RPC node on a loopback port, in this process, over an SvmChain: fast, scriptable.

with SvmRpc() as node:
    node.chain.fund(address, 10**9)
    node.faults.lose_reply("sendTransaction")
    ... point the code under test at node.url ...
    node.chain.expire_blockhashes()
"""

import json
import socket
import threading
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from tests.support.svm_chain import SvmChain
from tests.support.svm_faults import FaultScript, Kind
from tests.support.svm_methods import Methods, RpcError

_HELD_CALL_S_MAX = 30


class _ConnectionDroppedError(Exception):
    """The script says that this call gets no reply."""


class Doubled(bytes):
    """A reply's body that is answered twice: the second is there before the next request is."""


class SvmRpc:
    """The node. With `block_time_s` blocks come by themselves; without, only a test adds them."""

    def __init__(self, chain: SvmChain | None = None, block_time_s: float | None = None) -> None:
        """Serve `chain`, or a new one."""
        self.chain = chain or SvmChain()
        self.faults = FaultScript()
        # (method, params) of every call, in order of arrival, those that were refused included.
        self.calls: list[tuple[str, list[Any]]] = []
        self._methods = Methods(self.chain)
        self._stopping = threading.Event()
        self._server = _Server(("127.0.0.1", 0), _handler(self))
        self._address = ("127.0.0.1", self._server.server_port)
        self._serving = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._ticking: threading.Thread | None = None
        if block_time_s is not None:
            self._ticking = threading.Thread(target=self._tick, args=(block_time_s,))

    @property
    def url(self) -> str:
        """The node's URL."""
        return f"http://127.0.0.1:{self._address[1]}"

    def count(self, method: str) -> int:
        """Return how many calls of a method came."""
        return sum(1 for name, _ in self.calls if name == method)

    def __enter__(self) -> Self:
        """Start serving."""
        self._serving.start()
        if self._ticking is not None:
            self._ticking.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        """Stop serving, end held calls and close every connection."""
        self._stopping.set()
        self.go_away()
        if self._ticking is not None:
            self._ticking.join()

    def go_away(self) -> None:
        """End held calls, close every connection and refuse new ones; the chain goes on."""
        self.faults.clear()
        self._server.shutdown()
        self._server.close_connections()
        self._server.server_close()
        self._serving.join()

    def come_back(self) -> None:
        """Serve again at the same place, after `go_away`."""
        self._server = _Server(self._address, _handler(self))
        self._serving = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._serving.start()

    def answer(self, body: bytes) -> tuple[int, tuple[tuple[str, str], ...], bytes]:
        """Return HTTP status, extra headers and body for a request's body."""
        try:
            request = json.loads(body)
        except ValueError:
            return 200, (), _dump({"error": {"code": -32700, "message": "Parse error"}, "id": None})
        if isinstance(request, list):
            replies = [self._call(one) for one in request]
            return 200, (), b"[" + b",".join(reply for _, _, reply in replies) + b"]"
        return self._call(request)

    def _call(self, request: Any) -> tuple[int, tuple[tuple[str, str], ...], bytes]:
        method, params = request["method"], request.get("params", [])
        self.calls.append((method, params))
        fault = self.faults.take(method, params)
        kind = fault.kind if fault else None
        if fault and kind is Kind.DELAY:
            fault.gate.wait(_HELD_CALL_S_MAX)
        if kind is Kind.DROP:
            raise _ConnectionDroppedError
        if fault and kind is Kind.BODY:
            return fault.http_status, fault.headers, fault.value
        envelope = {"jsonrpc": "2.0", "id": request.get("id")}
        try:
            if fault and kind is Kind.ERROR:
                reply = {"error": fault.value}
            elif fault and kind is Kind.RESULT:
                reply = {"result": fault.value}
            else:
                reply = {"result": self._methods.call(method, params)}
            if fault and kind is Kind.ALTER:
                reply["result"] = fault.value(reply["result"])
        except RpcError as error:
            reply = {"error": error.error}
        if kind is Kind.LOSE_REPLY:
            raise _ConnectionDroppedError
        return 200, (), _dump(envelope | reply)

    def _tick(self, block_time_s: float) -> None:
        while not self._stopping.wait(block_time_s):
            self.chain.advance()


class _Server(ThreadingHTTPServer):
    daemon_threads = False
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(address, handler)
        self._open: set[socket.socket] = set()

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def close_connections(self) -> None:
        """End the threads that wait for a client's next request."""
        for connection in list(self._open):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:  # the client was faster
                continue


def _handler(node: SvmRpc) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        wbufsize = -1  # one segment for head and body

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            try:
                status, headers, reply = node.answer(body)
            except _ConnectionDroppedError:
                self.close_connection = True
                return
            self.reply(status, headers, reply)
            if isinstance(reply, Doubled):
                self.reply(status, headers, reply)

        def reply(self, status: int, headers: Sequence[tuple[str, str]], body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            for name, value in headers:
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def handle(self) -> None:
            try:
                super().handle()
            except (ConnectionError, TimeoutError):
                self.close_connection = True

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  its base's name
            """Say nothing: `calls` is the log."""

    return Handler


def _dump(value: Any) -> bytes:
    return json.dumps(value).encode()
