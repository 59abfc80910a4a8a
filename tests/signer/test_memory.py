"""What the signer leaves in its memory: all that is writable is read by root and searched."""

import hashlib
import os
import subprocess
import sys
import time
from pathlib import Path

import grpc
import pytest

from solward.signer.v1 import signer_service_pb2 as pb
from solward.signer.v1.admin_service_pb2 import GetStatusRequest
from solward.signer.v1.signer_service_pb2_grpc import SignerServiceStub
from solward_client.devstack.servers import ALLOCATOR_RECIPE, base_environment
from tests.signer import known
from tests.signer.client import connected
from tests.signer.errands import Errands, new_mnemonic
from tests.signer.memory import Image, copies
from tests.signer.process import (
    KEEP_EVERYTHING,
    WITHOUT_MEMFD_SECRET,
    SignerProcess,
    signer_home,
    signer_process,
)

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root may read a process's memory")
_EXPIRY_S = 10


def expire(signer: SignerProcess, session_key: dict[str, bytes]) -> None:
    """Wait for the signer to wipe an expired session without being asked anything."""
    deadline = time.monotonic() + _EXPIRY_S
    while copies(Image.of(signer.pid).locked, session_key):
        assert time.monotonic() < deadline, "an expired session's key is still there"


def test_no_secret_outlives_its_use() -> None:
    """No copy of any secret, nor of a 16-byte piece of one, is ever left in ordinary memory, even
    if nothing freed is used again; of the locked pages a session's key stands in them while it is
    open, and after a closed and an expired session only what the signer cannot do without.
    """
    with signer_process() as signer:
        signer.configure(exports=True)
        signer.launcher = WITHOUT_MEMFD_SECRET  # so that root can read the locked pages
        signer.program, signer.environment = KEEP_EVERYTHING, {}
        signer.start()
        fresh = Image.of(signer.pid)
        with connected(signer) as client:
            errands = Errands.of(signer, client)
            given = errands.secrets | errands.lasting
            errands.run()
            in_use = Image.of(signer.pid, since=fresh)
            errands.close_session()
            session_key = {"session key": errands.session_key}
            expire(signer, session_key)
            afterwards = Image.of(signer.pid, since=fresh)
            assert "mlock" == client.admin.GetStatus(GetStatusRequest()).secret_memory
    everything = errands.secrets | errands.lasting
    assert {} == copies(fresh.ordinary, given)
    assert {} == copies(in_use.ordinary, everything)
    assert {} == copies(afterwards.ordinary, everything)
    assert dict.fromkeys(errands.lasting, 1) == copies(afterwards.locked, everything)
    # The same search does see what is there: the key of the session that was open.
    assert copies(in_use.locked, session_key)["session key"] >= 1


def test_secret_pages_are_out_of_reach() -> None:
    """As deployed, with the allocator recipe: root cannot read the locked pages at all and finds no
    secret elsewhere; those of the process, given in its environment, are gone from there too.
    """
    with signer_process() as signer:
        signer.environment |= {
            "ENCRYPTION_KEY": signer.encryption_key.hex(),
            "MASTER_PASSWORD": signer.master_password,
        }
        signer.configure(
            exports=True,
            secrets={"encryption_key_file": None, "master_password_file": None},
        )
        signer.start()
        with connected(signer) as client:
            if client.admin.GetStatus(GetStatusRequest()).secret_memory != "memfd_secret":
                pytest.skip("this kernel has no memfd_secret")
            errands = Errands.of(signer, client)
            given = errands.secrets | errands.lasting
            given["ENCRYPTION_KEY in hex"] = signer.encryption_key.hex().encode()
            fresh = Image.of(signer.pid)
            errands.run()
            image = Image.of(signer.pid, since=fresh)
        environment = Path(f"/proc/{signer.pid}/environ").read_bytes()
    everything = errands.secrets | given
    assert image.hidden_bytes > 0
    assert b"" == image.locked
    assert {} == copies(fresh.ordinary, given)
    assert {} == copies(image.ordinary, everything)
    assert b"ENCRYPTION_KEY=" in environment
    assert {} == copies(environment, everything)


def test_secrets_in_the_environment_leave_no_object_behind() -> None:
    """Taking the secrets from the environment makes no copy that is not wiped: none is left where
    nothing freed is used again.
    """
    with signer_process() as signer:
        signer.environment = {
            "ENCRYPTION_KEY": signer.encryption_key.hex(),
            "MASTER_PASSWORD": signer.master_password,
        }
        signer.configure(secrets={"encryption_key_file": None, "master_password_file": None})
        signer.program = KEEP_EVERYTHING
        signer.start()
        image = Image.of(signer.pid)
    given = {
        "ENCRYPTION_KEY": signer.encryption_key,
        "ENCRYPTION_KEY in hex": signer.encryption_key.hex().encode(),
        "MASTER_PASSWORD": signer.master_password.encode(),
    }
    assert {} == copies(image.ordinary, given)


def test_the_search_finds_what_a_naive_signer_leaves() -> None:
    """The same search finds a copy for each request of the password, the mnemonic and the key in a
    process that takes them as protobuf fields, with the same allocator recipe: it is not blind.
    """
    requests = 12
    mnemonic, password, key = new_mnemonic(), os.urandom(15).hex(), os.urandom(32)
    seed = known.bip39_seed(mnemonic, "")
    secrets = {
        "mnemonic": mnemonic.encode(),
        "password": password.encode(),
        "key": key,
        "seed": seed,
        "master key": known.nodes(seed, 0)["m key"],
        "stretched": hashlib.scrypt(password.encode(), salt=b"salt", n=1 << 14, r=8, p=1, dklen=32),
    }
    with signer_home() as home:
        subject = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("naive_subject.py")), str(home / "sock")],
            env={**base_environment(), **ALLOCATOR_RECIPE},
            stdout=subprocess.PIPE,
        )
        with subject, grpc.insecure_channel(f"unix:{home / 'sock'}") as channel:
            assert subject.stdout is not None
            assert subject.stdout.readline() == b"ready\n"
            stub = SignerServiceStub(channel)
            for _ in range(requests):
                stub.CreateMasterWallet(
                    pb.CreateMasterWalletRequest(
                        request_id=mnemonic, sealed_password=password.encode()
                    )
                )
                stub.SignMessage(pb.SignMessageRequest(session_token=key, message=b"a message"))
            found = copies(Image.of(subject.pid).ordinary, secrets)
            subject.terminate()
    assert {"mnemonic", "password", "key"} <= {n for n, count in found.items() if count >= requests}
