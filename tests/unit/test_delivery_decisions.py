"""The outcome table as a function: every answer, every existence, every policy."""

from __future__ import annotations

import pytest
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import Message
from temporalio.api.common.v1 import GrpcStatus
from temporalio.api.enums.v1 import ResourceExhaustedCause
from temporalio.api.errordetails.v1 import (
    NamespaceNotFoundFailure,
    NotFoundFailure,
    ResourceExhaustedFailure,
)
from temporalio.service import RPCError, RPCStatusCode

from consumers.bridge.answers import answer_of, is_overload
from consumers.bridge.delivery import (
    Answer,
    Decision,
    Early,
    Existence,
    Late,
    Outcome,
    Reason,
    Settle,
    Wait,
    decide,
)

BUSY = ResourceExhaustedFailure(cause=ResourceExhaustedCause.RESOURCE_EXHAUSTED_CAUSE_BUSY_WORKFLOW)
RATE = ResourceExhaustedFailure(cause=ResourceExhaustedCause.RESOURCE_EXHAUSTED_CAUSE_RPS_LIMIT)


def refusal(status: RPCStatusCode, message: str = "", *details: Message) -> RPCError:
    """An error as the SDK raises it, with the server's details."""
    packed = []
    for detail in details:
        wrapped = AnyMessage()
        wrapped.Pack(detail)
        packed.append(wrapped)
    return RPCError(message, status, GrpcStatus(details=packed).SerializeToString())


@pytest.mark.parametrize(
    ("answer", "existence", "decision"),
    [
        (Answer.ACCEPTED, None, Settle(Outcome.DELIVERED)),
        (Answer.UNAVAILABLE, None, Wait.PARTITION),
        (Answer.BUSY_WORKFLOW, None, Wait.KEY),
        (Answer.SIGNAL_LIMIT, None, Wait.KEY),
        (Answer.REFUSED, None, Settle(Outcome.DEAD_LETTERED, Reason.REFUSED)),
        (Answer.TOO_LARGE, None, Settle(Outcome.DEAD_LETTERED, Reason.REFUSED)),
        (Answer.CLOSED, None, Settle(Outcome.LATE)),
        (Answer.NOT_FOUND, None, Wait.LOOK),
        (Answer.NOT_FOUND, Existence.UNKNOWN, Wait.PARTITION),
        (Answer.NOT_FOUND, Existence.RUNNING, Wait.AGAIN),
        (Answer.NOT_FOUND, Existence.CLOSED, Settle(Outcome.LATE)),
        (Answer.NOT_FOUND, Existence.MISSING, Settle(Outcome.PARKED)),
    ],
)
def test_a_signal(answer: Answer, existence: Existence | None, decision: Decision) -> None:
    """Each row of design §6 for a route that parks early events and records late ones."""
    assert decide(answer, existence, early=Early.PARK, late=Late.RECORD) == decision


@pytest.mark.parametrize(
    ("answer", "decision"),
    [
        (Answer.ACCEPTED, Settle(Outcome.STARTED)),
        (Answer.ALREADY_STARTED, Settle(Outcome.ALREADY_STARTED)),
        (Answer.UNAVAILABLE, Wait.PARTITION),
        (Answer.REFUSED, Settle(Outcome.DEAD_LETTERED, Reason.REFUSED)),
    ],
)
def test_a_start(answer: Answer, decision: Decision) -> None:
    """A start that finds its workflow running or closed has had its effect."""
    assert decide(answer, None, early=None, late=None) == decision


@pytest.mark.parametrize(
    ("answer", "existence", "decision"),
    [
        (Answer.ACCEPTED, None, Settle(Outcome.DELIVERED)),
        (Answer.CLOSED, None, Settle(Outcome.LATE)),
        (Answer.NOT_FOUND, Existence.MISSING, Wait.AGAIN),
    ],
)
def test_a_signal_with_start(answer: Answer, existence: Existence | None, decision: Decision) -> None:
    """It is never too early: where nothing is there, it is tried again and starts the workflow."""
    assert decide(answer, existence, early=None, late=Late.RECORD) == decision


@pytest.mark.parametrize(
    ("existence", "reason"), [(Existence.CLOSED, Reason.LATE), (Existence.MISSING, Reason.EXPIRED)]
)
def test_policies_that_bury(existence: Existence, reason: Reason) -> None:
    """A route may want early or late events as dead letters."""
    decision = decide(Answer.NOT_FOUND, existence, early=Early.DEAD_LETTER, late=Late.DEAD_LETTER)
    assert decision == Settle(Outcome.DEAD_LETTERED, reason)


def test_a_late_event_is_buried_whichever_way_it_was_found_late() -> None:
    """What a cancellation or a signal-with-start finds closed is treated as what a look finds closed."""
    decision = decide(Answer.CLOSED, None, early=None, late=Late.DEAD_LETTER)
    assert decision == Settle(Outcome.DEAD_LETTERED, Reason.LATE)


@pytest.mark.parametrize("answer", list(Answer))
@pytest.mark.parametrize("existence", [None, *Existence])
def test_only_an_answer_about_the_event_parks_or_buries_it(
    answer: Answer, existence: Existence | None
) -> None:
    """Whatever may be the server's own trouble is waited out, whatever a look found before."""
    decision = decide(answer, existence, early=Early.PARK, late=Late.RECORD)
    if answer not in {Answer.NOT_FOUND, Answer.CLOSED, Answer.REFUSED, Answer.TOO_LARGE}:
        assert decision not in {Settle(Outcome.PARKED), Settle(Outcome.LATE)}
        assert not (isinstance(decision, Settle) and decision.outcome is Outcome.DEAD_LETTERED)


@pytest.mark.parametrize(
    ("error", "answer"),
    [
        (refusal(RPCStatusCode.NOT_FOUND, "", NotFoundFailure()), Answer.NOT_FOUND),
        (refusal(RPCStatusCode.NOT_FOUND, "workflow not found"), Answer.NOT_FOUND),
        (refusal(RPCStatusCode.NOT_FOUND, "", NamespaceNotFoundFailure(namespace="x")), Answer.UNAVAILABLE),
        (refusal(RPCStatusCode.ALREADY_EXISTS), Answer.ALREADY_STARTED),
        (refusal(RPCStatusCode.RESOURCE_EXHAUSTED, "", BUSY), Answer.BUSY_WORKFLOW),
        (refusal(RPCStatusCode.RESOURCE_EXHAUSTED, "", RATE), Answer.UNAVAILABLE),
        (refusal(RPCStatusCode.RESOURCE_EXHAUSTED), Answer.UNAVAILABLE),
        (refusal(RPCStatusCode.UNAVAILABLE), Answer.UNAVAILABLE),
        (refusal(RPCStatusCode.DEADLINE_EXCEEDED), Answer.UNAVAILABLE),
        (refusal(RPCStatusCode.UNAUTHENTICATED), Answer.UNAVAILABLE),
        (refusal(RPCStatusCode.PERMISSION_DENIED), Answer.UNAVAILABLE),
        (refusal(RPCStatusCode.INTERNAL), Answer.UNAVAILABLE),
        (refusal(RPCStatusCode.CANCELLED), Answer.UNAVAILABLE),
        (refusal(RPCStatusCode.INVALID_ARGUMENT, "blob too large"), Answer.REFUSED),
        (
            refusal(RPCStatusCode.INVALID_ARGUMENT, "exceeded workflow execution limit for signal events"),
            Answer.SIGNAL_LIMIT,
        ),
    ],
)
def test_what_an_error_means(error: RPCError, answer: Answer) -> None:
    """A missing namespace is not a missing workflow; a busy workflow is not an exhausted server."""
    assert answer_of(error) is answer


@pytest.mark.parametrize(
    ("error", "overload"),
    [
        (refusal(RPCStatusCode.RESOURCE_EXHAUSTED, "", RATE), True),
        (refusal(RPCStatusCode.RESOURCE_EXHAUSTED), True),
        (refusal(RPCStatusCode.DEADLINE_EXCEEDED), True),
        (refusal(RPCStatusCode.CANCELLED, "Timeout expired"), True),
        (refusal(RPCStatusCode.UNAVAILABLE), True),
        (refusal(RPCStatusCode.RESOURCE_EXHAUSTED, "", BUSY), False),
        (refusal(RPCStatusCode.NOT_FOUND, "", NamespaceNotFoundFailure(namespace="x")), False),
        (refusal(RPCStatusCode.UNAUTHENTICATED), False),
        (ValueError("ours"), False),
    ],
)
def test_what_asks_for_fewer_calls(error: Exception, overload: bool) -> None:
    """Only a server without strength or without a word; neither one busy workflow nor a wrong address."""
    assert is_overload(error) is overload
