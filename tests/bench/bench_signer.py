"""The signer's CPU time against the bare primitives, measured in the same run."""

import time
from collections.abc import Callable, Iterator

import pytest
from rich.table import Table

from tests.bench import bare
from tests.signer.client import VERIFY, Client, connected, payment, sign_message
from tests.signer.process import SignerProcess, signer_process

WALLETS = 10_000
BATCHES, BATCH = 8, 500
MESSAGES = 1000
UNLOCKS = 20
DERIVE_RATIO_MAX = 3.0
UNLOCK_RATIO_MAX = 1.5
PASSWORD = "a password of the bench"


@pytest.fixture(scope="module")
def signer() -> Iterator[SignerProcess]:
    """A signer as deployed, with the allocator recipe."""
    with signer_process() as process:
        process.start()
        yield process


@pytest.fixture(scope="module")
def client(signer: SignerProcess) -> Iterator[Client]:
    """Its client."""
    with connected(signer) as connection:
        yield connection


def spent(signer: SignerProcess, work: Callable[[], object]) -> tuple[float, float]:
    """CPU seconds of the signer and seconds on the clock for some work."""
    cpu, clock = signer.cpu_seconds(), time.perf_counter()
    work()
    return signer.cpu_seconds() - cpu, time.perf_counter() - clock


def row(table: Table, what: str, count: int, cpu_s: float, bare_s: float) -> float:
    """Add a line for `count` things; return the ratio."""
    ratio = cpu_s / bare_s
    per = 1e6 / count
    table.add_row(what, f"{cpu_s * per:,.1f} us", f"{bare_s * per:,.1f} us", f"{ratio:.2f}")
    return ratio


def test_derivation(signer: SignerProcess, client: Client, table: Table) -> None:
    """Deriving, sealing, tagging and streaming costs at most three times the primitives."""
    master = client.signer.CreateMasterWallet(client.create_master(PASSWORD)).master
    bare_s = bare.derive_s(WALLETS)
    runs = [spent(signer, lambda: client.wallets(master, PASSWORD, WALLETS)) for _ in range(3)]
    cpu_s, clock_s = min(runs)
    ratio = row(table, "derive and seal a wallet", WALLETS, cpu_s, bare_s)
    table.add_row("  10,000 of them, on the clock", f"{clock_s:.2f} s", "", "")
    assert ratio <= DERIVE_RATIO_MAX


def test_signing(signer: SignerProcess, client: Client, table: Table) -> None:
    """What a signature costs with parsing, policy, rate limit, audit log and opening its key."""
    master = client.signer.CreateMasterWallet(client.create_master(PASSWORD)).master
    wallets = client.wallets(master, PASSWORD, BATCH)
    token = client.session(wallets[0], PASSWORD)
    items = [payment(wallet, wallets[0]) for wallet in wallets]
    cpu_s, clock_s = spent(signer, lambda: [client.sign(token, items) for _ in range(BATCHES)])
    bare_s = bare.sign_s([item.transaction[65:] for item in items] * BATCHES)
    row(table, "sign a transaction, 500 a batch", BATCHES * BATCH, cpu_s, bare_s)
    table.add_row("  throughput", f"{BATCHES * BATCH / clock_s:,.0f} /s", "", "")

    requests = [sign_message(token, wallets[0], b"a message") for _ in range(MESSAGES)]
    cpu_s, clock_s = spent(signer, lambda: list(map(client.signer.SignMessage, requests)))
    bare_s = bare.sign_s([b"a message"] * MESSAGES)
    row(table, "sign a message, one a call", MESSAGES, cpu_s, bare_s)
    table.add_row("  throughput, one caller", f"{MESSAGES / clock_s:,.0f} /s", "", "")


def test_unlocking(signer: SignerProcess, client: Client, table: Table) -> None:
    """Unlocking a session for all wallets of a master costs little more than its one scrypt run."""
    master = client.signer.CreateMasterWallet(client.create_master(PASSWORD)).master
    wallets = client.wallets(master, PASSWORD, 1)
    requests = [client.open_session(wallets, PASSWORD, purpose=VERIFY) for _ in range(UNLOCKS)]
    cpu_s, _ = spent(signer, lambda: list(map(client.signer.OpenSession, requests)))
    ratio = row(table, "prove a password", UNLOCKS, cpu_s, bare.scrypt_s(UNLOCKS))
    table.add_row("  most memory ever held", f"{signer.status('VmHWM') / 1024:.0f} MiB", "", "")
    assert ratio <= UNLOCK_RATIO_MAX
