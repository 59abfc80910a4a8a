"""Errors as the client decodes them from `grpc-status-details-bin`."""

from typing import Any

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from solward_client import Solward
from solward_client.errors import (
    ConflictError,
    DeniedError,
    InvalidRequestError,
    LimitedError,
    NotFoundError,
    ServerFaultError,
    SolwardError,
    UnavailableError,
    UnimplementedError,
    decode,
)
from tests.client.fake_gateway import MASTER, FakeGateway


class BareError(grpc.RpcError):
    """A failed call with the trailing metadata that a test gives it."""

    def __init__(self, code: grpc.StatusCode, details: str | None, trailing: Any = ()) -> None:
        super().__init__()
        self._code, self._details, self._trailing = code, details, trailing

    def code(self) -> grpc.StatusCode:
        """Return the status."""
        return self._code

    def details(self) -> str | None:
        """Return the message."""
        return self._details

    def trailing_metadata(self) -> Any:
        """Return the metadata."""
        return self._trailing


def test_a_policy_denial_names_its_rule(gateway: FakeGateway, solward: Solward) -> None:
    """Reason, domain and rule come from ErrorInfo, and the text names all a person needs."""
    gateway.deny = {
        "code": grpc.StatusCode.PERMISSION_DENIED,
        "reason": "POLICY_DENIED",
        "message": "the policy denies",
        "rule": "desk/destinations: vault",
    }

    with pytest.raises(DeniedError) as caught:
        solward.masters.get(MASTER.id)

    error = caught.value
    assert ("POLICY_DENIED", "signer.solward", "desk/destinations: vault") == (
        error.reason,
        error.domain,
        error.rule,
    )
    assert "POLICY_DENIED: the policy denies (rule desk/destinations: vault)" == str(error)


def test_bad_input_names_its_field(gateway: FakeGateway, solward: Solward) -> None:
    """The field comes from BadRequest."""
    gateway.deny = {
        "code": grpc.StatusCode.INVALID_ARGUMENT,
        "reason": "INVALID_FIELD",
        "message": "must be 12 or 24",
        "field": "word_count",
    }

    with pytest.raises(InvalidRequestError) as caught:
        solward.masters.create("correct horse battery", word_count=13)

    assert "word_count" == caught.value.field


def test_a_limit_says_when_to_try_again(gateway: FakeGateway, solward: Solward) -> None:
    """The delay comes from RetryInfo."""
    gateway.deny = {
        "code": grpc.StatusCode.RESOURCE_EXHAUSTED,
        "reason": "RATE_LIMITED",
        "message": "no signature left",
        "retry_ms": 1500,
    }

    with pytest.raises(LimitedError) as caught:
        solward.masters.get(MASTER.id)

    assert 1500 == caught.value.retry_delay_ms
    assert "RATE_LIMITED: no signature left (try again in 1.5 s)" == str(caught.value)


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (grpc.StatusCode.INVALID_ARGUMENT, InvalidRequestError),
        (grpc.StatusCode.NOT_FOUND, NotFoundError),
        (grpc.StatusCode.ALREADY_EXISTS, ConflictError),
        (grpc.StatusCode.ABORTED, ConflictError),
        (grpc.StatusCode.FAILED_PRECONDITION, ConflictError),
        (grpc.StatusCode.PERMISSION_DENIED, DeniedError),
        (grpc.StatusCode.UNAUTHENTICATED, DeniedError),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, LimitedError),
        (grpc.StatusCode.UNAVAILABLE, UnavailableError),
        (grpc.StatusCode.DEADLINE_EXCEEDED, UnavailableError),
        (grpc.StatusCode.UNIMPLEMENTED, UnimplementedError),
        (grpc.StatusCode.INTERNAL, ServerFaultError),
        (grpc.StatusCode.UNKNOWN, ServerFaultError),
    ],
)
def test_every_status_has_its_class(code: grpc.StatusCode, expected: type[SolwardError]) -> None:
    """The class follows from the canonical code alone."""
    error = decode(BareError(code, "words"))

    assert (expected, code, "words", "") == (type(error), error.code, error.message, error.reason)


def test_a_failure_without_words_or_metadata_still_decodes() -> None:
    """A transport that died before any trailer gives an error with the code's name."""
    assert "UNAVAILABLE: no details" == str(
        decode(BareError(grpc.StatusCode.UNAVAILABLE, None, None))
    )


@pytest.mark.parametrize("signed", ["no", "maybe"])
def test_the_server_says_whether_it_signed(
    gateway: FakeGateway, solward: Solward, signed: str
) -> None:
    """`signed` is the server's word; where no server answered, nobody knows."""
    gateway.deny = {
        "code": grpc.StatusCode.UNAVAILABLE,
        "reason": "SIGNER_UNAVAILABLE",
        "message": "the signer does not answer",
        "signed": signed,
    }

    with pytest.raises(UnavailableError) as caught:
        solward.masters.get(MASTER.id)

    assert signed == caught.value.signed
    assert "maybe" == decode(BareError(grpc.StatusCode.UNAVAILABLE, "gone")).signed


@given(raw=st.binary(max_size=200))
def test_details_that_do_not_parse_never_raise(raw: bytes) -> None:
    """Whatever bytes stand in the details, the code and the message survive."""
    trailing = (("grpc-status-details-bin", raw),)

    error = decode(BareError(grpc.StatusCode.NOT_FOUND, "words", trailing))

    assert (NotFoundError, "words") == (type(error), error.message)
