"""10,000 wallets: one scrypt run unlocks them, and the signer's memory stays within its bounds."""

from collections.abc import Iterator
from itertools import pairwise

import pytest

from solward.signer.v1.admin_service_pb2 import GetStatusRequest
from tests.signer.client import VERIFY, Client, connected, payment, sign_message
from tests.signer.process import SignerProcess, signer_process

WALLETS = 10_000
MEMORY_KIB_MAX = 128 * 1024
PASSWORD, NEW_PASSWORD = "a password of many wallets", "the next password of them"


@pytest.fixture
def signer() -> Iterator[SignerProcess]:
    """A signer of the test's own: its high-water mark is what is measured."""
    with signer_process() as process:
        process.start()
        yield process


def kdf_runs(client: Client) -> int:
    """How many times a password has been stretched."""
    return client.admin.GetStatus(GetStatusRequest()).kdf_run_count


def test_ten_thousand_wallets_in_bounds(signer: SignerProcess) -> None:
    """Deriving 10,000 wallets takes one scrypt run, unlocking them one, signing with any of them
    none, rotating them two; 500-item batches and 20 sessions besides; the process never had more
    than 128 MiB.
    """
    with connected(signer) as client:
        runs = [kdf_runs(client)]
        master = client.signer.CreateMasterWallet(client.create_master(PASSWORD)).master
        runs.append(kdf_runs(client))
        wallets = client.wallets(master, PASSWORD, WALLETS)
        runs.append(kdf_runs(client))
        token = client.session(wallets[0], PASSWORD)
        runs.append(kdf_runs(client))
        for at in (0, WALLETS // 2, WALLETS - 1):
            client.signer.SignMessage(sign_message(token, wallets[at], b"a message"))
        for first in range(0, WALLETS, WALLETS // 4):
            items = [payment(wallet, wallets[0]) for wallet in wallets[first : first + 500]]
            results = client.sign(token, items)
            assert all(result.signed.is_complete for result in results)
        runs.append(kdf_runs(client))
        answer = client.signer.RotateRecords(
            client.rotate([master], wallets, PASSWORD, NEW_PASSWORD)
        )
        runs.append(kdf_runs(client))
        for wallet, record in zip(wallets, answer.sealed_wallet_records, strict=True):
            wallet.sealed_record = record
        tokens = [client.session(wallets[at], NEW_PASSWORD) for at in range(20)]
        verify = client.open_session([wallets[-1]], NEW_PASSWORD, purpose=VERIFY)
        assert b"" == client.signer.OpenSession(verify).session_token
        for token in tokens:
            client.signer.SignMessage(sign_message(token, wallets[-1], b"a message"))
    assert [1, 1, 1, 0, 2] == [after - before for before, after in pairwise(runs)]
    assert len({wallet.address for wallet in wallets}) == WALLETS
    assert signer.status("VmHWM") <= MEMORY_KIB_MAX
