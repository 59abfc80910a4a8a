"""`solward balance tokens`, `history` and `batch --tag` against a real gateway."""

import asyncio
import json

import pytest
from solders.keypair import Keypair

from gateway.adapters.postgres import Database
from solward_client.cli import main
from tests.reads.tokens import SOL, TOKEN, TokenChain, pay
from tests.support.processes import GatewayProcess
from tests.support.svm_rpc import SvmRpc


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
    assert "\t18446744073709551615\t6\t" in capsys.readouterr().out
    assert 0 == main(["balance", "history", address, "--limit", "1", "--json"])
    newest = json.loads(capsys.readouterr().out)
    assert [(SOL, "legacy")] == [(item["change_lamports"], item["version"]) for item in newest]
    assert 0 == main(["balance", "history", address, "--before", newest[0]["signature"]])
    assert newest[0]["signature"] not in capsys.readouterr().out
    assert 0 == main(["balance", "batch", "--tag", "desk", "--json"])
    assert SOL == json.loads(capsys.readouterr().out)["total_lamports"]
