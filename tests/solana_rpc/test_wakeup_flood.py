"""A gateway whose WebSocket is a flood: it pays as without one."""

import threading
from collections.abc import Iterator

import grpc
import pytest
from solders.pubkey import Pubkey
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection, serve

from solward.gateway.v1 import distribution_service_pb2 as pb
from tests.gateway.processes import Client
from tests.gateway.support import new_id
from tests.support.fixtures import MakeGateway, MakeSvmRpc
from tests.support.svm_chain import SvmChain, Timing


class Flood:
    """A server that answers whatever is said by the same notification, without end."""

    def __init__(self) -> None:
        """Count connections."""
        self.connections = 0

    def talk(self, connection: ServerConnection) -> None:
        """Floods one connection."""
        self.connections += 1
        connection.recv()
        notice = (
            '{"jsonrpc":"2.0","method":"signatureNotification",'
            '"params":{"subscription":0,"result":{"value":{"err":null}}}}'
        )
        try:
            connection.send('{"jsonrpc":"2.0","id":1,"result":0}')
            while True:
                connection.send(notice)
        except ConnectionClosed:
            return


@pytest.fixture
def flood() -> Iterator[tuple[Flood, str]]:
    """The server and its URL."""
    behaviour = Flood()
    with serve(behaviour.talk, "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield behaviour, f"ws://127.0.0.1:{server.socket.getsockname()[1]}/secret-key"
        server.shutdown()
        thread.join()


def test_a_flood_of_wake_ups(
    make_gateway: MakeGateway, make_svm_rpc: MakeSvmRpc, flood: tuple[Flood, str]
) -> None:
    """The distribution completes to the lamport; the flood gets no more than a few connections."""
    # Long enough under way for the flood to begin.
    node = make_svm_rpc(SvmChain(timing=Timing(1, 40)), block_time_s=0.05)
    behaviour, url = flood
    gateway = make_gateway(rpc_url=node.url, settings={"solana": {"ws_url": url}})
    with grpc.insecure_channel(gateway.target) as channel:
        client = Client(channel)
        master = client.create_master()
        list(client.derive(master, 31))
        source, *others = client.first_wallets(31)
        node.chain.fund(Pubkey.from_string(source.address), 10**9)
        addresses = pb.RecipientAddresses(addresses=[one.address for one in others])
        order = pb.CreateDistributionRequest(
            request_id=new_id(),
            source_wallet_id=source.id,
            recipients=pb.Recipients(addresses=addresses),
            total_lamports=100_000_007,
            split=pb.Split(random=pb.RandomSplit(seed=bytes(32))),
        )
        planned = client.distributions.CreateDistribution(order).distribution
        execute = pb.ExecuteDistributionRequest(
            distribution_id=planned.id, etag=planned.etag, session_token=client.session(master)
        )
        client.distributions.ExecuteDistribution(execute)
        watch = pb.WatchDistributionRequest(distribution_id=planned.id)
        *_, last = client.distributions.WatchDistribution(watch)
    assert pb.Distribution.STATE_COMPLETED == last.state
    assert 100_000_007 == sum(node.chain.balance(Pubkey.from_string(w.address)) for w in others)
    assert 1 <= behaviour.connections <= 5
    assert "polling alone" in gateway.log_text()
    assert "secret-key" not in gateway.log_text()
