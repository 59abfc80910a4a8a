"""10,000 wallets through the gateway into PostgreSQL: the CPU time of all three against the bare
primitives, measured in the same run.
"""

import time
from collections.abc import Iterator

import grpc
import psutil
import pytest
from rich.table import Table

from solward.gateway.v1 import wallet_service_pb2 as wallet_pb
from tests.bench import bare
from tests.gateway.processes import CANARY, Client
from tests.gateway.support import in_clear, new_id
from tests.support.processes import GatewayProcess, SignerProcess

WALLETS = 10_000
ROUNDS = 3
RATIO_MAX = 3.0


@pytest.fixture
def client(gateway_process: GatewayProcess) -> Iterator[Client]:
    """A client of the gateway."""
    with grpc.insecure_channel(gateway_process.target) as channel:
        yield Client(channel)


def cpu_s(processes: list[psutil.Process]) -> float:
    """CPU seconds that processes have used so far."""
    return sum(sum(process.cpu_times()[:2]) for process in processes)


def test_ten_thousand_wallets_derived_sealed_and_stored(
    gateway_process: GatewayProcess, signer_process: SignerProcess, client: Client, table: Table
) -> None:
    """Signer, gateway and database together cost at most three times the primitives."""
    master = client.create_master()
    list(client.derive(master, 1))
    parties = {
        "the signer": [psutil.Process(signer_process.pid)],
        "the gateway": [psutil.Process(gateway_process.pid)],
        "PostgreSQL": [
            child
            for child in psutil.Process().children(recursive=True)
            if child.name().startswith("postgres")
        ],
    }
    rounds = []
    for _ in range(ROUNDS):
        master = client.create_master()
        request = wallet_pb.DeriveWalletsRequest(
            request_id=new_id(),
            master_wallet_id=master.id,
            first_index=0,
            count=WALLETS,
            credential=in_clear(CANARY),
        )
        before, began = [cpu_s(each) for each in parties.values()], time.perf_counter()
        *_, last = client.wallets.DeriveWallets(request)
        clock_s = time.perf_counter() - began
        after = [cpu_s(each) for each in parties.values()]
        assert last.created_count == WALLETS
        rounds.append(([end - start for start, end in zip(before, after, strict=True)], clock_s))
    spent, clock_s = min(rounds, key=lambda each: sum(each[0]))
    bare_s = bare.derive_s(WALLETS)
    micros = 1e6 / WALLETS
    table.add_row(
        "derive, seal and store through the gateway",
        f"{sum(spent) * micros:,.1f} us",
        f"{bare_s * micros:,.1f} us",
        f"{sum(spent) / bare_s:.2f}",
    )
    for name, seconds in zip(parties, spent, strict=True):
        ratio = f"{seconds / bare_s:.2f}"
        table.add_row(f"  of which {name}", f"{seconds * micros:,.1f} us", "", ratio)
    table.add_row("  10,000 of them, on the clock", f"{clock_s:.2f} s", "", "")
    assert sum(spent) / bare_s <= RATIO_MAX
