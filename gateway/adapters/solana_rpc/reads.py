"""Reads of single wallets: token accounts and history."""

from collections.abc import Collection, Mapping, Sequence
from itertools import pairwise
from typing import Final, cast

from gateway.adapters.solana_rpc import wire, wire_reads
from gateway.adapters.solana_rpc.calls import RpcPool
from gateway.adapters.solana_rpc.circuit import EndpointSnapshot
from gateway.adapters.solana_rpc.errors import shorten
from gateway.domain.addresses import decode_base58
from gateway.domain.chain import Account, Commitment, TokenAccountsReading
from gateway.domain.history import (
    SignatureRecord,
    TokenReading,
    TransactionDetails,
    read_wire,
)
from gateway.domain.token_programs import TOKEN_PROGRAMS

SIGNATURES_PER_PAGE_MAX: Final = 1_000
MAX_TRANSACTION_VERSION: Final = 1
# mypy has no way yet to say that a union is a type to decode.
_OptionalDetails = cast(
    "type[wire_reads.DetailedTransactionWire | None]", wire_reads.DetailedTransactionWire | None
)


class WalletReads:
    """The calls, over a pool. Errors are RpcError."""

    def __init__(self, pool: RpcPool) -> None:
        self._pool = pool

    async def close(self) -> None:
        """Closes the pool."""
        await self._pool.close()

    def snapshot(self) -> Sequence[EndpointSnapshot]:
        """Returns how each endpoint has done."""
        return self._pool.snapshot()

    def describe(self) -> Mapping[str, str]:
        """Returns what an operator may see of the endpoints."""
        return self._pool.describe()

    async def get_token_accounts(
        self,
        owner: str,
        token_program: str,
        commitment: Commitment = "confirmed",
        min_context_slot: int = 0,
    ) -> TokenAccountsReading:
        """Reads all accounts of one token program that say they are the owner's, undecoded."""
        where = {"programId": token_program}
        return await self._owned(owner, where, {token_program}, commitment, min_context_slot)

    async def get_token_accounts_of_mint(
        self,
        owner: str,
        mint: str,
        commitment: Commitment = "confirmed",
        min_context_slot: int = 0,
    ) -> TokenAccountsReading:
        """Reads all of an owner's accounts of one mint, whichever its program, undecoded."""
        where, programs = {"mint": mint}, TOKEN_PROGRAMS
        return await self._owned(owner, where, programs, commitment, min_context_slot, mint)

    async def _owned(
        self,
        owner: str,
        where: Mapping[str, str],
        programs: Collection[str],
        commitment: Commitment,
        min_context_slot: int,
        mint: str = "",
    ) -> TokenAccountsReading:
        begins = decode_base58(mint) if mint else b""

        def check(found: wire.InContext[list[wire_reads.KeyedAccountWire]]) -> None:
            require_slot(found.context, min_context_slot)
            if not all(item.account.data[0].startswith(begins) for item in found.value):
                raise ValueError("an account of another mint is listed")
            if len({item.pubkey for item in found.value}) != len(found.value):
                raise ValueError("an account is listed twice")
            if any(item.account.owner not in programs for item in found.value):
                raise ValueError("an account of another program is listed")

        options = {"encoding": "base64", "commitment": commitment}
        answer = await self._pool.read(
            "getTokenAccountsByOwner",
            [owner, where, with_slot(options, min_context_slot)],
            wire.InContext[list[wire_reads.KeyedAccountWire]],
            check,
        )
        return TokenAccountsReading(
            answer.context.slot, {item.pubkey: to_account(item.account) for item in answer.value}
        )

    async def get_signatures(
        self, address: str, limit: int, *, before: str = "", until: str = ""
    ) -> list[SignatureRecord]:
        """Reads up to 1,000 of an address's finalized transactions, newest first."""
        if not 1 <= limit <= SIGNATURES_PER_PAGE_MAX:
            raise ValueError(f"limit must be 1 to {SIGNATURES_PER_PAGE_MAX}")
        options: dict[str, object] = {"limit": limit, "commitment": "finalized"}
        options |= {"before": before} if before else {}
        options |= {"until": until} if until else {}

        def check(found: Sequence[wire_reads.SignatureWire]) -> None:
            names = {item.signature for item in found}
            if len(found) > limit or len(names) != len(found) or names & {before, until}:
                raise ValueError("signatures that were not asked for, or one twice")
            if any(older.slot > newer.slot for newer, older in pairwise(found)):
                raise ValueError("signatures that are not newest first")

        answer = await self._pool.read(
            "getSignaturesForAddress", [address, options], list[wire_reads.SignatureWire], check
        )
        return [
            SignatureRecord(item.signature, item.slot, error_text(item.err), item.block_time)
            for item in answer
        ]

    async def get_transaction_details(self, signature: str) -> TransactionDetails | None:
        """Reads a finalized transaction (legacy, v0 or v1) whole; None if the node has none."""
        options = {
            "encoding": "base64",
            "commitment": "finalized",
            "maxSupportedTransactionVersion": MAX_TRANSACTION_VERSION,
        }
        found = await self._pool.read(
            "getTransaction",
            [signature, options],
            _OptionalDetails,
            lambda answer: answer and to_details(answer, signature),
        )
        return None if found is None else to_details(found, signature)


def to_details(found: wire_reads.DetailedTransactionWire, signature: str) -> TransactionDetails:
    """Puts a transaction together; raises ValueError if its parts contradict each other."""
    own = read_wire(found.transaction[0])
    if own.signature != signature:
        raise ValueError("answered with another transaction")
    if found.version is not None and str(found.version) != own.version:
        raise ValueError("the version is not that of the bytes")
    meta = found.meta
    loaded = meta.loaded_addresses
    keys = [*own.keys, *loaded.writable, *loaded.readonly] if loaded else own.keys
    if len(keys) != len(meta.pre_balances):
        raise ValueError(f"{len(meta.pre_balances)} balances of {len(keys)} accounts")
    return TransactionDetails(
        slot=found.slot,
        block_time_s=found.block_time,
        version=own.version,
        keys=keys,
        error=error_text(meta.err),
        fee_lamports=meta.fee,
        pre_balances=meta.pre_balances,
        post_balances=meta.post_balances,
        pre_tokens=_to_tokens(meta.pre_token_balances, len(keys)),
        post_tokens=_to_tokens(meta.post_token_balances, len(keys)),
    )


def _to_tokens(
    found: Sequence[wire_reads.TokenBalanceWire] | None, key_count: int
) -> list[TokenReading]:
    readings = [
        TokenReading(
            item.account_index,
            item.mint,
            item.owner or "",
            int(item.ui_token_amount.amount),
            item.ui_token_amount.decimals,
        )
        for item in found or []
    ]
    places = {reading.account_index for reading in readings}
    if len(places) != len(readings) or any(place >= key_count for place in places):
        raise ValueError("token balances of no account, or twice of one")
    return readings


def to_account(found: wire.AccountWire) -> Account:
    """Makes an Account of what a node sent."""
    return Account(found.lamports, found.owner, found.executable, found.data[0])


def with_slot(options: dict[str, object] | dict[str, str], slot: int) -> dict[str, object]:
    """Adds minContextSlot, if there is one, to a call's options."""
    return {**options, "minContextSlot": slot} if slot else {**options}


def require_slot(context: wire.ContextWire, slot: int) -> None:
    """Raises ValueError if an answer is older than what was asked for: not all nodes obey."""
    if context.slot < slot:
        raise ValueError(f"slot {context.slot}, asked for {slot} or later")


def error_text(error: object) -> str:
    """Makes text of a transaction error: "" for null, otherwise its JSON, shortened."""
    return shorten(wire.describe_error(error))
