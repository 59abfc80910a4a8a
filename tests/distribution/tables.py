"""Address lookup tables on the SVM, written byte by byte."""

from collections.abc import Sequence

from solders.account import Account
from solders.pubkey import Pubkey

from gateway.domain.lookup_tables import LOOKUP_TABLE_PROGRAM
from tests.support.svm_chain import SvmChain

ACTIVE = 2**64 - 1


def content_of(addresses: Sequence[str]) -> bytes:
    """The addresses as a table holds them."""
    return b"".join(bytes(Pubkey.from_string(address)) for address in addresses)


def write_table(
    chain: SvmChain,
    addresses: Sequence[str],
    *,
    deactivation_slot: int = ACTIVE,
    owner: str = LOOKUP_TABLE_PROGRAM,
    at: str = "",
) -> str:
    """Writes a table without an authority, a new one unless an address is given."""
    address = at or str(Pubkey.new_unique())
    header = (1).to_bytes(4, "little") + deactivation_slot.to_bytes(8, "little")
    data = header.ljust(56, b"\0") + content_of(addresses)
    lamports = chain.svm.minimum_balance_for_rent_exemption(len(data))
    account = Account(lamports, data, Pubkey.from_string(owner), False, 0)
    chain.svm.set_account(Pubkey.from_string(address), account)
    return address
