"""What a judge reads of a chain past everybody, and what a test does to it out of nowhere.

Two grounds: the chain in memory, and Surfpool through its own RPC. Nothing here is the gateway's:
accounts are decoded by hand, and fees are read from the blocks.
"""

import base64
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import httpx
from solders.account import Account
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction

from tests.distribution.tokens import Machine
from tests.support.svm_chain import SYSTEM_PROGRAM, SvmChain

_TOKEN_PROGRAMS = (
    "TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA",
    "TokenzQdBNbLqP5VEhdkAS6EPFLC1PHnBqCXEpPxuEb",
)
_ACCOUNT_BYTES = 165
_AMOUNT = slice(64, 72)
_MINT_FEES, _ACCOUNT_FEES = 1, 2
_MINT_WITHHELD = slice(64, 72)
_READ_MAX = 100
_SIGNATURES_MAX = 1000


@dataclass(frozen=True, slots=True)
class Held:
    """What an account holds: lamports, tokens, and tokens withheld in it as transfer fees."""

    lamports: int = 0
    tokens: int = 0
    withheld: int = 0


@dataclass(frozen=True, slots=True)
class Landing:
    """A transaction in a block: who paid which fee, whether it failed, the accounts it named."""

    payer: str
    fee_lamports: int
    is_failed: bool
    named: frozenset[str]


class Ground(Protocol):
    """A chain seen from outside."""

    @property
    def svm(self) -> Machine:
        """What writes and reads accounts."""
        ...

    def accounts(self, addresses: Sequence[str]) -> list[Account | None]:
        """Reads accounts, in order."""
        ...

    def fund(self, address: str, lamports: int) -> None:
        """Adds lamports to a system account, out of nowhere."""
        ...

    def landings(self, payers: Sequence[str]) -> dict[str, Landing]:
        """Returns what these have paid for, by signature."""
        ...


def held(account: Account | None) -> Held:
    """Decodes what an account holds."""
    if account is None or not account.lamports:
        return Held()
    data = account.data
    if str(account.owner) not in _TOKEN_PROGRAMS or len(data) < _ACCOUNT_BYTES:
        return Held(account.lamports)
    is_mint = len(data) > _ACCOUNT_BYTES and data[_ACCOUNT_BYTES] == 1
    values = _extensions(data[_ACCOUNT_BYTES + 1 :])
    if is_mint:
        fees = values.get(_MINT_FEES, bytes(72))
        return Held(account.lamports, 0, int.from_bytes(fees[_MINT_WITHHELD], "little"))
    withheld = int.from_bytes(values.get(_ACCOUNT_FEES, b""), "little")
    return Held(account.lamports, int.from_bytes(data[_AMOUNT], "little"), withheld)


def _extensions(data: bytes) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    while len(data) >= 4 and (kind := int.from_bytes(data[:2], "little")):
        size = int.from_bytes(data[2:4], "little")
        found[kind] = data[4 : 4 + size]
        data = data[4 + size :]
    return found


class MemoryGround:
    """The chain in memory."""

    def __init__(self, chain: SvmChain) -> None:
        self._chain = chain

    @property
    def svm(self) -> Machine:
        """The machine itself."""
        return self._chain.svm

    def accounts(self, addresses: Sequence[str]) -> list[Account | None]:
        """Reads accounts, in order."""
        return self._chain.accounts(Pubkey.from_string(address) for address in addresses)

    def fund(self, address: str, lamports: int) -> None:
        """Adds lamports to a system account."""
        self._chain.fund(Pubkey.from_string(address), lamports)

    def landings(self, payers: Sequence[str]) -> dict[str, Landing]:
        """Returns what these have paid for, by signature."""
        wanted = set(payers)
        return {
            str(landed.signature): Landing(
                str(landed.keys[0]),
                landed.outcome.fee_lamports,
                landed.error is not None,
                frozenset(map(str, landed.keys)),
            )
            for landed in list(self._chain.landed.values())
            if str(landed.keys[0]) in wanted
        }


class SurfpoolGround:
    """Surfpool, past the proxy."""

    def __init__(self, rpc_url: str) -> None:
        self._rpc_url = rpc_url

    @property
    def svm(self) -> Machine:
        """This: it writes and reads accounts, too."""
        return self

    def ask(self, method: str, *params: object) -> Any:
        """Calls the chain; raises KeyError if it answers with an error."""
        request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        return httpx.post(self._rpc_url, json=request, timeout=30).json()["result"]

    def accounts(self, addresses: Sequence[str]) -> list[Account | None]:
        """Reads accounts, in order."""
        options = {"commitment": "confirmed", "encoding": "base64"}
        found: list[Account | None] = []
        for start in range(0, len(addresses), _READ_MAX):
            some = list(addresses[start : start + _READ_MAX])
            value = self.ask("getMultipleAccounts", some, options)["value"]
            found += [None if one is None else _account(one) for one in value]
        return found

    def fund(self, address: str, lamports: int) -> None:
        """Adds lamports to a system account."""
        (account,) = self.accounts([address])
        present = account.lamports if account else 0
        key = Pubkey.from_string(address)
        self.set_account(key, Account(present + lamports, b"", SYSTEM_PROGRAM, False, 0))

    def landings(self, payers: Sequence[str]) -> dict[str, Landing]:
        """Returns the transactions that these have signed, by signature."""
        found: dict[str, Landing] = {}
        for payer in payers:
            listed = self.ask("getSignaturesForAddress", payer, {"limit": _SIGNATURES_MAX})
            for one in listed:
                if one["signature"] not in found:
                    found[one["signature"]] = self._landing(one["signature"])
        return found

    def _landing(self, signature: str) -> Landing:
        options = {"encoding": "base64", "maxSupportedTransactionVersion": 1}
        deadline = time.monotonic() + 10
        while (record := self.ask("getTransaction", signature, options)) is None:
            assert time.monotonic() < deadline, f"it is listed and not to be had: {signature}"
            time.sleep(0.1)
        wire = base64.b64decode(record["transaction"][0])
        message = VersionedTransaction.from_bytes(wire).message
        return Landing(
            str(message.account_keys[0]),
            record["meta"]["fee"],
            record["meta"]["err"] is not None,
            frozenset(map(str, message.account_keys)),
        )

    def get_account(self, address: Pubkey) -> Account | None:
        """Reads one account."""
        return self.accounts([str(address)])[0]

    def set_account(self, address: Pubkey, account: Account) -> None:
        """Replaces an account."""
        self.ask(
            "surfnet_setAccount",
            str(address),
            {
                "lamports": account.lamports,
                "data": account.data.hex(),
                "owner": str(account.owner),
                "executable": False,
                "rentEpoch": 0,
            },
        )

    def minimum_balance_for_rent_exemption(self, data_len: int) -> int:
        """Asks for the rent floor of so many bytes."""
        return int(self.ask("getMinimumBalanceForRentExemption", data_len))


def _account(value: Any) -> Account:
    data = base64.b64decode(value["data"][0])
    return Account(value["lamports"], data, Pubkey.from_string(value["owner"]), False, 0)
