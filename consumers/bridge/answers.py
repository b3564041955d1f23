"""What a failed call to Temporal says about the event, if anything; and whether it says that the server is
overloaded."""

from __future__ import annotations

from typing import Any, Final

from temporalio.api.enums.v1 import ResourceExhaustedCause
from temporalio.api.errordetails.v1 import NamespaceNotFoundFailure, ResourceExhaustedFailure
from temporalio.service import RPCError, RPCStatusCode

from consumers.bridge.delivery import Answer

_SIGNAL_LIMIT: Final = "limit for signal"
_SILENT: Final = frozenset(
    # CANCELLED is what the SDK itself says of a call that it gave up at the end of its time.
    {RPCStatusCode.UNAVAILABLE, RPCStatusCode.DEADLINE_EXCEEDED, RPCStatusCode.CANCELLED}
)


def answer_of(error: RPCError) -> Answer:
    """What a failed call says about the event, if anything.

    A missing namespace is NOT_FOUND too, and tells nothing about a workflow; a workflow that is busy is
    RESOURCE_EXHAUSTED like an exhausted server. The details tell them apart, not the message.
    """
    match error.status:
        case RPCStatusCode.NOT_FOUND:
            return Answer.UNAVAILABLE if _has_detail(error, NamespaceNotFoundFailure) else Answer.NOT_FOUND
        case RPCStatusCode.ALREADY_EXISTS:
            return Answer.ALREADY_STARTED
        case RPCStatusCode.RESOURCE_EXHAUSTED:
            return Answer.BUSY_WORKFLOW if _is_busy_workflow(error) else Answer.UNAVAILABLE
        case RPCStatusCode.INVALID_ARGUMENT:
            return Answer.SIGNAL_LIMIT if _SIGNAL_LIMIT in error.message else Answer.REFUSED
        case _:
            return Answer.UNAVAILABLE


def is_overload(error: Exception) -> bool:
    """Whether fewer calls at once may help: the server is out of strength, or says nothing.

    A workflow that is busy, a namespace that is missing and a key that is not accepted are none.
    """
    if not isinstance(error, RPCError):
        return False
    if error.status is RPCStatusCode.RESOURCE_EXHAUSTED:
        return not _is_busy_workflow(error)
    return error.status in _SILENT


def _has_detail(error: RPCError, kind: type[Any]) -> bool:
    return any(detail.Is(kind.DESCRIPTOR) for detail in error.grpc_status.details)


def _is_busy_workflow(error: RPCError) -> bool:
    for detail in error.grpc_status.details:
        failure = ResourceExhaustedFailure()
        if detail.Unpack(failure):
            return failure.cause == ResourceExhaustedCause.RESOURCE_EXHAUSTED_CAUSE_BUSY_WORKFLOW
    return False
