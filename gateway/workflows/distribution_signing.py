"""From planned batches to signed bytes in the database: the part before anything is sent."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Protocol
from uuid import UUID, uuid4

from gateway.domain.addresses import encode_base58
from gateway.domain.attempts import ClaimedBatch, NewAttempt, Pending
from gateway.domain.chain import Account, Blockhash, Chain
from gateway.domain.custody import (
    ItemRefusal,
    SignedTransaction,
    SignerRefusedError,
    SignItem,
    SignOutcome,
)
from gateway.domain.errors import (
    InvalidArgumentError,
    PreconditionFailedError,
    SignerUnavailableError,
)
from gateway.domain.funds import AMOUNT_SLICE, Held, Weighed, accounts_to_read, weigh
from gateway.domain.mint_changes import mint_change
from gateway.domain.plans import Distribution
from gateway.domain.ports import Store, TransactionCompiler
from gateway.domain.token_programs import TOKEN_PROGRAMS
from gateway.domain.wallets import OwnershipProof, SigningWallet
from gateway.workflows.account_reads import read_accounts
from gateway.workflows.distribution_items import addresses_of, batch_item
from gateway.workflows.distribution_tables import closed_table
from gateway.workflows.distribution_tokens import TokenReadings

_RESOURCE_EXHAUSTED: Final = 8
_UNAVAILABLE: Final = 14
_UNAUTHENTICATED: Final = 16
_RETRY_S: Final = 1.0
# An operator's freeze is lifted again, and another session may do what this one may not: nobody is
# struck off for that.
_PASSING_REASONS: Final = {"FROZEN", "SCOPE_DENIED"}
# Rules that one recipient, or the sum of many, can break: half of the batch may be allowed.
_RULES_OF_ONE: Final = ("/destinations", "_per_transaction_max")


class TransactionSigner(Protocol):
    """The part of gateway.domain.custody.Signer that is needed here."""

    async def sign_transactions(
        self, request_id: str, token: bytes, items: Sequence[SignItem]
    ) -> list[SignOutcome]:
        """Signs in order; one final outcome for each item."""
        ...


@dataclass(frozen=True, slots=True)
class Signed:
    """What came of one round of signing.

    `attempts` are committed and may be sent. `wait_s` is how long the signer asked to wait before
    the next round. `stop` says why nothing more can be signed (the session, the money), "" if
    something can.
    """

    attempts: tuple[NewAttempt, ...] = ()
    wait_s: float = 0.0
    stop: str = ""


@dataclass(slots=True)
class _Sorted:
    """The signer's outcomes, by what follows from them."""

    attempts: list[NewAttempt] = field(default_factory=list)
    refused: dict[int, str] = field(default_factory=dict)
    splittable: set[int] = field(default_factory=set)
    wait_s: float = 0.0
    stop: str = ""


@dataclass(frozen=True, slots=True)
class _Work:
    """Claimed batches and what the signer needs to know to judge and sign them."""

    batches: list[ClaimedBatch]
    wallets: dict[str, SigningWallet]
    proofs: dict[str, OwnershipProof]
    pending: Pending


class BatchSigner:
    """Claims batches, has them signed and stores what was signed."""

    def __init__(
        self,
        store: Store,
        chain: Chain,
        signer: TransactionSigner,
        compiler: TransactionCompiler,
    ) -> None:
        self._store = store
        self._chain = chain
        self._signer = signer
        self._compiler = compiler
        self._tokens = TokenReadings(chain, compiler)

    async def sign_more(
        self, plan: Distribution, worker: UUID, token: bytes, *, lease_s: float, limit: int
    ) -> Signed:
        """Signs up to `limit` batches with one blockhash and commits the bytes before returning.

        Bytes whose batch was lost meanwhile (lease, pause) are dropped here and never sent. Raises
        StoreUnavailableError, ChainUnavailableError, SignerUnavailableError; nothing is sent then.
        """
        work = await self._claim(plan, worker, lease_s, limit)
        if not work.batches:
            return Signed()
        recent = await self._chain.get_signing_blockhash()
        closed = await closed_table(self._chain, work.batches[0].lookup_tables, recent.context_slot)
        if closed:
            return Signed(stop=f"the lookup table {closed} is closed or being closed")
        weighed = await self._weigh(plan, work, recent)
        if weighed.refused:
            await self._refuse(plan, worker, weighed.refused)
        if weighed.stop or weighed.waits:
            return Signed(stop=weighed.stop)
        async with self._store.transaction() as unit:
            # All this took its time. The signer's gets a lease of its own, and nothing is signed in
            # vain for a batch that another gateway has taken up meanwhile.
            ours = await unit.distributions.renew(plan.id, worker, lease_s)
        payable = [
            batch
            for batch in work.batches
            if batch.position in ours and batch.position not in weighed.refused
        ]
        work = replace(work, batches=payable)
        return await self._sign(plan, worker, token, work, recent, lease_s)

    async def _sign(
        self,
        plan: Distribution,
        worker: UUID,
        token: bytes,
        work: _Work,
        recent: Blockhash,
        lease_s: float,
    ) -> Signed:
        items: list[SignItem] = []
        for batch in work.batches:
            item = batch_item(
                self._compiler,
                plan,
                batch,
                recent.blockhash,
                work,
                f"{plan.id}/{batch.position}",
            )
            if item is None:
                return Signed(stop="a wallet that has to sign is not stored any more")
            items.append(item)
        if not items:
            return Signed()
        try:
            outcomes = await self._signer.sign_transactions(str(uuid4()), token, items)
        except SignerRefusedError as error:
            if error.code == _RESOURCE_EXHAUSTED:
                return Signed(wait_s=_RETRY_S)
            return Signed(stop=f"the signer refused: {error.message}")
        if len(outcomes) != len(items):
            raise SignerUnavailableError("the signer did not answer for every transaction")
        found = _sort(work.batches, outcomes, recent)
        async with self._store.transaction() as unit:
            if found.refused:
                await unit.distributions.refuse(plan.id, worker, found.refused, found.splittable)
            stored = await unit.distributions.store_attempts(
                plan.id, worker, found.attempts, lease_s
            )
        return Signed(
            tuple(attempt for attempt in found.attempts if attempt.signature in stored),
            found.wait_s,
            found.stop,
        )

    async def _weigh(self, plan: Distribution, work: _Work, recent: Blockhash) -> Weighed:
        """Compares what the round needs with what is held, as new as the blockhash or newer.

        Of a token, the mint too: one more read.
        """
        addresses = accounts_to_read(plan, work.batches)
        accounts = await read_accounts(
            self._chain,
            addresses,
            "confirmed",
            AMOUNT_SLICE,
            min_context_slot=recent.context_slot,
        )
        held = dict(zip(addresses, map(_held, accounts), strict=True))
        changed = await self._mint_change(plan, work.batches, held, recent)
        if changed:
            return Weighed({}, stop=changed)
        return weigh(plan, work.batches, work.pending, held)

    async def _mint_change(
        self,
        plan: Distribution,
        batches: Sequence[ClaimedBatch],
        held: Mapping[str, Held],
        recent: Blockhash,
    ) -> str:
        """Returns why a token does not move as planned any more; "" if it does, and for SOL."""
        if not plan.asset.mint:
            return ""
        try:
            mint = await self._tokens.mint(plan.asset.mint, "confirmed", recent.context_slot)
        except (InvalidArgumentError, PreconditionFailedError) as error:
            return f"{plan.asset.mint}: {error.message}"
        return mint_change(plan, batches, held, mint)

    async def _refuse(self, plan: Distribution, worker: UUID, why: Mapping[int, str]) -> None:
        """Fails what cannot be paid, and halves it first where others are in it, too."""
        async with self._store.transaction() as unit:
            await unit.distributions.refuse(plan.id, worker, why, why.keys())

    async def _claim(self, plan: Distribution, worker: UUID, lease_s: float, limit: int) -> _Work:
        async with self._store.transaction() as unit:
            batches = await unit.distributions.claim(plan.id, worker, lease_s, limit)
            signers, others = addresses_of(plan, batches)
            wallets = await unit.wallets.signing_wallets(sorted(signers))
            proofs = await unit.wallets.ownership_proofs(sorted(others))
            # Before balances are read: what is counted here may be missing there, never neither.
            pending = await unit.distributions.pending(plan.id)
        return _Work(batches, wallets, proofs, pending)


def _held(account: Account | None) -> Held:
    if account is None:
        return Held(0)
    is_token = account.owner in TOKEN_PROGRAMS and len(account.data) == AMOUNT_SLICE[1]
    return Held(account.lamports, int.from_bytes(account.data, "little") if is_token else None)


def _sort(
    batches: Sequence[ClaimedBatch], outcomes: Sequence[SignOutcome], recent: Blockhash
) -> _Sorted:
    found = _Sorted()
    for batch, outcome in zip(batches, outcomes, strict=True):
        if isinstance(outcome, SignedTransaction):
            if not outcome.is_complete:
                found.refused[batch.position] = "the signer left a signature empty"
                continue
            found.attempts.append(
                NewAttempt(
                    batch_position=batch.position,
                    signature=encode_base58(outcome.transaction_signature),
                    wire=outcome.transaction,
                    blockhash=recent.blockhash,
                    last_valid_block_height=recent.last_valid_block_height,
                    blockhash_slot=recent.context_slot,
                )
            )
        elif outcome.code == _UNAUTHENTICATED:
            found.stop = f"the signer refused the session: {outcome.message}"
        elif outcome.reason in _PASSING_REASONS or _never_fits(outcome):
            found.stop = _refusal(outcome)
        elif outcome.retry_delay_ms or outcome.code in {_RESOURCE_EXHAUSTED, _UNAVAILABLE}:
            delay_s = outcome.retry_delay_ms / 1000 or _RETRY_S
            found.wait_s = max(found.wait_s, delay_s)
        else:
            found.refused[batch.position] = _refusal(outcome)
            if any(name in outcome.rule for name in _RULES_OF_ONE):
                found.splittable.add(batch.position)
    return found


def _never_fits(refusal: ItemRefusal) -> bool:
    """True if a cap is under what one transaction needs: there is no time at which it would fit."""
    return refusal.reason == "RATE_LIMITED" and not refusal.retry_delay_ms


def _refusal(refusal: ItemRefusal) -> str:
    rule = f" ({refusal.rule})" if refusal.rule else ""
    return f"{refusal.reason}: {refusal.message}{rule}"
