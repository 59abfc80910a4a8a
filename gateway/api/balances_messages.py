"""Balances, token accounts and transactions as messages."""

from collections.abc import Iterator, Sequence
from typing import Final

from google.protobuf.timestamp_pb2 import Timestamp

from gateway.domain.amounts import U64_MAX
from gateway.domain.chain import BalanceReading
from gateway.domain.errors import ChainUnavailableError
from gateway.domain.history import HistoryEntry
from gateway.domain.tokens import TokenHolding, WalletTokens
from gateway.domain.totals import TokenSum, Totals
from solward.gateway.v1 import balance_service_pb2 as pb

# About 300 kB; a client takes 4 MiB unless it says otherwise.
_ACCOUNTS_PER_MESSAGE: Final = 1_000


def _believable(lamports: int) -> int:
    if lamports > U64_MAX:  # no cluster holds so much: the node is lying
        raise ChainUnavailableError("the RPC node's balances sum to more than 2**64-1")
    return lamports


def balances(readings: Sequence[BalanceReading]) -> pb.BatchGetBalancesResponse:
    """Makes the response; raises ChainUnavailableError for a sum that no cluster holds."""
    total_lamports = _believable(sum(reading.balance_lamports for reading in readings))
    return pb.BatchGetBalancesResponse(
        balances=[
            pb.WalletBalance(
                address=reading.address,
                balance_lamports=reading.balance_lamports,
                context_slot=reading.context_slot,
                error_reason=reading.error_reason,
            )
            for reading in readings
        ],
        total_lamports=total_lamports,
        error_count=sum(1 for reading in readings if reading.error_reason),
    )


def token_balance(holding: TokenHolding) -> pb.TokenBalance:
    """Makes a TokenBalance of what is known."""
    message = pb.TokenBalance(
        token_account=holding.address,
        token_program=holding.program,
        account_lamports=holding.lamports,
        is_associated=holding.is_associated,
        error_reason=holding.error_reason,
    )
    if holding.account is not None:
        account = holding.account
        message.mint = account.mint
        message.amount = account.amount
        message.frozen = account.frozen
        message.delegate = account.delegate
        message.delegated_amount = account.delegated_amount
        message.close_authority = account.close_authority
        message.withheld_amount = account.withheld_amount
        message.native = account.native
    if holding.mint is not None:
        message.decimals = holding.mint.decimals
        message.symbol = holding.mint.symbol
    return message


def token_balances(
    wallets: Sequence[WalletTokens], wallet_count: int
) -> Iterator[pb.StreamTokenBalancesResponse]:
    """Makes responses of at most 1,000 accounts; a wallet that has more goes on in the next."""
    response = pb.StreamTokenBalancesResponse(wallet_count=wallet_count)
    room = _ACCOUNTS_PER_MESSAGE
    for part in (part for wallet in wallets for part in _parts(wallet)):
        if len(part.token_balances) > room:
            yield response
            response = pb.StreamTokenBalancesResponse(wallet_count=wallet_count)
            room = _ACCOUNTS_PER_MESSAGE
        response.wallets.append(part)
        room -= len(part.token_balances)
    yield response


def _parts(wallet: WalletTokens) -> Iterator[pb.WalletTokenBalances]:
    """Makes a wallet's message, or several if its accounts would not go into one response."""
    count = len(wallet.holdings)
    for start in range(0, max(count, 1), _ACCOUNTS_PER_MESSAGE):
        end = start + _ACCOUNTS_PER_MESSAGE
        yield pb.WalletTokenBalances(
            address=wallet.address,
            token_balances=[token_balance(item) for item in wallet.holdings[start:end]],
            context_slot=wallet.context_slot,
            error_reason=wallet.error_reason,
            has_more=end < count,
        )


def totals(found: Totals) -> pb.GetTotalBalancesResponse:
    """Makes the response; raises ChainUnavailableError for sums that no cluster holds."""
    low, high = found.context_slots
    return pb.GetTotalBalancesResponse(
        wallet_count=found.wallet_count,
        total_lamports=_believable(found.lamports),
        token_account_lamports=_believable(found.token_account_lamports),
        tokens=[_token_total(total) for total in found.tokens],
        error_count=found.error_count,
        errors=[
            pb.BalanceError(
                address=item.address,
                token_account=item.token_account,
                error_reason=item.error_reason,
            )
            for item in found.errors
        ],
        context_slot_min=low,
        context_slot_max=high,
    )


def _token_total(total: TokenSum) -> pb.TokenTotal:
    return pb.TokenTotal(
        mint=total.address,
        token_program=total.program,
        decimals=total.mint.decimals if total.mint else 0,
        symbol=total.mint.symbol if total.mint else "",
        amount=str(total.amount),
        frozen_amount=str(total.frozen_amount),
        account_count=total.account_count,
        error_reason=total.error_reason,
    )


def transaction(entry: HistoryEntry) -> pb.TransactionRecord:
    """Makes a TransactionRecord of what is known."""
    record = entry.record
    time_s = record.block_time_s
    return pb.TransactionRecord(
        signature=record.signature,
        slot=record.slot,
        block_time=None if time_s is None else Timestamp(seconds=time_s),
        change_lamports=entry.change_lamports,
        fee_lamports=entry.fee_lamports,
        failed=bool(record.error),
        version=entry.version,
        paid_fee=entry.paid_fee,
        error=record.error,
        token_changes=[
            pb.TokenChange(
                token_account=move.token_account,
                mint=move.mint,
                before_amount=move.before_amount,
                after_amount=move.after_amount,
                decimals=move.decimals,
            )
            for move in entry.token_moves
        ],
        error_reason=entry.error_reason,
    )
