"""Masters and wallets through gRPC on a real database."""

import asyncio

import grpc
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.timestamp_pb2 import Timestamp
from solders.pubkey import Pubkey

from gateway.app import Adapters
from solward.gateway.v1 import master_wallet_service_pb2 as master_pb
from solward.gateway.v1 import wallet_service_pb2 as pb
from solward_client.sealing import SignerKey, seal
from tests.gateway.fake_signer import FakeSigner, address_of
from tests.gateway.support import (
    PASSWORD,
    Gateway,
    derive,
    derive_request,
    derived_count,
    in_clear,
    new_id,
    refusal_of,
    sealed,
    stream_refusal,
)


async def test_master_is_created_once_for_one_request_id(
    gateway: Gateway, fake: FakeSigner
) -> None:
    """The same request id returns the same master; with another body it is refused."""
    request = master_pb.CreateMasterWalletRequest(
        request_id=new_id(), word_count=24, credential=in_clear()
    )
    first, second = await asyncio.gather(
        gateway.masters.CreateMasterWallet(request), gateway.masters.CreateMasterWallet(request)
    )
    assert first.master_wallet == second.master_wallet
    assert fake.calls.count("CreateMasterWallet") == 1
    request.word_count = 12
    refusal = await refusal_of(gateway.masters.CreateMasterWallet(request))
    assert (grpc.StatusCode.ALREADY_EXISTS, "REQUEST_ID_REUSED") == (refusal.code, refusal.reason)
    assert refusal.fields == ("request_id",)


async def test_derivation_streams_progress_and_stores_all(
    gateway: Gateway, fake: FakeSigner, master: master_pb.MasterWallet
) -> None:
    """2,500 wallets come in three chunks and a last report, and are stored with the right count."""
    reports = [r async for r in gateway.wallets.DeriveWallets(derive_request(master, 0, 2500))]
    assert [1000, 2000, 2500, 2500] == [report.derived_count for report in reports]
    assert [False, False, False, True] == [report.done for report in reports]
    assert reports[-1].created_count == 2500
    assert await derived_count(gateway, master) == 2500
    page = await gateway.wallets.ListWallets(pb.ListWalletsRequest(page_size=1000))
    assert list(range(1000)) == [wallet.derivation_index for wallet in page.wallets]
    assert address_of(master.fingerprint, 7) == page.wallets[7].address


async def test_derivation_again_makes_no_duplicates(
    gateway: Gateway, fake: FakeSigner, master: master_pb.MasterWallet
) -> None:
    """A repeated range asks the signer for nothing; an overlapping one stores what is missing."""
    await derive(gateway, derive_request(master, 10, 20))
    again = await derive(gateway, derive_request(master, 10, 20))
    assert (True, 0, 10) == (again.done, again.created_count, again.first_index)
    assert [(10, 20)] == fake.derived
    wider = await derive(gateway, derive_request(master, 0, 40))
    assert wider.created_count == 20
    assert await derived_count(gateway, master) == 40
    page = await gateway.wallets.ListWallets(pb.ListWalletsRequest(page_size=100))
    assert list(range(40)) == sorted(wallet.derivation_index for wallet in page.wallets)
    assert len({wallet.address for wallet in page.wallets}) == 40


async def test_derivation_is_idempotent_by_request_id(
    gateway: Gateway, master: master_pb.MasterWallet
) -> None:
    """The same request returns its first result, also where it did not name the first index."""
    request = derive_request(master, None, 5)
    first = await derive(gateway, request)
    assert (0, 5) == (first.first_index, first.created_count)
    again = await derive(gateway, request)
    assert (0, 5) == (again.first_index, again.created_count)
    assert await derived_count(gateway, master) == 5
    following = await derive(gateway, derive_request(master, None, 5))
    assert following.first_index == 5


async def test_a_signer_that_breaks_off_leaves_nothing(
    gateway: Gateway, fake: FakeSigner, master: master_pb.MasterWallet
) -> None:
    """After one chunk of three the signer dies: nothing is stored, and the next request works."""
    fake.chunks_until_failure = 1
    refusal = await stream_refusal(gateway.wallets.DeriveWallets(derive_request(master, 0, 2500)))
    assert (grpc.StatusCode.UNAVAILABLE, "SIGNER_UNAVAILABLE") == (refusal.code, refusal.reason)
    assert await derived_count(gateway, master) == 0
    page = await gateway.wallets.ListWallets(pb.ListWalletsRequest())
    assert list(page.wallets) == []
    fake.chunks_until_failure = None
    assert (await derive(gateway, derive_request(master, 0, 2500))).created_count == 2500


async def test_a_client_that_goes_leaves_nothing_and_no_lock(
    gateway: Gateway, master: master_pb.MasterWallet
) -> None:
    """A cancelled derivation stores nothing and lets the next one on the same master run."""
    call = gateway.wallets.DeriveWallets(derive_request(master, 0, 10_000))
    assert await anext(aiter(call)) is not None
    call.cancel()
    done = await derive(gateway, derive_request(master, 0, 3))
    assert done.created_count == 3
    assert await derived_count(gateway, master) == 3


async def test_wrong_password_is_the_signers_own_answer(
    gateway: Gateway, master: master_pb.MasterWallet
) -> None:
    """Code, message and ErrorInfo of a refusal of the signer come through unchanged."""
    request = derive_request(master, 0, 1)
    request.credential.CopyFrom(in_clear("wrong wrong wrong"))
    refusal = await stream_refusal(gateway.wallets.DeriveWallets(request))
    assert refusal.code is grpc.StatusCode.PERMISSION_DENIED
    assert ("RECORD_REJECTED", "signer.solward") == (refusal.reason, refusal.domain)
    assert refusal.message == "refused: RECORD_REJECTED"
    assert {"signed": "no", "rule": "r"} == refusal.metadata


async def test_a_sealed_password_passes_through(
    gateway: Gateway, fake: FakeSigner, master: master_pb.MasterWallet, adapters: Adapters
) -> None:
    """What the client sealed reaches the signer as it came, bound to the range it asked for."""
    key = SignerKey(bytes(fake.box_key.public_key), fake.boot_id)
    now_s = adapters.clock.now().timestamp()
    box = seal(
        key,
        PASSWORD.encode(),
        purpose="password",
        rpc="DeriveWallets",
        fields=(master.fingerprint, 0, 4),
        now_s=now_s,
    )
    request = derive_request(master, 0, 4)
    request.credential.CopyFrom(sealed(box))
    assert (await derive(gateway, request)).created_count == 4
    other = derive_request(master, 0, 5)
    other.credential.CopyFrom(sealed(box))
    refusal = await stream_refusal(gateway.wallets.DeriveWallets(other))
    assert refusal.reason == "CREDENTIAL_REJECTED"


async def test_after_a_restart_of_the_signer_secrets_are_sealed_anew(
    gateway: Gateway, fake: FakeSigner, master: master_pb.MasterWallet
) -> None:
    """A new boot id costs one refused call that the client does not see."""
    await derive(gateway, derive_request(master, 0, 1))
    fake.boot_id = b"2" * 16
    assert (await derive(gateway, derive_request(master, 1, 1))).created_count == 1
    assert fake.calls.count("DeriveWallets") == 3


async def test_import_is_idempotent_and_refuses_a_second_of_the_same_address(
    gateway: Gateway, fake: FakeSigner
) -> None:
    """The same id gives the same wallet; another id for a stored address is ALREADY_STORED."""
    address = str(Pubkey.from_bytes(b"7" * 32))
    request = pb.ImportWalletRequest(
        request_id=new_id(),
        address=address,
        plaintext_private_key=b"k" * 32,
        credential=in_clear(),
        tags=["cold"],
    )
    first = (await gateway.wallets.ImportWallet(request)).wallet
    again = (await gateway.wallets.ImportWallet(request)).wallet
    assert first == again
    assert (address, -1, "", ["cold"]) == (
        first.address,
        first.derivation_index,
        first.master_wallet_id,
        list(first.tags),
    )
    assert fake.calls.count("SealPrivateKey") == 1
    request.request_id = new_id()
    refusal = await refusal_of(gateway.wallets.ImportWallet(request))
    assert (grpc.StatusCode.ALREADY_EXISTS, "ALREADY_STORED") == (refusal.code, refusal.reason)
    assert refusal.fields == ("address",)


async def test_update_changes_only_what_the_mask_names(
    gateway: Gateway, wallets: list[pb.Wallet]
) -> None:
    """Only the masked field changes, and tags come back sorted."""
    changed = pb.Wallet(id=wallets[0].id, display_name="hot", tags=["z", "a"])
    request = pb.UpdateWalletRequest(wallet=changed, update_mask=FieldMask(paths=["tags"]))
    after = (await gateway.wallets.UpdateWallet(request)).wallet
    assert (["a", "z"], "") == (list(after.tags), after.display_name)
    request.update_mask.paths[:] = ["display_name"]
    after = (await gateway.wallets.UpdateWallet(request)).wallet
    assert (["a", "z"], "hot") == (list(after.tags), after.display_name)


async def test_tags_are_added_once_and_removed(gateway: Gateway, wallets: list[pb.Wallet]) -> None:
    """Adding a tag twice and removing an absent one change nothing."""
    add = pb.AddTagRequest(wallet_id=wallets[0].id, tag="hot")
    await gateway.wallets.AddTag(add)
    assert ["desk", "hot"] == list((await gateway.wallets.AddTag(add)).wallet.tags)
    remove = pb.RemoveTagRequest(wallet_id=wallets[0].id, tag="hot")
    await gateway.wallets.RemoveTag(remove)
    assert ["desk"] == list((await gateway.wallets.RemoveTag(remove)).wallet.tags)


async def test_trades_add_up_and_count_once(gateway: Gateway, wallets: list[pb.Wallet]) -> None:
    """Concurrent trades all count, a repeated one does not, and 2**64 is out of range."""
    trades = [
        pb.RecordTradeRequest(request_id=new_id(), wallet_id=wallets[0].id, volume_lamports=n)
        for n in range(1, 9)
    ]
    await asyncio.gather(*(gateway.wallets.RecordTrade(trade) for trade in [*trades, *trades]))
    wallet = (await gateway.wallets.GetWallet(pb.GetWalletRequest(wallet_id=wallets[0].id))).wallet
    assert (8, 36) == (wallet.trade_count, wallet.volume_lamports)
    assert wallet.HasField("last_use_time")
    huge = pb.RecordTradeRequest(
        request_id=new_id(), wallet_id=wallets[0].id, volume_lamports=2**64 - 1
    )
    refusal = await refusal_of(gateway.wallets.RecordTrade(huge))
    assert (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD") == (refusal.code, refusal.reason)
    assert refusal.fields == ("volume_lamports",)


async def test_delete_needs_the_password(
    gateway: Gateway, master: master_pb.MasterWallet, wallets: list[pb.Wallet]
) -> None:
    """A wrong password deletes nothing; the right one does, and the wallet can be derived again."""
    wrong = pb.DeleteWalletRequest(wallet_id=wallets[1].id, credential=in_clear("not the password"))
    assert (await refusal_of(gateway.wallets.DeleteWallet(wrong))).reason == "RECORD_REJECTED"
    assert await derived_count(gateway, master) == 3
    await gateway.wallets.DeleteWallet(
        pb.DeleteWalletRequest(wallet_id=wallets[1].id, credential=in_clear())
    )
    refusal = await refusal_of(
        gateway.wallets.GetWallet(pb.GetWalletRequest(wallet_id=wallets[1].id))
    )
    assert (grpc.StatusCode.NOT_FOUND, "WALLET_NOT_FOUND") == (refusal.code, refusal.reason)
    assert await derived_count(gateway, master) == 2
    assert (await derive(gateway, derive_request(master, 0, 3))).created_count == 1


async def test_list_filters(gateway: Gateway, wallets: list[pb.Wallet]) -> None:
    """Every filter narrows, and a walk over pages sees each wallet once."""
    await gateway.wallets.AddTag(pb.AddTagRequest(wallet_id=wallets[2].id, tag="hot"))
    both = pb.ListWalletsRequest(tags=["desk", "hot"])
    assert [wallets[2].id] == [w.id for w in (await gateway.wallets.ListWallets(both)).wallets]
    prefix = pb.ListWalletsRequest(address_prefix=wallets[0].address[:8])
    assert [wallets[0].id] == [w.id for w in (await gateway.wallets.ListWallets(prefix)).wallets]
    middle = pb.ListWalletsRequest(index_min=1, index_max=1)
    assert [wallets[1].id] == [w.id for w in (await gateway.wallets.ListWallets(middle)).wallets]
    later = pb.ListWalletsRequest(create_time_min=Timestamp(seconds=4_000_000_000))
    assert [] == list((await gateway.wallets.ListWallets(later)).wallets)
    seen, token = [], ""
    while True:
        request = pb.ListWalletsRequest(page_size=2, page_token=token)
        page = await gateway.wallets.ListWallets(request)
        seen += [wallet.id for wallet in page.wallets]
        token = page.next_page_token
        if not token:
            break
    assert [wallet.id for wallet in wallets] == seen
