"""Bad input gets the right code, reason and field; and the next request works."""

from typing import Any

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
    ("request_message", "field"),
    [
        (audit_service_pb2.ListAuditEventsRequest(page_size=-1), "page_size"),
        (audit_service_pb2.ListAuditEventsRequest(page_token="x"), "page_token"),
    ],
)
async def test_bad_pages_of_audit_events(
    gateway: Gateway, request_message: Any, field: str
) -> None:
    """INVALID_ARGUMENT with the field; without a record the list is empty."""
    refusal = await refusal_of(gateway.audit.ListAuditEvents(request_message))
    assert (INVALID, (field,)) == (refusal.code, refusal.fields)
    empty = await gateway.audit.ListAuditEvents(audit_service_pb2.ListAuditEventsRequest())
    assert [] == list(empty.events)
