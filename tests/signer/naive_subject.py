"""A signer that takes no care, over the same transport: what the scanner must see.

    python naive_subject.py SOCKET

It takes its secrets as plain protobuf fields. CreateMasterWallet derives: `sealed_password` is the
password itself, `request_id` the mnemonic. SignMessage signs: `session_token` is the key. All is
written as most people would write it, and nothing is kept on purpose.
"""

import hashlib
import hmac
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
from bip_utils import Bip39SeedGenerator
from nacl.signing import SigningKey

from solward.signer.v1 import signer_service_pb2 as pb

_SERVICE = "solward.signer.v1.SignerService"


def create(request: pb.CreateMasterWalletRequest, _: object) -> pb.CreateMasterWalletResponse:
    """Derive a key from a mnemonic, seal it under a password, forget both."""
    seed = Bip39SeedGenerator(request.request_id).Generate()
    key = hmac.new(b"ed25519 seed", seed, "sha512").digest()[:32]
    hashlib.scrypt(request.sealed_password, salt=b"salt", n=1 << 14, r=8, p=1, dklen=32)
    SigningKey(key).sign(b"proof")
    return pb.CreateMasterWalletResponse()


def sign(request: pb.SignMessageRequest, _: object) -> pb.SignMessageResponse:
    """Sign with a key from the request."""
    signed = SigningKey(request.session_token).sign(request.message)
    return pb.SignMessageResponse(signature=signed.signature)


def main() -> None:
    """Serve until told to stop."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    handlers: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
        "CreateMasterWallet": grpc.unary_unary_rpc_method_handler(
            create,
            pb.CreateMasterWalletRequest.FromString,
            pb.CreateMasterWalletResponse.SerializeToString,
        ),
        "SignMessage": grpc.unary_unary_rpc_method_handler(
            sign, pb.SignMessageRequest.FromString, pb.SignMessageResponse.SerializeToString
        ),
    }
    server = grpc.server(ThreadPoolExecutor(2))
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(_SERVICE, handlers)])
    server.add_insecure_port(f"unix:{sys.argv[1]}")
    server.start()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    signal.sigwait({signal.SIGTERM})
    server.stop(None).wait()


if __name__ == "__main__":
    main()
