"""Metrics of a real gateway: what a scrape shows after faults, and what it must never show."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import grpc
import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families as families
from solders.pubkey import Pubkey

from solward.gateway.v1 import balance_service_pb2 as balance_pb
from solward.gateway.v1 import balance_service_pb2_grpc as balance_grpc
from solward.gateway.v1 import distribution_service_pb2 as distribution_pb
from solward.gateway.v1 import wallet_service_pb2 as wallet_pb
from tests.gateway.processes import CANARY, Client, code_of
from tests.gateway.support import new_id
from tests.postgres.samples import address_of
from tests.support.fixtures import MakeGateway
from tests.support.processes import GatewayProcess, SignerProcess
from tests.support.svm_rpc import SvmRpc

KEY = "hunter2-api-key"


class Scraped:
    """The samples of one scrape."""

    def __init__(self, text: str) -> None:
        """Parses the page."""
        self.text = text
        self._samples = [one for family in families(text) for one in family.samples]

    def value(self, metric: str, **labels: str) -> float:
        """The sum of a metric's samples with these labels; -1 if there are none."""
        found = [
            one.value
            for one in self._samples
            if one.name == f"solward_{metric}" and labels.items() <= one.labels.items()
        ]
        return sum(found) if found else -1


def scrape(gateway: GatewayProcess) -> Scraped:
    """Reads a gateway's page from its Unix socket."""
    path = gateway.files.settings["metrics"]["listen"].removeprefix("unix:")
    with httpx.Client(transport=httpx.HTTPTransport(uds=path)) as client:
        answer = client.get("http://gateway/metrics", timeout=10)
    assert 200 == answer.status_code
    return Scraped(answer.text)


def until(gateway: GatewayProcess, reached: Callable[[Scraped], bool]) -> Scraped:
    """Scrapes until it shows what is waited for."""
    deadline = time.monotonic() + 20
    while not reached(found := scrape(gateway)):
        assert time.monotonic() < deadline, found.text
        time.sleep(0.1)
    return found


@pytest.fixture
def gateway(make_gateway: MakeGateway, svm_rpc: SvmRpc, short_dir: Path) -> GatewayProcess:
    """A gateway with metrics, on a node whose URL holds a key."""
    listen = {"metrics": {"listen": f"unix:{short_dir}/m/metrics.sock"}}
    return make_gateway(rpc_url=f"{svm_rpc.url}/{KEY}?token={KEY}", settings=listen)


@pytest.fixture
def channel(gateway: GatewayProcess) -> Iterator[grpc.Channel]:
    """A channel to it."""
    with grpc.insecure_channel(gateway.target) as opened:
        yield opened


def test_an_opened_circuit_is_seen(
    gateway: GatewayProcess, channel: grpc.Channel, svm_rpc: SvmRpc
) -> None:
    """Faults show by endpoint, method and kind, the circuit as open; and as closed when it ends."""
    endpoint = svm_rpc.url.removeprefix("http://")
    balances = balance_grpc.BalanceServiceStub(channel)
    request = balance_pb.GetBalanceRequest(address=address_of(1))
    balances.GetBalance(request)
    before = scrape(gateway)
    assert (0, 0, 1) == (
        before.value("rpc_circuit_open", endpoint=endpoint),
        before.value("rpc_lag_slots", endpoint=endpoint),
        before.value("rpc_requests_total", endpoint=endpoint, method="getBalance", outcome="ok"),
    )

    svm_rpc.faults.http_error("getBalance", 429, times=None)
    assert grpc.StatusCode.UNAVAILABLE is code_of(lambda: balances.GetBalance(request))
    during = scrape(gateway)
    assert 1 == during.value("rpc_circuit_open", endpoint=endpoint)
    assert 4 == during.value("rpc_requests_total", method="getBalance", outcome="rate_limited")
    assert 3 == during.value("rpc_retries_total", method="getBalance")
    assert 5 == during.value("rpc_request_seconds_count", method="getBalance")
    method = "solward.gateway.v1.BalanceService/GetBalance"
    assert 1 == during.value("grpc_requests_total", method=method, code="OK")
    assert 1 == during.value("grpc_requests_total", method=method, code="UNAVAILABLE")
    assert 2 == during.value("grpc_request_seconds_count", method=method)

    svm_rpc.faults.clear()
    balances.GetBalance(request)
    assert 0 == scrape(gateway).value("rpc_circuit_open", endpoint=endpoint)


def test_what_stands_and_what_is_missing(
    gateway: GatewayProcess, signer_process: SignerProcess
) -> None:
    """Parts and services are up; a signer that is gone is seen within seconds."""
    services = ("", "solward.gateway.v1.SigningService", "solward.gateway.v1.BalanceService")
    found = until(gateway, lambda one: one.value("up", part="signer") == 1)
    assert [1, 1] == [found.value("up", part=part) for part in ("database", "rpc")]
    assert [1, 1, 1] == [found.value("service_ready", service=name) for name in services]
    signer_process.kill()
    found = until(gateway, lambda one: one.value("up", part="signer") == 0)
    assert [0, 0, 1] == [found.value("service_ready", service=name) for name in services]


def test_distributions_are_counted_and_nobody_is_named(
    gateway: GatewayProcess, channel: grpc.Channel, svm_rpc: SvmRpc
) -> None:
    """Counts by state, and not a wallet, tag, secret or URL anywhere in a page of real work."""
    client = Client(channel)
    master = client.create_master()
    list(client.derive(master, 46))
    source, *others = client.first_wallets(46)
    recipients = [wallet.address for wallet in others]
    tag = f"tag-{uuid4()}"
    client.wallets.AddTag(wallet_pb.AddTagRequest(wallet_id=source.id, tag=tag))
    svm_rpc.chain.fund(Pubkey.from_string(source.address), 10**9)
    addresses = distribution_pb.RecipientAddresses(addresses=recipients)
    planned = client.distributions.CreateDistribution(
        distribution_pb.CreateDistributionRequest(
            request_id=new_id(),
            source_wallet_id=source.id,
            recipients=distribution_pb.Recipients(addresses=addresses),
            total_lamports=100_000_000,
            split=distribution_pb.Split(even=distribution_pb.EvenSplit()),
        )
    ).distribution
    svm_rpc.chain.hold = True
    token = client.session(master)
    client.distributions.ExecuteDistribution(
        distribution_pb.ExecuteDistributionRequest(
            distribution_id=planned.id, etag=planned.etag, session_token=token
        )
    )
    found = until(gateway, lambda one: one.value("transfers", state="in_flight") == 45)
    assert planned.transaction_count == found.value("transactions", state="in_flight")
    assert 1 == found.value("distributions", state="executing")
    assert 0 <= found.value("tallies_age_seconds") <= 10

    secrets = [KEY, CANARY, tag, planned.id, master.id, master.fingerprint, source.address]
    for secret in [*secrets, *recipients, token.hex()]:
        assert secret not in found.text
    svm_rpc.chain.release()
    svm_rpc.chain.advance(5)
    found = until(gateway, lambda one: one.value("distributions", state="completed") == 1)
    assert -1 == found.value("transactions")


def test_without_the_section_nothing_listens(gateway_process: GatewayProcess) -> None:
    """No metrics unless asked for."""
    assert "metrics" not in gateway_process.files.settings
    sockets = [
        line for line in Path("/proc/net/unix").read_text().splitlines() if "metrics" in line
    ]
    assert not any(str(gateway_process.files.config.parent) in line for line in sockets)
