"""`solward balance tokens`, `total`, `history` and `batch` against a real gateway and signer."""

import asyncio
import csv
import json
import tomllib
from pathlib import Path

import pytest
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from gateway.adapters.postgres import Database
from solward_client import Solward
from solward_client.cli import main
from solward_client.devstack.stack import POLICY
from tests.reads.tokens import SOL, TOKEN, TokenChain, pay
from tests.support.processes import GatewayProcess
from tests.support.svm_rpc import SvmRpc

PASSWORD = "a password of the desk"


async def store(database_url: str, pair: Keypair) -> None:
    """Stores a wallet by its key pair, with the tag "desk"."""
    database = await Database.open(database_url)
    async with database.transaction() as unit:
        await unit.wallets.insert_imported(
            address=str(pair.pubkey()),
            encrypted_private_key="sealed",
            key_group="group",
            ownership_tag="tag",
            tags=["desk"],
        )
    await database.close()


def test_reads_on_the_command_line(
    gateway_process: GatewayProcess,
    database_url: str,
    svm_rpc: SvmRpc,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Tokens and history by address, as tables and as JSON with integers; a tag's sum."""
    me, tokens = Keypair(), TokenChain(svm_rpc.chain)
    address = str(me.pubkey())
    asyncio.run(store(database_url, me))
    mint = tokens.mint(TOKEN, 6)
    account = tokens.open(me.pubkey(), mint, TOKEN)
    tokens.issue(mint, account, 2**64 - 1, TOKEN)
    tokens.land([pay(tokens.boss.pubkey(), me.pubkey(), SOL)])
    tokens.chain.advance(3)
    monkeypatch.setenv("SOLWARD_TARGET", gateway_process.target)

    assert 0 == main(["balance", "tokens", address, "--json"])
    shown = json.loads(capsys.readouterr().out)
    assert [(2**64 - 1, 6, str(account), True)] == [
        (item["amount"], item["decimals"], item["token_account"], item["is_associated"])
        for item in shown
    ]
    assert 0 == main(["balance", "tokens", address])
    (row,) = csv.DictReader(capsys.readouterr().out.splitlines(), delimiter="\t")
    assert ("18446744073709551615", "6") == (row["amount"], row["decimals"])
    shown_flags = ("is_associated", "native", "delegated_amount", "close_authority")
    assert ["yes", "no", "0", ""] == [row[name] for name in shown_flags]
    assert 0 == main(["balance", "history", address, "--limit", "1", "--json"])
    newest = json.loads(capsys.readouterr().out)
    assert [(SOL, "legacy")] == [(item["change_lamports"], item["version"]) for item in newest]
    assert 0 == main(["balance", "history", address, "--before", newest[0]["signature"]])
    out = capsys.readouterr().out
    assert newest[0]["signature"] not in out
    assert {"slot", "error"} <= set(out.splitlines()[0].split("\t"))
    assert 0 == main(["balance", "batch", "--tag", "desk", "--json"])
    assert SOL == json.loads(capsys.readouterr().out)["total_lamports"]


def test_many_wallets_on_the_command_line(
    gateway_process: GatewayProcess,
    svm_rpc: SvmRpc,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    short_dir: Path,
) -> None:
    """Of wallets by policy group, as the signer's own policy has it: token accounts in rows, sums
    of SOL and tokens; of one of them what it received. What cannot be is a wrong usage.
    """
    monkeypatch.setenv("SOLWARD_TARGET", gateway_process.target)
    with Solward.connect(gateway_process.target) as solward:
        master = solward.masters.create(PASSWORD)
        solward.wallets.derive(master, 3, PASSWORD)
        wallets = [wallet.address for wallet in solward.wallets.list()]
    tokens = TokenChain(svm_rpc.chain)
    mint, other = tokens.mint(TOKEN, 6), tokens.mint(TOKEN, 0)
    for number, address in enumerate(wallets, 1):
        key = Pubkey.from_string(address)
        tokens.issue(mint, tokens.open(key, mint, TOKEN), number, TOKEN)
        tokens.open(key, other, TOKEN)
        svm_rpc.chain.fund(key, number * SOL)
    svm_rpc.chain.advance(3)
    group = tomllib.loads(POLICY.read_text())["group"][0]["name"]

    def shown(*arguments: str, code: int = 0) -> tuple[str, str]:
        assert code == main(["balance", *arguments])
        captured = capsys.readouterr()
        return captured.out, captured.err

    out, _ = shown("tokens", "--group", group, "--mint", str(mint), "--json")
    rows = json.loads(out)
    assert list(zip(wallets, [1, 2, 3], strict=True)) == [(r["wallet"], r["amount"]) for r in rows]
    out, note = shown("total", "--group", group)
    assert f"\t6\t6\t0\t3\t{mint}" in out
    assert "3 wallets hold 6 SOL" in note
    associated = ("--mint", str(mint), "--associated-only", "--json")
    out, _ = shown("total", "--master", master.id, *associated)
    assert [("6", str(mint))] == [(t["amount"], t["mint"]) for t in json.loads(out)["tokens"]]
    out, _ = shown("batch", "--group", group, "--json")
    assert 6 * SOL == json.loads(out)["total_lamports"]
    out, _ = shown("history", wallets[1], "--all-accounts", "--mint", str(mint))
    assert f"\t+2/6 of {mint}\t" in out
    file = short_dir / "addresses"
    file.write_text("\n".join(wallets))
    out, _ = shown("tokens", "--addresses", str(file), "--timeout", "60")
    assert 6 == len(out.splitlines()[1:])
    shown("tokens", wallets[0], "--mint", str(mint), code=2)
    _, error = shown("total", "--group", "nobody", code=1)
    assert "no group of this name" in error
