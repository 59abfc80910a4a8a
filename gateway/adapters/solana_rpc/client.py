"""The cluster through JSON-RPC: gateway.domain.chain.Chain."""

import asyncio
import base64
from collections.abc import Mapping, Sequence
from typing import Final, cast

from gateway.adapters.solana_rpc import wire
from gateway.adapters.solana_rpc.blockhashes import Blockhashes
from gateway.adapters.solana_rpc.calls import RpcPool
from gateway.adapters.solana_rpc.cluster_reads import ClusterReads
from gateway.adapters.solana_rpc.errors import RpcError, RpcNodeError
from gateway.adapters.solana_rpc.finality import Agreement, read_final
from gateway.adapters.solana_rpc.lapses import LAPSED_PER_CALL_MAX, Witness, read_lapsed
from gateway.adapters.solana_rpc.reads import (
    MAX_TRANSACTION_VERSION,
    WalletReads,
    error_text,
    require_slot,
    to_account,
    with_slot,
)
from gateway.adapters.solana_rpc.simulating import read_simulation
from gateway.domain.chain import (
    AccountsReading,
    BalanceReading,
    Blockhash,
    Commitment,
    LandedTransaction,
    LapsedTransaction,
    LapseReading,
    PrioritizationFee,
    SignatureReading,
    SignatureStatus,
    Simulation,
)
from gateway.domain.errors import TransactionRejectedError

ACCOUNTS_PER_CALL_MAX: Final = 100
SIGNATURES_PER_CALL_MAX: Final = 256


class SolanaRpc(ClusterReads, WalletReads):
    """Typed calls over a pool of endpoints. Errors are RpcError, which is ChainUnavailableError."""

    def __init__(self, pool: RpcPool, *, agreement: Agreement | None = None) -> None:
        """`agreement` is how many endpoints must agree on what money depends on; one each."""
        super().__init__(pool)
        self._agreement = agreement or Agreement()
        self._witnesses: list[Witness] = []
        self._blockhashes: Blockhashes | None = None

    async def get_balances(
        self, addresses: Sequence[str], commitment: Commitment = "confirmed"
    ) -> list[BalanceReading]:
        """Reads balances, 100 a call; what the endpoint allows at once runs at once.

        Never raises RpcError: a call that fails marks its hundred, the others keep their values.
        """

        async def read(chunk: Sequence[str]) -> list[BalanceReading]:
            try:
                reading = await self.get_accounts(chunk, commitment, data_slice=(0, 0))
            except RpcError as error:
                return [BalanceReading(address, 0, 0, error.reason) for address in chunk]
            return [
                BalanceReading(address, account.lamports if account else 0, reading.context_slot)
                for address, account in zip(chunk, reading.accounts, strict=True)
            ]

        starts = range(0, len(addresses), ACCOUNTS_PER_CALL_MAX)
        chunks = [addresses[start : start + ACCOUNTS_PER_CALL_MAX] for start in starts]
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(read(chunk)) for chunk in chunks]
        return [balance for task in tasks for balance in task.result()]

    async def get_balance(
        self, address: str, commitment: Commitment = "confirmed"
    ) -> BalanceReading:
        """Reads one balance; a missing account holds 0."""
        answer = await self._pool.read(
            "getBalance",
            [address, {"commitment": commitment}],
            wire.InContext[wire.Unsigned],
        )
        return BalanceReading(address, answer.value, answer.context.slot)

    async def get_accounts(
        self,
        addresses: Sequence[str],
        commitment: Commitment = "confirmed",
        data_slice: tuple[int, int] | None = None,
        min_context_slot: int = 0,
    ) -> AccountsReading:
        """Reads up to 100 accounts at one slot; `data_slice` is (offset, length)."""
        _require_at_most(addresses, ACCOUNTS_PER_CALL_MAX)
        options: dict[str, object] = {"commitment": commitment, "encoding": "base64"}
        if data_slice is not None:
            options["dataSlice"] = {"offset": data_slice[0], "length": data_slice[1]}

        def check(found: wire.InContext[list[wire.AccountWire | None]]) -> None:
            require_slot(found.context, min_context_slot)
            _require_length(found.value, addresses)

        answer = await self._pool.read(
            "getMultipleAccounts",
            [addresses, with_slot(options, min_context_slot)],
            wire.InContext[list[wire.AccountWire | None]],
            check,
        )
        accounts = [to_account(found) if found else None for found in answer.value]
        return AccountsReading(answer.context.slot, accounts)

    async def get_signing_blockhash(self) -> Blockhash:
        """Returns a blockhash that as many endpoints vouch for as must prove an expiry.

        Its end is the latest that follows from what they tell; see the module blockhashes. Raises
        ChainUnavailableError while too few of them do, or if they contradict each other.
        """
        if self._blockhashes is None:
            wanted = self._agreement.expiry_providers_min
            self._blockhashes = Blockhashes(self, self._providers(), wanted)
        return await self._blockhashes.next()

    async def get_signature_statuses(
        self, signatures: Sequence[str], *, search_history: bool
    ) -> SignatureReading:
        """Returns the statuses of up to 256 transactions, None where the node knows of none.

        A status without a level counts as processed, the least it can be.
        """
        _require_at_most(signatures, SIGNATURES_PER_CALL_MAX)
        answer = await self._pool.read(
            "getSignatureStatuses",
            [signatures, {"searchTransactionHistory": search_history}],
            wire.InContext[list[wire.StatusWire | None]],
            lambda found: _require_length(found.value, signatures),
        )
        statuses = [
            SignatureStatus(
                found.slot, found.confirmation_status or "processed", error_text(found.err)
            )
            if found
            else None
            for found in answer.value
        ]
        return SignatureReading(answer.context.slot, statuses)

    async def get_lapsed_statuses(self, items: Sequence[LapsedTransaction]) -> list[LapseReading]:
        """Asks every endpoint by itself about up to 128 transactions; see the module lapses."""
        _require_at_most(items, LAPSED_PER_CALL_MAX)
        self._witnesses = self._witnesses or [
            Witness(provider, self._agreement) for provider in self._providers()
        ]
        return await read_lapsed(self._witnesses, items, self._agreement)

    async def confirm_final(
        self, found: Mapping[str, SignatureStatus]
    ) -> Mapping[str, LapseReading]:
        """Asks about up to 256 finalized statuses what it takes to believe them; see finality.

        A success that one endpoint suffices for costs no call.
        """
        _require_at_most(list(found), SIGNATURES_PER_CALL_MAX)
        believed = {
            signature: LapseReading(status, is_absent=False)
            for signature, status in found.items()
            if not status.error and self._agreement.wanted(status) == 1
        }
        open_ones = [signature for signature in found if signature not in believed]
        if open_ones:
            readings = await read_final(self._providers(), open_ones, self._agreement)
            believed |= zip(open_ones, readings, strict=True)
        return believed

    async def send_transaction(self, wire_bytes: bytes, *, skip_preflight: bool) -> str:
        """Sends signed bytes, to each endpoint once until one accepts; returns the signature.

        The nodes' own retries are off. Raises TransactionRejectedError if all that were asked
        refused it, RpcError otherwise. Either way, and if answers are lost, it may land.
        """
        options = {
            "encoding": "base64",
            "skipPreflight": skip_preflight,
            "preflightCommitment": "confirmed",
            "maxRetries": 0,
        }
        encoded = base64.b64encode(wire_bytes).decode()
        expected = wire.first_signature(wire_bytes)

        def require_ours(answer: str) -> None:
            if answer != expected:
                raise ValueError("answered with the signature of something else")

        try:
            return await self._pool.write("sendTransaction", [encoded, options], str, require_ours)
        except RpcNodeError as error:
            if error.is_passing:
                raise
            raise TransactionRejectedError(error.message) from error

    async def get_fee_for_message(self, message: bytes) -> int | None:
        """Returns what a message costs in lamports, None if its blockhash is too old."""
        answer = await self._pool.read(
            "getFeeForMessage",
            [base64.b64encode(message).decode(), {"commitment": "confirmed"}],
            wire.InContext[wire.Unsigned | None],
        )
        return answer.value

    async def get_recent_prioritization_fees(
        self, addresses: Sequence[str]
    ) -> list[PrioritizationFee]:
        """Returns the lowest prices that landed lately while writing to up to 128 accounts."""
        _require_at_most(addresses, 128)
        answer = await self._pool.read(
            "getRecentPrioritizationFees", [addresses], list[wire.FeeWire]
        )
        return [PrioritizationFee(found.slot, found.prioritization_fee) for found in answer]

    async def simulate_transaction(
        self, wire_bytes: bytes, min_context_slot: int = 0
    ) -> Simulation:
        """Runs a transaction without signature check; see the module simulating."""
        return await read_simulation(self._pool, wire_bytes, min_context_slot)

    async def get_transaction(self, signature: str) -> LandedTransaction | None:
        """Returns a finalized transaction (legacy, v0 or v1), None if the node has none."""
        options = {
            "encoding": "base64",
            "commitment": "finalized",
            "maxSupportedTransactionVersion": MAX_TRANSACTION_VERSION,
        }
        found = await self._pool.read("getTransaction", [signature, options], _OptionalTransaction)
        if found is None:
            return None
        meta = found.meta
        return LandedTransaction(
            found.slot, error_text(meta.err), meta.fee, meta.pre_balances, meta.post_balances
        )

    def _providers(self) -> list["SolanaRpc"]:
        """Returns each endpoint by itself."""
        return [SolanaRpc(pool) for pool in self._pool.providers()]


# mypy has no way yet to say that a union is a type to decode.
_OptionalTransaction = cast("type[wire.TransactionWire | None]", wire.TransactionWire | None)


def _require_length(found: Sequence[object], asked: Sequence[object]) -> None:
    if len(found) != len(asked):
        raise ValueError(f"{len(found)} values for {len(asked)} asked")


def _require_at_most(items: Sequence[object], limit: int) -> None:
    if len(items) > limit:
        raise ValueError(f"at most {limit} a call")
