"""Wallets: derived, imported, found, tagged and deleted."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import uuid4

import grpc
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.timestamp_pb2 import Timestamp

from solward.gateway.v1 import wallet_service_pb2 as pb
from solward.gateway.v1.master_wallet_service_pb2 import MasterWallet
from solward.gateway.v1.wallet_service_pb2_grpc import WalletServiceStub
from solward_client.calls import Caller, pages
from solward_client.credentials import Sealer

PAGE_SIZE = 1_000
COUNT_MAX = 10_000
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Derivation:
    """What a derivation did: the range asked for and how many of it were not stored before."""

    first_index: int
    count: int
    created_count: int


@dataclass(frozen=True, slots=True)
class WalletFilter:
    """Which wallets to list; what is left at its default does not filter."""

    tags: Sequence[str] = ()
    master_wallet_id: str = ""
    address_prefix: str = ""
    index_min: int | None = None
    index_max: int | None = None
    create_time_min: datetime | None = None
    create_time_max: datetime | None = None

    def request(self, page_size: int, page_token: str) -> pb.ListWalletsRequest:
        """Return the request for one page."""
        return pb.ListWalletsRequest(
            page_size=page_size,
            page_token=page_token,
            tags=self.tags,
            master_wallet_id=self.master_wallet_id,
            address_prefix=self.address_prefix,
            index_min=self.index_min,
            index_max=self.index_max,
            create_time_min=_timestamp(self.create_time_min),
            create_time_max=_timestamp(self.create_time_max),
        )


class Wallets:
    """The wallet repository. Every method raises SolwardError."""

    def __init__(self, channel: grpc.Channel, caller: Caller, sealer: Sealer) -> None:
        """Take the channel to the gateway."""
        self._stub = WalletServiceStub(channel)
        self._caller = caller
        self._sealer = sealer

    def derive(
        self,
        master: MasterWallet,
        count: int,
        password: str,
        *,
        first_index: int | None = None,
        tags: Sequence[str] = (),
        progress: Progress | None = None,
    ) -> Derivation:
        """Derive and store up to 10,000 wallets; by default after the highest stored index.

        `progress` is called with (wallets derived, wallets asked for). Safe to repeat.
        """
        # A sealed password is bound to the range, so the range has to be known before the call.
        first = self.next_index(master) if first_index is None else first_index
        request = pb.DeriveWalletsRequest(
            request_id=str(uuid4()),
            master_wallet_id=master.id,
            first_index=first,
            count=count,
            credential=self._sealer.credential(
                password, "DeriveWallets", (master.fingerprint, first, count)
            ),
            tags=tags,
        )
        created_count = 0
        for message in self._caller.stream(self._stub.DeriveWallets, request):
            created_count = message.created_count
            if progress is not None:
                progress(message.derived_count, message.total_count)
        return Derivation(first, count, created_count)

    def next_index(self, master: MasterWallet) -> int:
        """Return the index after the highest stored one of a master."""
        # With n stored, either indices 0 to n-1 are exactly those, or one at n or above exists.
        beyond = WalletFilter(master_wallet_id=master.id, index_min=master.derived_count)
        return max(
            (wallet.derivation_index + 1 for wallet in self.list(beyond)),
            default=master.derived_count,
        )

    def import_key(
        self,
        address: str,
        private_key: bytes,
        password: str,
        *,
        tags: Sequence[str] = (),
        request_id: str | None = None,
    ) -> pb.Wallet:
        """Store a private key (32-byte seed or 64-byte key pair) that belongs to the address."""
        request_id = request_id or str(uuid4())
        fields = (request_id, address)
        request = pb.ImportWalletRequest(
            request_id=request_id,
            address=address,
            sealed_private_key=self._sealer.seal(
                private_key, "SealPrivateKey", fields, "private_key"
            ),
            credential=self._sealer.credential(password, "SealPrivateKey", fields),
            tags=tags,
        )
        return self._caller.write(self._stub.ImportWallet, request).wallet

    def get(self, wallet_id: str) -> pb.Wallet:
        """Return one wallet by its UUID."""
        request = pb.GetWalletRequest(wallet_id=wallet_id)
        return self._caller.read(self._stub.GetWallet, request).wallet

    def get_by_address(self, address: str) -> pb.Wallet:
        """Return one wallet by its address."""
        request = pb.GetWalletByAddressRequest(address=address)
        return self._caller.read(self._stub.GetWalletByAddress, request).wallet

    def list(
        self, where: WalletFilter | None = None, *, page_size: int = PAGE_SIZE
    ) -> Iterator[pb.Wallet]:
        """Walk through the wallets that match, oldest first, page by page."""
        chosen = where or WalletFilter()

        def fetch(token: str) -> tuple[Sequence[pb.Wallet], str]:
            page = self._caller.read(self._stub.ListWallets, chosen.request(page_size, token))
            return page.wallets, page.next_page_token

        return pages(fetch)

    def update(
        self, wallet_id: str, *, tags: Sequence[str] | None = None, display_name: str | None = None
    ) -> pb.Wallet:
        """Replace the tags, the display name, or both; None leaves a field as it is."""
        changes = {"tags": tags, "display_name": display_name}
        request = pb.UpdateWalletRequest(
            wallet=pb.Wallet(id=wallet_id, tags=tags, display_name=display_name or ""),
            update_mask=FieldMask(paths=[k for k, value in changes.items() if value is not None]),
        )
        return self._caller.write(self._stub.UpdateWallet, request).wallet

    def delete(self, wallet_id: str, password: str) -> None:
        """Delete a wallet for good; the signer checks the password first."""
        wallet = self.get(wallet_id)
        fields = ("PURPOSE_VERIFY", 0, wallet.key_group)
        request = pb.DeleteWalletRequest(
            wallet_id=wallet_id,
            credential=self._sealer.credential(password, "OpenSession", fields),
        )
        self._caller.write(self._stub.DeleteWallet, request)

    def add_tag(self, wallet_id: str, tag: str) -> pb.Wallet:
        """Add a tag."""
        request = pb.AddTagRequest(wallet_id=wallet_id, tag=tag)
        return self._caller.write(self._stub.AddTag, request).wallet

    def remove_tag(self, wallet_id: str, tag: str) -> pb.Wallet:
        """Remove a tag."""
        request = pb.RemoveTagRequest(wallet_id=wallet_id, tag=tag)
        return self._caller.write(self._stub.RemoveTag, request).wallet

    def record_trade(
        self, wallet_id: str, volume_lamports: int, *, request_id: str | None = None
    ) -> pb.Wallet:
        """Add a trade to the wallet's totals; the same request id counts once."""
        request = pb.RecordTradeRequest(
            request_id=request_id or str(uuid4()),
            wallet_id=wallet_id,
            volume_lamports=volume_lamports,
        )
        return self._caller.write(self._stub.RecordTrade, request).wallet


def _timestamp(moment: datetime | None) -> Timestamp | None:
    if moment is None:
        return None
    stamp = Timestamp()
    stamp.FromDatetime(moment)
    return stamp
