"""Bad input gets the right code, reason and field; and the next request works."""

from typing import Any

import grpc
import pytest

from solward.gateway.v1 import audit_service_pb2
from tests.gateway.bad_input import DERIVATIONS, INVALID, MASTERS, WALLETS, Case, list_wallets
from tests.gateway.bad_input_signing import BALANCES, SIGNING
from tests.gateway.support import Gateway, refusal_of, stream_refusal


@pytest.mark.parametrize(
    "cases",
    [MASTERS, DERIVATIONS, WALLETS, SIGNING, BALANCES],
    ids=["masters", "derivations", "wallets", "signing", "balances"],
)
async def test_bad_input_names_its_field_and_harms_nothing(
    gateway: Gateway, cases: list[Case]
) -> None:
    """Each refusal has the code, reason and field expected, and the next request is answered."""
    for case in cases:
        service, method = case.method.split(".")
        call = getattr(getattr(gateway, service), method)(case.request())
        refusal = await (stream_refusal(call) if method == "DeriveWallets" else refusal_of(call))
        expected = (case.name, case.code, case.reason, "gateway.solward", (case.field,))
        assert expected == (
            case.name,
            refusal.code,
            refusal.reason,
            refusal.domain,
            refusal.fields,
        )
        assert case.field == refusal.metadata["field"]
        assert [] == list((await gateway.wallets.ListWallets(list_wallets()())).wallets)


async def test_bytes_that_are_no_message_are_refused(gateway: Gateway) -> None:
    """A request that does not decode is the client's mistake, not the gateway's failure."""
    call: Any = gateway.channel.unary_unary("/solward.gateway.v1.WalletService/GetWallet")
    refusal = await refusal_of(call(b"\xff\xff\xff"))
    assert (INVALID, "INVALID_FIELD") == (refusal.code, refusal.reason)


@pytest.mark.parametrize(
    ("service", "method", "request_message"),
    [
        ("audit", "ListAuditEvents", audit_service_pb2.ListAuditEventsRequest()),
    ],
)
async def test_what_is_not_there_yet_says_so(
    gateway: Gateway, service: str, method: str, request_message: Any
) -> None:
    """UNIMPLEMENTED, NOT_IMPLEMENTED, and a message that names the call."""
    refusal = await refusal_of(getattr(getattr(gateway, service), method)(request_message))
    assert (grpc.StatusCode.UNIMPLEMENTED, "NOT_IMPLEMENTED") == (refusal.code, refusal.reason)
    assert refusal.message.startswith(method)
