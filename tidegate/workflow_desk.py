"""What an operator does with workflows: list, show, signal, query, cancel, resume.

Every function takes a client and raises :class:`MisuseError` for a workflow that is not there.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, Final

from google.protobuf.timestamp_pb2 import Timestamp
from pydantic import TypeAdapter, ValidationError
from temporalio.api.common.v1 import Header, Payloads, WorkflowExecution
from temporalio.api.enums.v1 import PendingActivityState
from temporalio.api.sdk.v1 import WorkflowMetadata
from temporalio.api.workflow.v1 import PendingActivityInfo
from temporalio.api.workflowservice.v1 import (
    ResetActivityRequest,
    ResetWorkflowExecutionRequest,
    SignalWorkflowExecutionRequest,
    UnpauseActivityRequest,
)
from temporalio.client import (
    Client,
    WorkflowExecutionDescription,
    WorkflowExecutionStatus,
    WorkflowQueryFailedError,
)
from temporalio.client import (
    WorkflowExecution as Execution,
)
from temporalio.service import RPCError, RPCStatusCode

from infra.errors import InvalidInputError, MisuseError, TidegateError
from infra.ids import derived_id
from tidegate.workflow_history import happenings, reset_point
from workflows.contracts import SIGNALS, WORKFLOWS
from workflows.contracts.base import EVENT_ID_HEADER
from workflows.visibility import ORDER_ID, STATUS

_PATIENCE: Final = timedelta(seconds=10)
_TO_TRY_AGAIN: Final = (
    WorkflowExecutionStatus.FAILED,
    WorkflowExecutionStatus.TIMED_OUT,
    WorkflowExecutionStatus.TERMINATED,
    WorkflowExecutionStatus.CANCELED,
)
STATES: Final = tuple(state.name for state in WorkflowExecutionStatus)
"""The states that Temporal knows of a workflow; what it is doing itself is its *status*."""


async def list_workflows(
    client: Client,
    *,
    kind: str | None,
    status: str | None,
    state: str | None,
    order_id: str | None,
    limit: int,
) -> list[dict[str, Any]]:
    """The newest workflows that fit, one row each. ``kind`` is a workflow's name, ``state`` one of :data:`STATES`.

    Raises :class:`MisuseError` for a name or a state that is none.
    """
    known = [contract.name for contract in WORKFLOWS]
    if kind is not None and kind not in known:
        raise MisuseError(f"no workflow is called {kind!r}: they are {', '.join(known)}")
    if state is not None and state.upper() not in STATES:
        raise MisuseError(f"Temporal has no state {state!r}: they are {', '.join(STATES)}")
    wanted = {
        "WorkflowType": kind,
        STATUS.name: status,
        ORDER_ID.name: order_id,
        "ExecutionStatus": _TEMPORALS.get(state.upper()) if state else None,
    }
    for value in wanted.values():
        if value is not None and "'" in value:
            raise MisuseError(f"nothing to search for has a quotation mark in it: {value}")
    query = " AND ".join(f"{name} = '{value}'" for name, value in wanted.items() if value is not None)
    with_names = client.list_workflows(query or None, limit=limit)
    return [_row(found) async for found in with_names]


_TEMPORALS: Final = {
    "RUNNING": "Running",
    "COMPLETED": "Completed",
    "FAILED": "Failed",
    "CANCELED": "Canceled",
    "TERMINATED": "Terminated",
    "CONTINUED_AS_NEW": "ContinuedAsNew",
    "TIMED_OUT": "TimedOut",
}


async def show_workflow(client: Client, workflow_id: str) -> dict[str, Any]:
    """The latest run: its row, what is pending, what its queries answer and what happened in it."""
    async with _named(workflow_id):
        handle = client.get_workflow_handle(workflow_id)
        found = await handle.describe()
        history = await client.get_workflow_handle(workflow_id, run_id=found.run_id).fetch_history()
        raw = found.raw_description
        return {
            **_row(found),
            "run_id": found.run_id,
            "task_queue": found.task_queue,
            "events": found.history_length,
            "pending_activities": [_pending(activity) for activity in raw.pending_activities],
            "pending_children": [child.workflow_id for child in raw.pending_children],
            "pending_workflow_task_attempt": raw.pending_workflow_task.attempt or None,
            "queries": await _queries(client, workflow_id),
            "history": list(happenings(history.events)),
        }


async def signal_workflow(
    client: Client, workflow_id: str, name: str, payload: dict[str, Any], event_id: str | None
) -> str:
    """Send a signal as the bridge does; the id under which repeats of it are dropped.

    The same ``event_id`` twice has its effect once, also across continue-as-new. Raises :class:`MisuseError` for a
    signal that no workflow has, :class:`InvalidInputError` for a payload that it could not read.
    """
    contract = next((signal for signal in SIGNALS if signal.name == name), None)
    if contract is None:
        raise MisuseError(
            f"no signal is called {name!r}: they are {', '.join(sorted(s.name for s in SIGNALS))}"
        )
    try:
        TypeAdapter(contract.payload).validate_python(payload)
    except ValidationError as error:
        first = error.errors()[0]
        raise InvalidInputError(
            f"{name} takes a {contract.payload.__name__}: {'.'.join(map(str, first['loc']))}: {first['msg']}"
        ) from error
    chosen = event_id or f"operator-{secrets.token_hex(8)}"
    encode = client.data_converter.payload_converter.to_payload
    async with _named(workflow_id):
        await client.workflow_service.signal_workflow_execution(
            SignalWorkflowExecutionRequest(
                namespace=client.namespace,
                workflow_execution=WorkflowExecution(workflow_id=workflow_id),
                signal_name=name,
                input=Payloads(payloads=await client.data_converter.encode([payload])),
                header=Header(fields={EVENT_ID_HEADER: encode(chosen)}),
                request_id=str(derived_id("operator-signal", workflow_id, name, chosen)),
                identity=client.identity,
            ),
            retry=True,
        )
    return chosen


async def query_workflow(client: Client, workflow_id: str, name: str) -> Any:
    """What the workflow answers, open or closed. Raises :class:`TidegateError` where it cannot."""
    async with _named(workflow_id):
        try:
            return await client.get_workflow_handle(workflow_id).query(name, rpc_timeout=_PATIENCE)
        except WorkflowQueryFailedError as error:
            raise MisuseError(f"{workflow_id} does not answer {name}: {error.cause or error}") from error


async def cancel_workflow(client: Client, workflow_id: str, reason: str) -> str:
    """Ask the workflow to end; it undoes what it must first, or goes on where it is too late."""
    async with _named(workflow_id):
        found = await client.get_workflow_handle(workflow_id).describe()
        if found.status is not WorkflowExecutionStatus.RUNNING:
            raise MisuseError(f"{workflow_id} has ended already: {_state(found)}")
        await client.get_workflow_handle(workflow_id).cancel(reason=reason)
    return "cancellation requested"


async def resume_workflow(
    client: Client, workflow_id: str, *, activity: str | None, reason: str, dry_run: bool
) -> list[str]:
    """Get a stuck workflow going; one sentence for each thing that is done, or would be (``dry_run``).

    A run that is open: paused activities go on, activities that wait for their next attempt are tried now, from
    the first attempt. One that failed, timed out, was cancelled or terminated: reset to its last good workflow
    task (:func:`tidegate.workflow_history.reset_point`), as a new run under the same id; what was signalled since
    is signalled again. ``activity`` narrows either to one activity's name. Raises :class:`MisuseError` where there
    is nothing to resume.
    """
    async with _named(workflow_id):
        found = await client.get_workflow_handle(workflow_id).describe()
        if found.status is WorkflowExecutionStatus.RUNNING:
            return await _retry_pending(client, found, activity, dry_run=dry_run)
        if found.status not in _TO_TRY_AGAIN:
            raise MisuseError(f"{workflow_id} has {_state(found).lower()}: there is nothing to resume")
        history = await client.get_workflow_handle(workflow_id, run_id=found.run_id).fetch_history()
        point = reset_point(history.events, activity)
        if not dry_run:
            await client.workflow_service.reset_workflow_execution(
                ResetWorkflowExecutionRequest(
                    namespace=client.namespace,
                    workflow_execution=WorkflowExecution(workflow_id=workflow_id, run_id=found.run_id),
                    reason=reason,
                    workflow_task_finish_event_id=point.event_id,
                    request_id=str(derived_id("operator-reset", workflow_id, found.run_id, point.event_id)),
                    identity=client.identity,
                )
            )
    return [f"reset to workflow task {point.event_id}: {point.why}"]


async def _retry_pending(
    client: Client, found: WorkflowExecutionDescription, activity: str | None, *, dry_run: bool
) -> list[str]:
    raw = found.raw_description
    waiting = [
        pending
        for pending in raw.pending_activities
        if activity in (None, pending.activity_type.name) and (pending.paused or _waits_for_a_retry(pending))
    ]
    if not waiting:
        task = raw.pending_workflow_task
        why = (
            f"its workflow task has failed {task.attempt - 1} times and is tried again by itself: look at the "
            "worker's log, mend or roll back the code"
            if task.attempt > 1
            else "no activity is paused or waits for another attempt; `tidegate workflows show` says what it waits for"
        )
        raise MisuseError(f"{found.id} runs, and there is nothing to resume: {why}")
    done = []
    for pending in waiting:
        name, execution = (
            pending.activity_type.name,
            WorkflowExecution(workflow_id=found.id, run_id=found.run_id),
        )
        common: dict[str, Any] = {
            "namespace": client.namespace,
            "execution": execution,
            "identity": client.identity,
            "id": pending.activity_id,
        }
        if pending.paused:
            done.append(f"{name}: was paused, goes on")
            if not dry_run:
                await client.workflow_service.unpause_activity(UnpauseActivityRequest(**common))
        else:
            done.append(f"{name}: tried again now, instead of attempt {pending.attempt} later")
            if not dry_run:
                await client.workflow_service.reset_activity(ResetActivityRequest(**common))
    return done


def _waits_for_a_retry(pending: PendingActivityInfo) -> bool:
    scheduled = pending.state == PendingActivityState.PENDING_ACTIVITY_STATE_SCHEDULED
    return scheduled and pending.attempt > 1


async def _queries(client: Client, workflow_id: str) -> dict[str, Any]:
    """What each query of the workflow answers; a sentence where no worker does."""
    handle = client.get_workflow_handle(workflow_id)
    try:
        metadata: WorkflowMetadata = await handle.query(
            "__temporal_workflow_metadata", result_type=WorkflowMetadata, rpc_timeout=_PATIENCE
        )
        names = [query.name for query in metadata.definition.query_definitions]
        return {
            name: await handle.query(name, rpc_timeout=_PATIENCE)
            for name in names
            if not name.startswith("__")
        }
    except (RPCError, WorkflowQueryFailedError) as error:
        return {"unknown": f"no worker answers for it: {error}"}


def _row(found: Execution) -> dict[str, Any]:
    return {
        "workflow_id": found.id,
        "type": found.workflow_type,
        "state": _state(found),
        "status": found.typed_search_attributes.get(STATUS),
        "order_id": found.typed_search_attributes.get(ORDER_ID),
        "started_at": found.start_time,
        "closed_at": found.close_time,
    }


def _state(found: Execution) -> str:
    return found.status.name if found.status else "UNKNOWN"


def _pending(activity: PendingActivityInfo) -> dict[str, Any]:
    state = PendingActivityState.Name(activity.state).removeprefix("PENDING_ACTIVITY_STATE_").lower()
    return {
        "activity": activity.activity_type.name,
        "state": "paused" if activity.paused else state,
        "attempt": activity.attempt,
        "next_attempt_at": _moment(activity.next_attempt_schedule_time)
        if activity.HasField("next_attempt_schedule_time")
        else None,
        "last_failure": activity.last_failure.message or None,
        "worker": activity.last_worker_identity or None,
    }


def _moment(stamp: Timestamp) -> str:
    return stamp.ToDatetime().isoformat() + "Z"


@asynccontextmanager
async def _named(workflow_id: str) -> AsyncIterator[None]:
    """Say in one line what the server did not like."""
    try:
        yield
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            raise MisuseError(
                f"no such workflow, or it has ended: {workflow_id}; `tidegate workflows list` lists them"
            ) from error
        if error.status in (RPCStatusCode.DEADLINE_EXCEEDED, RPCStatusCode.CANCELLED):
            raise TidegateError(f"no worker answers for {workflow_id}: does one serve its queue?") from error
        raise TidegateError(f"Temporal refuses it for {workflow_id}: {error.message}") from error
