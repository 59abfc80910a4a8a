"""Transactions to sign, and the check of signatures by a library that did not make them."""

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from solders.hash import Hash
from solders.message import MessageV0, MessageV1, TransactionConfig, to_bytes_versioned
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.system_program import TransferParams, transfer
from solders.transaction import VersionedTransaction

_COMPUTE_UNITS = 10_000
_LOADED_BYTES = 64 * 1024


class Transfer:
    """One lamport or more from a wallet to an address, as a v0 or a v1 transaction, unsigned."""

    def __init__(
        self, version: int, source: str, destination: str, lamports: int, blockhash: str
    ) -> None:
        """Build the transaction; its only signer is the source."""
        payer, recent = Pubkey.from_string(source), Hash.from_string(blockhash)
        to = Pubkey.from_string(destination)
        pay = transfer(TransferParams(from_pubkey=payer, to_pubkey=to, lamports=lamports))
        message: MessageV0 | MessageV1
        if version == 0:
            message = MessageV0.try_compile(payer, [pay], [], recent)
        else:
            # In v1 an unset limit means zero.
            limits = TransactionConfig(
                compute_unit_limit=_COMPUTE_UNITS, loaded_accounts_data_size_limit=_LOADED_BYTES
            )
            message = MessageV1.try_compile(payer, [pay], recent, limits)
        self.message = to_bytes_versioned(message)
        self.wire = bytes(VersionedTransaction.populate(message, [Signature.default()]))


def is_signed(address: str, signature: bytes, message: bytes) -> bool:
    """Return whether OpenSSL accepts a signature under the message by the address's key."""
    key = Ed25519PublicKey.from_public_bytes(bytes(Pubkey.from_string(address)))
    try:
        key.verify(signature, message)
    except InvalidSignature:
        return False
    return True
