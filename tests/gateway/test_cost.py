"""What 10,000 wallets cost, against the bare primitives in the same run."""

import hashlib
import hmac
import time

import psutil
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from nacl.bindings import crypto_sign_seed_keypair

from solward.gateway.v1 import wallet_service_pb2 as wallet_pb
from tests.gateway.processes import CANARY, Client
from tests.gateway.support import in_clear, new_id
from tests.support.processes import GatewayProcess, SignerProcess

WALLETS = 10_000
ROUNDS = 3
BUDGET = 3.0
SIGNER_BYTES_MAX = 128 * 1024 * 1024


def bare_primitives_s() -> float:
    """CPU seconds of 2 HMAC-SHA512, 1 ed25519 key pair and 1 AES-GCM seal for each wallet."""
    cipher, nonce, key = AESGCM(b"k" * 32), b"n" * 12, b"c" * 32
    started_s = time.process_time()
    for index in range(WALLETS):
        message = b"\0" + key + index.to_bytes(4, "big")
        node = hmac.digest(key, hmac.digest(key, message, hashlib.sha512), hashlib.sha512)
        public, _ = crypto_sign_seed_keypair(node[:32])
        cipher.encrypt(nonce, node[:32], public)
    return time.process_time() - started_s


def cpu_s(*pids: int) -> float:
    """CPU seconds that processes have used so far."""
    times = [psutil.Process(pid).cpu_times() for pid in pids]
    return sum(used.user + used.system for used in times)


def test_ten_thousand_wallets_cost_at_most_three_times_the_primitives(
    gateway_process: GatewayProcess, signer_process: SignerProcess, client: Client
) -> None:
    """Derived, sealed and stored: the best of three rounds; the signer stays under 128 MiB."""
    ratios, resident = [], []
    for _ in range(ROUNDS):
        master = client.create_master()
        before_s = cpu_s(gateway_process.pid, signer_process.pid)
        request = wallet_pb.DeriveWalletsRequest(
            request_id=new_id(),
            master_wallet_id=master.id,
            first_index=0,
            count=WALLETS,
            credential=in_clear(CANARY),
        )
        *_, last = client.wallets.DeriveWallets(request)
        assert last.created_count == WALLETS
        spent_s = cpu_s(gateway_process.pid, signer_process.pid) - before_s
        ratios.append(spent_s / bare_primitives_s())
        resident.append(psutil.Process(signer_process.pid).memory_info().rss)
    assert min(ratios) <= BUDGET, f"CPU over that of the primitives: {ratios}"
    assert max(resident) <= SIGNER_BYTES_MAX
