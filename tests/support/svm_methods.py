"""The JSON-RPC methods of a node, over SvmChain, with the limits that public nodes enforce."""

import base64
import binascii
from collections.abc import Callable
from typing import Any

from solders.account import Account
from solders.hash import Hash
from solders.message import from_bytes_versioned
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.transaction import VersionedTransaction

from tests.support import svm_reads
from tests.support.svm_chain import Landed, SvmChain
from tests.support.svm_messages import fee_lamports
from tests.support.svm_reads import error_json

INVALID_PARAMS = -32602
METHOD_NOT_FOUND = -32601
PREFLIGHT_FAILED = -32002
MULTIPLE_ACCOUNTS_MAX = 100
SIGNATURE_STATUSES_MAX = 256
SIGNATURES_MAX = 1000
UNSUPPORTED_VERSION = -32015
MIN_CONTEXT_SLOT_NOT_REACHED = -32016
# What a cluster refuses at its door.
TRANSACTION_BYTES_MAX = 1232
TRANSACTION_V1_BYTES_MAX = 4096
_V1_PREFIX = 0x81


class RpcError(Exception):
    """A JSON-RPC error to answer with."""

    def __init__(self, code: int, message: str, data: Any = None) -> None:
        """Take the members of the error object; `data` is left out when None."""
        super().__init__(message)
        self.error = {"code": code, "message": message} | ({} if data is None else {"data": data})


class Methods:
    """Answers calls by name."""

    def __init__(self, chain: SvmChain) -> None:
        """Serve `chain`."""
        self._chain = chain
        self._table: dict[str, Callable[[list[Any]], Any]] = {
            "getHealth": lambda _: "ok",
            "getVersion": lambda _: {"solana-core": "4.1.2", "feature-set": 1},
            "getGenesisHash": lambda _: str(Hash.default()),
            "getSlot": lambda params: self._slot(_commitment(params, 0)),
            "getBlockHeight": lambda params: chain.height_at(_commitment(params, 0)),
            "getFirstAvailableBlock": lambda _: chain.first_available_slot,
            "getLatestBlockhash": self._latest_blockhash,
            "getEpochInfo": self._epoch_info,
            "isBlockhashValid": self._is_blockhash_valid,
            "getMinimumBalanceForRentExemption": lambda params: (
                chain.svm.minimum_balance_for_rent_exemption(params[0])
            ),
            "getFeeForMessage": self._fee_for_message,
            "getRecentPrioritizationFees": lambda _: [{"slot": chain.slot, "prioritizationFee": 0}],
            "getBalance": self._balance,
            "getAccountInfo": self._account_info,
            "getMultipleAccounts": self._multiple_accounts,
            "requestAirdrop": self._request_airdrop,
            "sendTransaction": self._send_transaction,
            "simulateTransaction": self._simulate_transaction,
            "getSignatureStatuses": self._signature_statuses,
            "getSignaturesForAddress": self._signatures_for_address,
            "getTokenAccountsByOwner": self._token_accounts_by_owner,
            "getTransaction": self._transaction,
        }

    def call(self, method: str, params: list[Any]) -> Any:
        """Return a call's result. Raises RpcError."""
        if method not in self._table:
            raise RpcError(METHOD_NOT_FOUND, "Method not found")
        try:
            return self._table[method](params)
        except (ValueError, TypeError, IndexError, binascii.Error) as error:
            raise RpcError(INVALID_PARAMS, f"Invalid params: {error}") from error

    def _slot(self, commitment: str) -> int:
        return self._chain.slot - self._chain.timing.age(commitment)

    def _in_context(self, value: Any, params: list[Any]) -> dict[str, Any]:
        slot = self._slot(_commitment(params, 1))
        if slot < _options(params, 1).get("minContextSlot", 0):
            message = "Minimum context slot has not been reached"
            raise RpcError(MIN_CONTEXT_SLOT_NOT_REACHED, message, {"contextSlot": slot})
        return {"context": {"slot": slot, "apiVersion": "4.1.2"}, "value": value}

    def _latest_blockhash(self, params: list[Any]) -> Any:
        blockhash, last = self._chain.latest_blockhash(_commitment(params, 0))
        value = {"blockhash": str(blockhash), "lastValidBlockHeight": last}
        return self._in_context(value, [None, *params])

    def _is_blockhash_valid(self, params: list[Any]) -> Any:
        blockhash = Hash.from_string(params[0])
        found = self._chain.is_blockhash_valid(blockhash, _commitment(params, 1))
        return self._in_context(found, params)

    def _epoch_info(self, params: list[Any]) -> Any:
        slot = self._in_context(None, [None, *params])["context"]["slot"]
        height = self._chain.height_at(_commitment(params, 0))
        return {"absoluteSlot": slot, "blockHeight": height, "epoch": 0, "slotIndex": slot}

    def _fee_for_message(self, params: list[Any]) -> Any:
        message = from_bytes_versioned(base64.b64decode(params[0], validate=True))
        return self._in_context(fee_lamports(message), params)

    def _balance(self, params: list[Any]) -> Any:
        (account,) = self._accounts([params[0]], params)
        return self._in_context(account.lamports if account else 0, params)

    def _accounts(self, addresses: list[str], params: list[Any]) -> list[Account | None]:
        keys = [Pubkey.from_string(text) for text in addresses]
        return self._chain.accounts(keys, _commitment(params, 1))

    def _account_info(self, params: list[Any]) -> Any:
        (account,) = self._accounts([params[0]], params)
        return self._in_context(_account_json(account, _options(params, 1)), params)

    def _multiple_accounts(self, params: list[Any]) -> Any:
        if len(params[0]) > MULTIPLE_ACCOUNTS_MAX:
            raise RpcError(INVALID_PARAMS, f"Too many inputs provided; max {MULTIPLE_ACCOUNTS_MAX}")
        accounts = self._accounts(params[0], params)
        options = _options(params, 1)
        return self._in_context([_account_json(account, options) for account in accounts], params)

    def _request_airdrop(self, params: list[Any]) -> str:
        self._chain.fund(Pubkey.from_string(params[0]), params[1])
        return str(Signature.new_unique())

    def _send_transaction(self, params: list[Any]) -> str:
        options = _options(params, 1)
        transaction = _decode(params[0], options.get("encoding", "base58"))
        if not options.get("skipPreflight"):
            error = self._chain.preflight(transaction)
            if error is not None:
                message = f"Transaction simulation failed: {error}"
                raise RpcError(PREFLIGHT_FAILED, message, {"err": error_json(error), "logs": []})
        self._chain.send(transaction)
        return str(transaction.signatures[0])

    def _simulate_transaction(self, params: list[Any]) -> Any:
        options = _options(params, 1)
        transaction = _decode(params[0], options.get("encoding", "base58"))
        replaced = bool(options.get("replaceRecentBlockhash"))
        outcome = self._chain.simulate(transaction, replace_blockhash=replaced)
        shown = {
            "err": error_json(outcome.error),
            "logs": list(outcome.logs),
            "unitsConsumed": outcome.units_consumed,
            "loadedAccountsDataSize": self._chain.loaded_data_bytes(transaction),
        }
        return self._in_context(shown, params)

    def _signature_statuses(self, params: list[Any]) -> Any:
        if len(params[0]) > SIGNATURE_STATUSES_MAX:
            why = f"Too many inputs provided; max {SIGNATURE_STATUSES_MAX}"
            raise RpcError(INVALID_PARAMS, why)
        found = [self._chain.find(Signature.from_string(text)) for text in params[0]]
        return self._in_context([self._status(landed) for landed in found], [])

    def _status(self, landed: Landed | None) -> Any:
        if landed is None:
            return None
        age = self._chain.height - landed.height
        level = svm_reads.level_of(self._chain, landed)
        error = error_json(landed.error)
        return {
            "slot": svm_reads.slot_of(self._chain, landed),
            "confirmations": None if level == "finalized" else age,
            "err": error,
            "status": {"Ok": None} if error is None else {"Err": error},
            "confirmationStatus": level,
        }

    def _signatures_for_address(self, params: list[Any]) -> Any:
        options = _options(params, 1)
        if not 1 <= options.get("limit", SIGNATURES_MAX) <= SIGNATURES_MAX:
            raise RpcError(INVALID_PARAMS, f"Invalid limit; max {SIGNATURES_MAX}")
        return svm_reads.list_signatures(self._chain, Pubkey.from_string(params[0]), options)

    def _token_accounts_by_owner(self, params: list[Any]) -> Any:
        owner, options = Pubkey.from_string(params[0]), _options(params, 2)
        found = svm_reads.token_accounts(self._chain, owner, params[1])
        accounts = [
            {"pubkey": str(address), "account": _account_json(account, options)}
            for address, account in found
        ]
        return self._in_context(accounts, params[1:])

    def _transaction(self, params: list[Any]) -> Any:
        landed = self._chain.find(Signature.from_string(params[0]))
        if landed is None:
            return None
        if not svm_reads.is_visible(self._chain, landed, _commitment(params, 1)):
            return None
        found = svm_reads.transaction_json(self._chain, landed)
        highest = _options(params, 1).get("maxSupportedTransactionVersion")
        if found["version"] != "legacy" and (highest is None or found["version"] > highest):
            raise RpcError(UNSUPPORTED_VERSION, "Transaction version is not supported")
        return found


def _options(params: list[Any], index: int) -> dict[str, Any]:
    options = params[index] if len(params) > index else None
    return options if isinstance(options, dict) else {}


def _commitment(params: list[Any], index: int) -> str:
    return str(_options(params, index).get("commitment", "finalized"))


def _decode(text: str, encoding: str) -> VersionedTransaction:
    if encoding != "base64":
        raise RpcError(INVALID_PARAMS, f"unsupported encoding: {encoding}")
    wire = base64.b64decode(text, validate=True)
    limit = TRANSACTION_V1_BYTES_MAX if wire[:1] == bytes([_V1_PREFIX]) else TRANSACTION_BYTES_MAX
    if len(wire) > limit:
        raise RpcError(INVALID_PARAMS, f"transaction too large: {len(wire)} bytes (max: {limit})")
    return VersionedTransaction.from_bytes(wire)


def _account_json(account: Account | None, options: dict[str, Any]) -> Any:
    if account is None or account.lamports == 0:
        return None
    data = account.data
    if isinstance(part := options.get("dataSlice"), dict):
        data = data[part["offset"] : part["offset"] + part["length"]]
    return {
        "lamports": account.lamports,
        "owner": str(account.owner),
        "executable": account.executable,
        "rentEpoch": account.rent_epoch,
        "space": len(account.data),
        "data": [base64.b64encode(data).decode(), "base64"],
    }
