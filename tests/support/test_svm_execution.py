"""The scripted chain holds a v1 transaction to its configuration, as a cluster would."""

import base64
from typing import Any

import pytest
from solders.keypair import Keypair
from solders.message import MessageV1, TransactionConfig
from solders.pubkey import Pubkey
from solders.system_program import TransferParams, transfer
from solders.transaction import VersionedTransaction

from tests.support.svm_chain import SvmChain
from tests.support.svm_methods import Methods

HELD = 10**9
SENT = 10**7
UNITS_OF_TRANSFER = 150
FINALIZED = {"encoding": "base64", "maxSupportedTransactionVersion": 1, "commitment": "processed"}


@pytest.fixture
def chain() -> SvmChain:
    """A chain whose first account has a SOL."""
    found = SvmChain()
    found.fund(payer().pubkey(), HELD)
    return found


def payer() -> Keypair:
    """Who pays."""
    return Keypair.from_seed(b"p" * 32)


def paying(chain: SvmChain, **config: int) -> VersionedTransaction:
    """A v1 transaction of two transfers; what `config` does not say is ample, and free."""
    ample = {"compute_unit_limit": 1_000, "loaded_accounts_data_size_limit": 10_000}
    steps = [
        transfer(
            TransferParams(
                from_pubkey=payer().pubkey(), to_pubkey=Pubkey.from_bytes(to * 32), lamports=SENT
            )
        )
        for to in (b"a", b"b")
    ]
    blockhash, _ = chain.latest_blockhash("processed")
    message = MessageV1.try_compile(
        payer().pubkey(), steps, blockhash, TransactionConfig(**(ample | config))
    )
    return VersionedTransaction(message, [payer()])


def landed(chain: SvmChain, transaction: VersionedTransaction) -> Any:
    """Lands a transaction; returns what a node shows of it, None if it is in no block."""
    before = chain.balance(payer().pubkey())
    methods = Methods(chain)
    signature = str(transaction.signatures[0])
    wire = base64.b64encode(bytes(transaction)).decode()
    options = {"encoding": "base64", "replaceRecentBlockhash": True}
    simulated = methods.call("simulateTransaction", [wire, options])["value"]
    chain.send(transaction)
    shown = methods.call("getTransaction", [signature, FINALIZED])
    if shown is not None:
        meta = shown["meta"]
        assert simulated["err"] == meta["err"]
        assert simulated["unitsConsumed"] == meta["computeUnitsConsumed"]
        after = chain.balance(payer().pubkey())
        assert (meta["preBalances"][0], meta["postBalances"][0]) == (before, after)
    return shown and shown["meta"]


def test_a_priority_fee_is_charged_and_shown(chain: SvmChain) -> None:
    """So many lamports in total, on top of the signature's 5,000; in the record, too."""
    meta = landed(chain, paying(chain, priority_fee=777))
    assert (meta["err"], meta["fee"]) == (None, 5_777)
    assert chain.balance(payer().pubkey()) == HELD - 2 * SENT - 5_777


@pytest.mark.parametrize(
    ("config", "error"),
    [
        (
            {"compute_unit_limit": 2 * UNITS_OF_TRANSFER - 1},
            {"InstructionError": [1, "ComputationalBudgetExceeded"]},
        ),
        (
            {"compute_unit_limit": 10},
            {"InstructionError": [0, "ComputationalBudgetExceeded"]},
        ),
        ({"loaded_accounts_data_size_limit": 1}, "MaxLoadedAccountsDataSizeExceeded"),
    ],
)
def test_what_is_over_a_limit_fails_for_its_fee(
    chain: SvmChain, config: dict[str, int], error: object
) -> None:
    """It is in a block, moves nothing, and costs as if it had worked."""
    meta = landed(chain, paying(chain, priority_fee=777, **config))
    assert (meta["err"], meta["fee"]) == (error, 5_777)
    assert chain.balance(payer().pubkey()) == HELD - 5_777


def test_what_is_at_a_limit_works(chain: SvmChain) -> None:
    """The limits are inclusive: units of two transfers, data of four accounts of which one has."""
    loaded = 4 * 64 + len("system_program")
    exact = paying(
        chain, compute_unit_limit=2 * UNITS_OF_TRANSFER, loaded_accounts_data_size_limit=loaded
    )
    assert landed(chain, exact)["err"] is None
    less = paying(chain, loaded_accounts_data_size_limit=loaded - 1)
    assert chain.simulate(less, replace_blockhash=True).error is not None


def test_unset_means_zero(chain: SvmChain) -> None:
    """A v1 transaction that says nothing of units or of data does nothing."""
    assert landed(chain, paying(chain, compute_unit_limit=0))["err"] is not None
    assert landed(chain, paying(chain, loaded_accounts_data_size_limit=0))["err"] is not None


@pytest.mark.parametrize("priority", [HELD, HELD - 4_999])
def test_who_cannot_pay_the_fee_pays_nothing(chain: SvmChain, priority: int) -> None:
    """Such a transaction is never in a block, however it fails otherwise."""
    for limit in ("compute_unit_limit", "loaded_accounts_data_size_limit"):
        assert landed(chain, paying(chain, priority_fee=priority, **{limit: 1})) is None
    assert chain.balance(payer().pubkey()) == HELD


def test_a_simulation_leaves_nothing(chain: SvmChain) -> None:
    """Neither the fee nor the payment stays."""
    chain.simulate(paying(chain, priority_fee=777), replace_blockhash=True)
    assert chain.balance(payer().pubkey()) == HELD
