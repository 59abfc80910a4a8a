"""10,000 recipients in 40 tables: every packed v0 transaction runs on the SVM."""

from uuid import UUID

from solders.account import Account
from solders.keypair import Keypair
from solders.litesvm import LiteSVM
from solders.pubkey import Pubkey
from solders.rent import Rent
from solders.transaction import VersionedTransaction
from solders.transaction_metadata import TransactionMetadata

from gateway.adapters.solana_tx import SoldersTransactions
from gateway.domain.addresses import encode_base58
from gateway.domain.lookup_tables import LOOKUP_TABLE_PROGRAM, LookupTable, LookupTables
from gateway.domain.packing import LIMITS, TransactionVersion
from gateway.domain.planner import PlanInput, plan_distribution
from gateway.domain.plans import FeeRates
from gateway.domain.ports import ComputeBudget
from gateway.domain.splits import EvenSplit
from gateway.domain.steps import batch_instructions, compute_unit_limit

COUNT, SHARE = 10_000, 700_000


def test_ten_thousand_recipients_are_paid_by_tables() -> None:
    """187 transactions, each within 1,232 bytes and its compute limit; everybody holds his share,
    and the payer paid the total and the fees that the plan says.
    """
    svm = LiteSVM()
    svm.set_rent(Rent.with_lamports_per_byte(5080))
    payer = Keypair.from_seed(bytes(32))
    svm.airdrop(payer.pubkey(), 10**12)
    before = svm.get_balance(payer.pubkey()) or 0
    keys = [bytes([7]) + number.to_bytes(31, "big") for number in range(COUNT)]
    tables = []
    for start in range(0, COUNT, 256):
        content = b"".join(keys[start : start + 256])
        address = Pubkey.new_unique()
        data = (bytes([1, 0, 0, 0]) + b"\xff" * 8).ljust(56, b"\0") + content
        program = Pubkey.from_string(LOOKUP_TABLE_PROGRAM)
        svm.set_account(address, Account(10**9, data, program, False, 0))
        tables.append(LookupTable(str(address), content))
    recipients = [encode_base58(key) for key in keys]
    plan = plan_distribution(
        PlanInput(
            source_wallet_id=UUID(int=1),
            source_address=str(payer.pubkey()),
            recipient_addresses=recipients[::3] + recipients[1::3] + recipients[2::3],
            recipient_balances=[0] * COUNT,
            total_lamports=COUNT * SHARE,
            split=EvenSplit(),
            rates=FeeRates(5_000, 650_240, 7_777),
            version=TransactionVersion.V0,
            lookup_tables=LookupTables(tables),
        )
    )
    assert 187 == len(plan.batches)
    for batch in plan.batches:
        end = batch.first_transfer + batch.transfer_count
        moves = [item.move for item in plan.transfers[batch.first_transfer : end]]
        units = compute_unit_limit(plan.opening_units, moves)
        wire = SoldersTransactions().compile(
            plan.version,
            batch.fee_payer_address,
            batch_instructions(plan.version, units, plan.compute_unit_price, (), moves),
            str(svm.latest_blockhash()),
            ComputeBudget(units, 0),
            plan.lookup_tables,
        )
        assert len(wire) <= LIMITS[plan.version].bytes_max
        message = VersionedTransaction.from_bytes(wire).message
        result = svm.send_transaction(VersionedTransaction(message, [payer]))
        assert isinstance(result, TransactionMetadata), result
    held = {svm.get_balance(Pubkey.from_bytes(key)) for key in keys}
    assert {SHARE} == held
    fees = plan.estimate.base_fee_lamports + plan.estimate.priority_fee_lamports
    assert before - COUNT * SHARE - fees == svm.get_balance(payer.pubkey())
