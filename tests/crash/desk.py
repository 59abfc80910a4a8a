"""A desk: one funded source wallet, a chain, and the processes that pay from it."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import grpc
from solders.pubkey import Pubkey

from solward.gateway.v1 import distribution_service_pb2 as pb
from solward.gateway.v1 import master_wallet_service_pb2 as master_pb
from solward.gateway.v1 import signing_service_pb2 as signing_pb
from solward.gateway.v1 import wallet_service_pb2 as wallet_pb
from tests.crash.node import ScriptedNode
from tests.crash.parts import PACE, Gateway, Postgres
from tests.crash.records import Records
from tests.crash.sql import execute
from tests.gateway.processes import Client, status_code
from tests.gateway.support import new_id
from tests.postgres.samples import address_of
from tests.support.databases import run
from tests.support.processes import SignerProcess

T = TypeVar("T")
State = pb.Distribution
FUNDS = 10**15
# The whole suite, or the sample that `make test` has time for.
EVERYTHING = bool(os.environ.get("CRASH_EVERYTHING"))
_WAITING = "waits for ExecuteDistribution"
# A session that was just given may not have been noticed yet.
_SESSION_S_MIN = 0.5
_AWAY = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED}
ENDED = {
    State.STATE_COMPLETED,
    State.STATE_PARTIALLY_FAILED,
    State.STATE_CANCELLED,
    State.STATE_PARKED,
}


@dataclass
class Desk(Records):
    """One database, one source, any number of gateways."""

    root: Path
    postgres: Postgres
    signer: SignerProcess
    node: ScriptedNode
    database: str
    gateways: list[Gateway] = field(default_factory=list)
    channels: dict[str, grpc.Channel] = field(default_factory=dict)
    master: master_pb.MasterWallet | None = None
    source: wallet_pb.Wallet | None = None
    funds: int = 0
    orders: int = 0
    sessions_given: int = 0
    _open_sessions: list[bytes] = field(default_factory=list)
    _session_given_at: float = 0.0

    def add_gateway(
        self,
        *,
        node: ScriptedNode | None = None,
        version: str = "legacy",
        price: int = 0,
        request_timeout_ms: int = 5000,
        **launch: Any,
    ) -> Gateway:
        """Starts one more gateway; `launch` are settings of the launcher."""
        root = self.root / f"{len(self.gateways)}"
        root.mkdir()
        gateway = Gateway(
            root,
            signer=self.signer,
            database_url=self.database_url,
            rpc_url=(node or self.node).url,
            launch={"pace": PACE} | launch,
            version=version,
            price=price,
            request_timeout_ms=request_timeout_ms,
        )
        self.gateways.append(gateway)
        return gateway.start()

    def open_source(self, fund: Callable[[str], None] | None = None) -> None:
        """Makes a master and derives the wallet that pays."""
        client = self.client()
        self.master = client.create_master()
        list(client.derive(self.master, 1))
        (self.source,) = client.first_wallets(1)
        if fund is None:
            self.fund(FUNDS)
        else:
            fund(self.source.address)

    def fund(self, lamports: int) -> None:
        """Gives the source lamports, out of nowhere."""
        assert self.source is not None
        self.funds += lamports
        self.node.chain.fund(Pubkey.from_string(self.source.address), lamports)

    def client(self, gateway: Gateway | None = None) -> Client:
        """A client of a gateway, the first by default. Its channel outlives restarts."""
        target = (gateway or self.gateways[0]).target
        if target not in self.channels:
            options = [
                ("grpc.initial_reconnect_backoff_ms", 50),
                ("grpc.max_reconnect_backoff_ms", 100),
            ]
            self.channels[target] = grpc.insecure_channel(target, options=options)
        return Client(self.channels[target])

    def plan(self, count: int, total: int, **request: Any) -> pb.Distribution:
        """Plans to pay `count` addresses that never had anything, by random shares."""
        assert self.source is not None
        self.orders += 1
        salt = f"{self.database}/{self.orders}"
        addresses = [address_of(number, salt) for number in range(count)]
        order = pb.CreateDistributionRequest(
            request_id=new_id(),
            source_wallet_id=self.source.id,
            recipients=pb.Recipients(addresses=pb.RecipientAddresses(addresses=addresses)),
            total_lamports=total,
            split=pb.Split(random=pb.RandomSplit(seed=bytes(32))),
            **request,
        )
        distributions = self.client().distributions
        return self.patiently(lambda: distributions.CreateDistribution(order)).distribution

    def execute(self, plan: pb.Distribution, gateway: Gateway | None = None) -> None:
        """Opens a session and executes, or resumes; what has ended already stays as it is."""
        client = self.client(gateway)
        assert self.master is not None
        master = self.master
        token = self.patiently(lambda: client.session(master))
        self.sessions_given += 1
        self._open_sessions.append(token)
        self._session_given_at = time.monotonic()
        request = pb.ExecuteDistributionRequest(
            distribution_id=plan.id, etag=plan.etag, session_token=token
        )
        try:
            self.patiently(lambda: client.distributions.ExecuteDistribution(request))
        except grpc.RpcError as error:
            if status_code(error) is not grpc.StatusCode.FAILED_PRECONDITION:
                raise
            assert self.get(plan, gateway).state in ENDED

    def get(self, plan: pb.Distribution, gateway: Gateway | None = None) -> pb.Distribution:
        """Reads a distribution."""
        distributions = self.client(gateway).distributions
        request = pb.GetDistributionRequest(distribution_id=plan.id)
        return self.patiently(lambda: distributions.GetDistribution(request)).distribution

    def transfers(self, plan: pb.Distribution) -> list[pb.Transfer]:
        """Reads all its transfers, in order."""
        found: list[pb.Transfer] = []
        token = ""
        while True:
            request = pb.ListTransfersRequest(
                distribution_id=plan.id, page_size=1000, page_token=token
            )
            list_transfers = partial(self.client().distributions.ListTransfers, request)
            page = self.patiently(list_transfers)
            found.extend(page.transfers)
            token = page.next_page_token
            if not token:
                return found

    def until(
        self,
        plan: pb.Distribution,
        reached: Callable[[pb.Distribution], bool],
        timeout_s: float = 30,
        gateway: Gateway | None = None,
    ) -> pb.Distribution:
        """Waits until a distribution satisfies `reached`."""
        deadline = time.monotonic() + timeout_s
        while not reached(found := self.get(plan, gateway)):
            if time.monotonic() > deadline:
                raise TimeoutError(f"still {found}\n{self._logs()}")
            time.sleep(0.03)
        return found

    def finish(
        self,
        plan: pb.Distribution,
        timeout_s: float = 40,
        *,
        then: Callable[[], object] | None = None,
    ) -> pb.Distribution:
        """Waits for the end; gives a new session whenever the gateway asks for one.

        `then` is what is done instead, also about an order that is parked, which is no end then.
        In the end all sessions are closed, for a signer keeps only so many.
        """
        ends = ENDED if then is None else ENDED - {State.STATE_PARKED}
        act = then or (lambda: self.execute(plan))

        def ended(found: pb.Distribution) -> bool:
            waits = found.state == State.STATE_EXECUTING and _WAITING in found.last_error
            stands = waits or found.state in {State.STATE_PAUSED, State.STATE_PARKED}
            is_given = time.monotonic() - self._session_given_at < _SESSION_S_MIN
            if found.state not in ends and stands and not is_given:
                act()
            return found.state in ends

        found = self.until(plan, ended, timeout_s)
        signing = self.client().signing
        while self._open_sessions:
            request = signing_pb.CloseSessionRequest(session_token=self._open_sessions.pop())
            self.patiently(partial(signing.CloseSession, request))
        return found

    def kill(self, victim: str) -> None:
        """SIGKILLs "gateway" (the first), "signer" or "postgres"."""
        if victim == "gateway":
            self.gateways[0].kill()
        elif victim == "signer":
            self.signer.kill()
        else:
            self.postgres.kill()

    def start(self, victim: str) -> None:
        """Starts it again, on its own files."""
        if victim == "gateway":
            self.gateways[0].start()
        elif victim == "signer":
            self.signer.start()
        else:
            self.postgres.start()

    def revive(self) -> None:
        """Starts what a failed test may have left dead."""
        if self.postgres.server.process.returncode is not None:
            self.postgres.start()
        if self.signer.process.returncode is not None:
            self.signer.start()

    def patiently(self, call: Callable[[], T], timeout_s: float = 30) -> T:
        """Repeats a call while something that it needs is away."""
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                return call()
            except grpc.RpcError as error:
                if status_code(error) not in _AWAY:
                    raise
                if time.monotonic() > deadline:
                    raise TimeoutError(self._logs()) from error
            time.sleep(0.05)

    def _logs(self) -> str:
        return "\n".join(gateway.log_text()[-5000:] for gateway in self.gateways)

    def close(self) -> None:
        """Leaves no process, no channel and no database."""
        for channel in self.channels.values():
            channel.close()
        for gateway in self.gateways:
            gateway.kill()
        statement = f"DROP DATABASE {self.database} WITH (FORCE)"
        run(execute(self.postgres.url("postgres"), statement))
