"""The signer's calls that sign: what a lost answer means, and batches longer than one request."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import grpc

from gateway.adapters.signer import messages
from gateway.adapters.signer.calls import answer, parts
from gateway.domain.custody import SignItem, SignOutcome
from gateway.domain.errors import GatewayError, SignerUnavailableError
from gateway.domain.wallets import SigningWallet
from gateway.errors import refused_item
from solward.signer.v1 import signer_service_pb2 as pb
from solward.signer.v1 import signer_service_pb2_grpc as pb_grpc

_TIMEOUT_S: Final = 30.0
_ITEMS_MAX: Final = 500


class SignatureCalls:
    """SignTransactions and SignMessage. A request leaves only on a connection that stands: if it
    fails before, nothing can have been signed; if the answer is lost after, nobody knows.
    """

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._channel = channel
        self._stub: pb_grpc.SignerServiceAsyncStub = pb_grpc.SignerServiceStub(channel)

    async def transactions(
        self, request_id: str, token: bytes, items: Sequence[SignItem]
    ) -> list[SignOutcome]:
        """Signs in order. A batch that outgrows the signer's message limit goes in several calls.

        Raises GatewayError if the first call fails. If a later one does, its items and the rest are
        refused one by one: what was signed before is delivered.
        """
        outcomes: list[SignOutcome] = []
        failure: GatewayError | None = None
        for part in parts([messages.sign_item(item) for item in items], _ITEMS_MAX):
            if failure is not None:
                outcomes += [replace(refused_item(failure), signed="no")] * len(part)
                continue
            try:
                outcomes += await self._part(request_id, token, part)
            except GatewayError as error:
                if not outcomes:
                    raise
                failure = error
                outcomes += [refused_item(error)] * len(part)
        return outcomes

    async def _part(
        self, request_id: str, token: bytes, items: Sequence[pb.TransactionItem]
    ) -> list[SignOutcome]:
        request = pb.SignTransactionsRequest(
            request_id=request_id, session_token=token, items=items
        )
        await self._connected()
        response = await answer(
            self._stub.SignTransactions(request, timeout=_TIMEOUT_S), if_lost="maybe"
        )
        if len(response.results) != len(items):
            raise SignerUnavailableError(
                "the signer's answer is not one result for each item", signed="maybe"
            )
        return messages.sign_outcomes(response.results)

    async def message(
        self, request_id: str, token: bytes, wallet: SigningWallet, message: bytes
    ) -> bytes:
        """Signs one message."""
        request = pb.SignMessageRequest(
            request_id=request_id,
            session_token=token,
            wallet=messages.wallet_record(wallet),
            message=message,
        )
        await self._connected()
        response = await answer(
            self._stub.SignMessage(request, timeout=_TIMEOUT_S), if_lost="maybe"
        )
        return response.signature

    async def _connected(self) -> None:
        """Waits until the connection stands; raises SignerUnavailableError as soon as it fails,
        which it does in time: the channel's options bound an attempt.
        """
        state = self._channel.get_state(try_to_connect=True)
        while state is not grpc.ChannelConnectivity.READY:
            if state is grpc.ChannelConnectivity.TRANSIENT_FAILURE:
                raise SignerUnavailableError("the signer cannot be reached")
            await self._channel.wait_for_state_change(state)
            state = self._channel.get_state(try_to_connect=True)
