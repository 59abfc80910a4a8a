"""Lookup tables on the command line: the policy's line for one, and orders that name them."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest
from solders.pubkey import Pubkey

from gateway.adapters.solana_tx import SoldersTransactions
from gateway.domain.instructions import transfer_lamports
from gateway.domain.lookup_tables import LookupTable, LookupTables
from gateway.domain.packing import TransactionVersion
from gateway.domain.ports import ComputeBudget
from solward.gateway.v1 import distribution_service_pb2 as pb
from solward_client.calls import Caller
from solward_client.cli import main
from solward_client.lookup_tables import LookupTableError, from_list
from tests.client.fake_gateway import FakeGateway, wallet
from tests.distribution.tables import content_of, write_table
from tests.support.svm_rpc import SvmRpc

HELD = [str(Pubkey(bytes([number]) * 32)) for number in range(1, 200)]
TABLE = str(Pubkey(bytes([250]) * 32))
DIGEST = hashlib.sha256(content_of(HELD)).hexdigest()
ANSWERS: dict[type, Any] = {
    pb.EstimateCostRequest: pb.EstimateCostResponse(),
    pb.CreateDistributionRequest: pb.CreateDistributionResponse(),
    pb.CreateConsolidationRequest: pb.CreateConsolidationResponse(),
    pb.CloseEmptyAccountsRequest: pb.CloseEmptyAccountsResponse(),
}
LINE = f'"{TABLE}" = "{DIGEST}"\n'


@pytest.fixture
def listed(tmp_path: Path) -> Path:
    """What the table holds, one address a line."""
    path = tmp_path / "addresses"
    path.write_text("\n".join(HELD) + "\n")
    return path


def test_a_pin_is_read_from_the_chain(
    svm_rpc: SvmRpc, listed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The line is what the policy file takes, and what signer and gateway reckon; a list of what
    should be in the table is compared with what is.
    """
    write_table(svm_rpc.chain, HELD, at=TABLE)
    pin = ["policy", "pin", TABLE, "--rpc-url", svm_rpc.url]
    assert 0 == main(pin)
    assert LINE == capsys.readouterr().out
    assert DIGEST == LookupTable(TABLE, content_of(HELD)).digest
    assert 0 == main([*pin, "--addresses", str(listed), "--json"])
    facts = json.loads(capsys.readouterr().out)
    assert {"table": TABLE, "sha256": DIGEST, "addresses": 199, "authority": ""} == facts
    listed.write_text("\n".join(HELD[::-1]))
    assert 1 == main([*pin, "--addresses", str(listed)])
    shown = capsys.readouterr()
    assert ("", True) == (shown.out, "does not hold what the list says" in shown.err)


def test_a_pin_is_made_of_a_list(listed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a node, for a table that is still to be made."""
    assert 0 == main(["policy", "pin", TABLE, "--addresses", str(listed)])
    assert LINE == capsys.readouterr().out
    assert HELD == from_list(HELD).addresses
    assert 2 == main(["policy", "pin", TABLE])
    for bad in ([], HELD * 2, ["nonsense"]):
        with pytest.raises(LookupTableError):
            from_list(bad)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"owner": HELD[0]}, "not an address lookup table"),
        ({"deactivation_slot": 5}, "being closed"),
        ({"addresses": []}, "holds no addresses"),
    ],
)
def test_what_is_no_table_is_not_pinned(
    svm_rpc: SvmRpc, change: dict[str, Any], why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Another program's account, a closing or empty table, no account, a node that does not answer
    or answers nonsense: exit 1, and no line.
    """
    write_table(svm_rpc.chain, at=TABLE, **{"addresses": HELD, **change})
    assert 1 == main(["policy", "pin", TABLE, "--rpc-url", svm_rpc.url])
    shown = capsys.readouterr()
    assert ("", True) == (shown.out, why in shown.err)
    svm_rpc.faults.result("getAccountInfo", {"value": {"data": 7}})
    for table, url, other in [
        (TABLE, svm_rpc.url, "not understood"),
        (HELD[3], svm_rpc.url, "no such account"),
        (TABLE, "http://127.0.0.1:9/?api-key=hidden", "does not answer"),
        (TABLE, "nonsense", "does not answer"),
    ]:
        assert 1 == main(["policy", "pin", table, "--rpc-url", url])
        shown = capsys.readouterr()
        assert ("", True) == (shown.out, other in shown.err)
        assert "hidden" not in shown.err


def test_a_transaction_is_explained_with_its_table(
    listed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the table's content `policy explain` sees who is paid, if the file pins that content."""
    pinned, unpinned = tmp_path / "pinned.toml", tmp_path / "unpinned.toml"
    group = '[[group]]\nname = "desk"\nmaster_fingerprints = ["*"]\nprograms = ["system"]\n'
    group += 'lamports_per_transaction_max = 100_000\ndestinations = "any"\n'
    unpinned.write_text("version = 1\n" + group)
    pinned.write_text(f"version = 1\n[lookup_table]\n{LINE}{group}")
    payer = str(Pubkey(bytes([251]) * 32))
    wire = SoldersTransactions().compile(
        TransactionVersion.V0,
        payer,
        [transfer_lamports(payer, address, 5) for address in HELD[:3]],
        "1" * 32,
        ComputeBudget(0, 0),
        LookupTables([LookupTable(TABLE, content_of(HELD))]),
    )
    (tmp_path / "tx").write_bytes(wire)
    argv = ["policy", "explain", str(tmp_path / "tx"), "--as", f"{'0' * 32}/1"]
    shown = ["--lookup-table", f"{TABLE}={listed}"]
    assert 1 == main([*argv, "--policy", str(pinned)])
    assert 1 == main([*argv, "--policy", str(unpinned), *shown])
    assert 2 == capsys.readouterr().out.count("desk/lookup_table: not pinned")
    assert 0 == main([*argv, "--policy", str(pinned), *shown])
    assert f"lamports 5 by {payer} to {HELD[2]}" in capsys.readouterr().out
    assert 2 == main([*argv, "--policy", str(pinned), "--lookup-table", TABLE])


def test_orders_name_tables(
    gateway: FakeGateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """--lookup-tables goes into estimates, payouts, consolidations and closings."""
    for name in [name for name in os.environ if name.startswith("SOLWARD_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("SOLWARD_TARGET", gateway.target)
    requests: list[Any] = []
    read = Caller.read

    def take(_caller: Caller, _stub: Any, request: Any, *_: Any) -> Any:
        requests.append(request)
        return ANSWERS[type(request)]

    def look(caller: Caller, stub: Any, request: Any, *more: Any) -> Any:
        chosen = take if type(request) in ANSWERS else read
        return chosen(caller, stub, request, *more)

    monkeypatch.setattr(Caller, "write", take)
    monkeypatch.setattr(Caller, "read", look)
    tables, wallets = tmp_path / "tables", tmp_path / "wallets"
    tables.write_text(f"{TABLE}\n{HELD[0]}\n")
    wallets.write_text(wallet(1).id)
    named = ["--lookup-tables", str(tables)]
    payout = ["--source", wallet(0).id, "--total", "5", "--to-wallets", str(wallets), *named]
    swept = ["--wallets", str(wallets), "--to", wallet(0).id, *named]
    for argv in (
        ["distribute", "estimate", *payout],
        ["distribute", "create", *payout],
        ["consolidate", "create", *swept],
        ["reclaim", "create", *swept],
    ):
        assert 0 == main(argv)
    assert [[TABLE, HELD[0]]] * 4 == [list(found.lookup_table_addresses) for found in requests]
