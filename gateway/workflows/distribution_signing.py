"""From planned batches to signed bytes in the database: the part before anything is sent."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol
from uuid import UUID, uuid4

from gateway.domain.addresses import encode_base58
from gateway.domain.attempts import NOTHING, ClaimedBatch, NewAttempt, PassedOver, Pending
from gateway.domain.chain import Account, Blockhash, Chain
from gateway.domain.custody import (
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
from gateway.workflows.distribution_refusals import Refusals
from gateway.workflows.distribution_tables import closed_table
from gateway.workflows.distribution_tokens import TokenReadings
from gateway.workflows.distribution_waits import ToldToWait


class TransactionSigner(Protocol):
    """The part of gateway.domain.custody.Signer that is needed here."""

    async def sign_transactions(
        self, request_id: str, token: bytes, items: Sequence[SignItem]
    ) -> list[SignOutcome]:
        """Signs in order; one final outcome for each item."""
        ...


@dataclass(frozen=True, slots=True)
class Turn:
    """One round of one worker: its session, how long its leases last, how much it takes up."""

    worker: UUID
    token: bytes = field(repr=False)
    lease_s: float
    batches_max: int
    passed_over: PassedOver = NOTHING


@dataclass(frozen=True, slots=True)
class Signed:
    """What came of one round of signing.

    `attempts` are committed and may be sent. `refusals` say what follows for the rest; its `stop`
    is also for what is no refusal (the money, a lookup table). `told` are those of `waits_s`.
    `is_idle` says that there was nothing to claim.
    """

    attempts: tuple[NewAttempt, ...] = ()
    refusals: Refusals = field(default_factory=Refusals)
    told: tuple[ToldToWait, ...] = ()
    signed_payers: frozenset[str] = frozenset()
    is_idle: bool = False


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

    async def sign_more(self, plan: Distribution, turn: Turn) -> Signed:
        """Signs some batches with one blockhash and commits the bytes before returning.

        Bytes whose batch was lost meanwhile (lease, pause) are dropped here and never sent. Raises
        StoreUnavailableError, ChainUnavailableError, SignerUnavailableError; nothing is sent then.
        """
        work = await self._claim(plan, turn)
        if not work.batches:
            return Signed(is_idle=True)
        recent = await self._chain.get_signing_blockhash()
        closed = await closed_table(self._chain, work.batches[0].lookup_tables, recent.context_slot)
        if closed:
            return _stopped(f"the lookup table {closed} is closed or being closed")
        weighed = await self._weigh(plan, work, recent)
        if weighed.refused:
            await self._refuse(plan, turn.worker, weighed.refused)
        if weighed.stop or weighed.waits:
            return _stopped(weighed.stop)
        async with self._store.transaction() as unit:
            # All this took its time. The signer's gets a lease of its own, and nothing is signed in
            # vain for a batch that another gateway has taken up meanwhile.
            ours = await unit.distributions.renew(plan.id, turn.worker, turn.lease_s)
        payable = [
            batch
            for batch in work.batches
            if batch.position in ours and batch.position not in weighed.refused
        ]
        return await self._sign(plan, turn, replace(work, batches=payable), recent)

    async def _sign(self, plan: Distribution, turn: Turn, work: _Work, recent: Blockhash) -> Signed:
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
                return _stopped("a wallet that has to sign is not stored any more")
            items.append(item)
        if not items:
            return Signed()
        try:
            outcomes = await self._signer.sign_transactions(str(uuid4()), turn.token, items)
        except SignerRefusedError as error:
            refused = Refusals()
            refused.add_call(error)
            return Signed(refusals=refused)
        if len(outcomes) != len(items):
            raise SignerUnavailableError("the signer did not answer for every transaction")
        attempts, refusals = _sort(work.batches, outcomes, recent)
        async with self._store.transaction() as unit:
            if refusals.failed:
                await unit.distributions.refuse(
                    plan.id, turn.worker, refusals.failed, refusals.splittable
                )
            stored = await unit.distributions.store_attempts(
                plan.id, turn.worker, attempts, turn.lease_s
            )
        signed = {attempt.batch_position for attempt in attempts}
        return Signed(
            tuple(attempt for attempt in attempts if attempt.signature in stored),
            refusals,
            tuple(_told(work.batches, items, refusals)),
            frozenset(item.fee_payer_address for item in work.batches if item.position in signed),
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

    async def _claim(self, plan: Distribution, turn: Turn) -> _Work:
        async with self._store.transaction() as unit:
            batches = await unit.distributions.claim(
                plan.id, turn.worker, turn.lease_s, turn.batches_max, turn.passed_over
            )
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


def _stopped(why: str) -> Signed:
    return Signed(refusals=Refusals(stop=why))


def _sort(
    batches: Sequence[ClaimedBatch], outcomes: Sequence[SignOutcome], recent: Blockhash
) -> tuple[list[NewAttempt], Refusals]:
    attempts: list[NewAttempt] = []
    refusals = Refusals()
    for batch, outcome in zip(batches, outcomes, strict=True):
        if not isinstance(outcome, SignedTransaction):
            refusals.add(batch.position, outcome)
        elif not outcome.is_complete:
            refusals.stop = "the signer left a signature empty"
        else:
            attempts.append(
                NewAttempt(
                    batch_position=batch.position,
                    signature=encode_base58(outcome.transaction_signature),
                    wire=outcome.transaction,
                    blockhash=recent.blockhash,
                    last_valid_block_height=recent.last_valid_block_height,
                    blockhash_slot=recent.context_slot,
                )
            )
    return attempts, refusals


def _told(
    batches: Sequence[ClaimedBatch], items: Sequence[SignItem], refusals: Refusals
) -> Iterator[ToldToWait]:
    for batch, item in zip(batches, items, strict=True):
        if batch.position in refusals.waits_s:
            yield ToldToWait(
                batch.position,
                batch.fee_payer_address,
                len(item.wallets) - 1,
                refusals.waits_s[batch.position],
            )
