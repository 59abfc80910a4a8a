"""The wallets of a desk's master: fresh ones for every trial."""

from dataclasses import dataclass, field

from solward.gateway.v1 import wallet_service_pb2 as pb
from tests.crash.desk import Desk
from tests.crash.ground import Ground
from tests.gateway.processes import CANARY
from tests.gateway.support import in_clear, new_id

_LOT = 250
_PAGE = 1000


@dataclass(slots=True)
class Vault:
    """Hands out wallets that nobody has used; derives more when there are none left."""

    desk: Desk
    ground: Ground
    _unused: list[pb.Wallet] = field(default_factory=list)
    _next_index: int = 1

    @property
    def payer(self) -> pb.Wallet:
        """The wallet that has money for fees."""
        assert self.desk.source is not None
        return self.desk.source

    def take(self, count: int) -> list[pb.Wallet]:
        """Returns so many wallets without a lamport."""
        if len(self._unused) < count:
            self._derive(max(_LOT, count))
        taken, self._unused = self._unused[:count], self._unused[count:]
        return taken

    def _derive(self, count: int) -> None:
        client = self.desk.client()
        assert self.desk.master is not None
        request = pb.DeriveWalletsRequest(
            request_id=new_id(),
            master_wallet_id=self.desk.master.id,
            first_index=self._next_index,
            count=count,
            credential=in_clear(CANARY),
        )
        self.desk.patiently(lambda: list(client.wallets.DeriveWallets(request)))
        listing = pb.ListWalletsRequest(
            page_size=_PAGE,
            master_wallet_id=self.desk.master.id,
            index_min=self._next_index,
            index_max=self._next_index + count - 1,
        )
        page = self.desk.patiently(lambda: client.wallets.ListWallets(listing))
        assert len(page.wallets) == count <= _PAGE
        self._unused += page.wallets
        self._next_index += count
