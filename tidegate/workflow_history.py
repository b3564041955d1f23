"""Reading a workflow's history: what happened in it, for people, and from where it can be tried again.

Functions over events, without a server.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent

from infra.errors import MisuseError

_ENDED_BADLY: Final = (
    EventType.EVENT_TYPE_ACTIVITY_TASK_FAILED,
    EventType.EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT,
)
_TASK_COMPLETED: Final = EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED


@dataclass(frozen=True, slots=True)
class ResetPoint:
    """The workflow task from which a run is to be tried again, and why this one."""

    event_id: int
    why: str


def reset_point(events: Sequence[HistoryEvent], activity: str | None = None) -> ResetPoint:
    """From where to try a closed run again: the last good workflow task.

    That is the task which scheduled the last activity that failed for good (the last of the name ``activity``,
    where it is given): from there on the run asks again. Where no activity failed, the workflow's own code did
    or the run was ended from outside, and it is the last task that the code completed: the code of today
    decides again. Raises :class:`MisuseError` where there is no such place.
    """
    scheduled = {event.event_id: event for event in events if _scheduled_name(event)}
    for event in reversed(events):
        if event.event_type not in _ENDED_BADLY:
            continue
        asked = scheduled[_scheduled_id(event)]
        if activity in (None, _scheduled_name(asked)):
            task = asked.activity_task_scheduled_event_attributes.workflow_task_completed_event_id
            return ResetPoint(task, f"{_scheduled_name(asked)} failed for good and is asked again")
    if activity is not None:
        raise MisuseError(f"no activity {activity} failed for good in this run")
    tasks = [event.event_id for event in events if event.event_type == _TASK_COMPLETED]
    if not tasks:
        raise MisuseError("the run has not completed a single workflow task: start it again instead")
    return ResetPoint(tasks[-1], "no activity failed: today's code decides again from its last task")


def happenings(events: Iterable[HistoryEvent]) -> Iterator[dict[str, Any]]:
    """What happened, oldest first: event id, time and one sentence each. Workflow tasks that went well are left out."""
    names: dict[int, str] = {}
    timers: dict[int, str] = {}
    for event in events:
        if name := _scheduled_name(event):
            names[event.event_id] = name
        if event.event_type == EventType.EVENT_TYPE_TIMER_STARTED:
            started = event.timer_started_event_attributes
            timers[event.event_id] = _spoken(started.start_to_fire_timeout.ToTimedelta().total_seconds())
        sentence = _sentence(event, names, timers)
        if sentence:
            yield {"event": event.event_id, "time": _time(event), "what": sentence}


def _sentence(event: HistoryEvent, names: dict[int, str], timers: dict[int, str]) -> str | None:
    kind = EventType.Name(event.event_type).removeprefix("EVENT_TYPE_")
    match kind:
        case "WORKFLOW_EXECUTION_STARTED":
            continued = event.workflow_execution_started_event_attributes.continued_execution_run_id
            return f"run started, continuing {continued}" if continued else "run started"
        case "WORKFLOW_EXECUTION_SIGNALED":
            return f"signal {event.workflow_execution_signaled_event_attributes.signal_name}"
        case "WORKFLOW_EXECUTION_FAILED":
            return f"run failed: {event.workflow_execution_failed_event_attributes.failure.message}"
        case "WORKFLOW_TASK_FAILED":
            return f"workflow task failed: {event.workflow_task_failed_event_attributes.failure.message}"
        case "ACTIVITY_TASK_COMPLETED" | "ACTIVITY_TASK_CANCELED":
            return f"activity {names[_scheduled_id(event)]} {kind.rpartition('_')[2].lower()}"
        case "ACTIVITY_TASK_FAILED":
            message = _innermost(event.activity_task_failed_event_attributes.failure)
            return f"activity {names[_scheduled_id(event)]} failed for good: {message}"
        case "ACTIVITY_TASK_TIMED_OUT":
            return f"activity {names[_scheduled_id(event)]} timed out for good"
        case "TIMER_STARTED":
            return f"timer of {timers[event.event_id]} started"
        case "TIMER_FIRED":
            return f"timer of {timers[event.timer_fired_event_attributes.started_event_id]} fired"
        case "START_CHILD_WORKFLOW_EXECUTION_INITIATED":
            child = event.start_child_workflow_execution_initiated_event_attributes
            return f"child {child.workflow_type.name} {child.workflow_id} asked for"
        case "WORKFLOW_EXECUTION_UPDATE_ACCEPTED":
            accepted = event.workflow_execution_update_accepted_event_attributes.accepted_request
            return f"update {accepted.input.name} accepted"
    if kind.startswith(("CHILD_WORKFLOW_EXECUTION_", "WORKFLOW_EXECUTION_")):
        return kind.replace("CHILD_WORKFLOW_EXECUTION", "child").replace("WORKFLOW_EXECUTION", "run").replace(
            "_", " "
        ).lower()  # fmt: skip
    return None


def _scheduled_name(event: HistoryEvent) -> str:
    return event.activity_task_scheduled_event_attributes.activity_type.name


def _scheduled_id(event: HistoryEvent) -> int:
    attributes = getattr(event, event.WhichOneof("attributes") or "")
    return int(attributes.scheduled_event_id)


def _innermost(failure: Any) -> str:
    while failure.HasField("cause"):
        failure = failure.cause
    return str(failure.message)


def _time(event: HistoryEvent) -> datetime:
    return event.event_time.ToDatetime(tzinfo=UTC)


def _spoken(seconds: float) -> str:
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.3g} {unit}"
    return f"{seconds:.3g} s"
