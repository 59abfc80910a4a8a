"""Token accounts and transactions as messages."""

from collections.abc import Sequence

from google.protobuf.timestamp_pb2 import Timestamp

from gateway.domain.amounts import U64_MAX
from gateway.domain.chain import BalanceReading
from gateway.domain.errors import ChainUnavailableError
from gateway.domain.history import HistoryEntry
from gateway.domain.tokens import TokenHolding
from solward.gateway.v1 import balance_service_pb2 as pb


def balances(readings: Sequence[BalanceReading]) -> pb.BatchGetBalancesResponse:
    """Makes the response; raises ChainUnavailableError for a sum that no cluster holds."""
    total_lamports = sum(reading.balance_lamports for reading in readings)
    if total_lamports > U64_MAX:  # no cluster holds so much: the node is lying
        raise ChainUnavailableError("the RPC node's balances sum to more than 2**64-1")
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
