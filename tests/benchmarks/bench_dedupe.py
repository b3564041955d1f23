"""What DedupeSignals costs a worker for each signal, and what tracing costs where it is off.

    python -m tests.benchmarks.bench_dedupe [--signals 4000] [--repeats 5]

Replays one history with and without the plugin, in turn, without a sandbox and without a server: all that differs is
the plugin. Prints microseconds of CPU, the best of the repeats.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
import timeit
from collections.abc import Sequence
from typing import Final
from uuid import UUID

from temporalio.api.common.v1 import Header, Payloads, WorkflowType
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.client import WorkflowHistory
from temporalio.converter import PayloadConverter
from temporalio.worker import Replayer, UnsandboxedWorkflowRunner

from consumers.bridge.tracing import BridgeTracing
from consumers.runtime.record import ConsumedRecord
from tests.dedupe_workflow import Deaf
from workflows.contracts.base import EVENT_ID_HEADER
from workflows.dedupe import DedupeSignals

PER_TASK: Final = 10
"""Signals that one workflow task brings."""

CONVERTER = PayloadConverter.default


def history(signals: int, *, repeated: int) -> WorkflowHistory:
    """A run that was given ``signals`` signals, each event ``repeated`` times."""
    events = [_started()]
    _task(events)
    for number in range(signals):
        events.append(_signal(len(events) + 1, str(UUID(int=number // repeated))))
        if number % PER_TASK == PER_TASK - 1:
            _task(events)
    return WorkflowHistory("bench", events)


def _started() -> HistoryEvent:
    event = HistoryEvent(event_id=1, event_type=EventType.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED)
    event.event_time.FromSeconds(1_790_000_000)
    attributes = event.workflow_execution_started_event_attributes
    attributes.workflow_type.CopyFrom(WorkflowType(name="Deaf"))
    attributes.task_queue.CopyFrom(TaskQueue(name="bench"))
    attributes.input.CopyFrom(Payloads(payloads=CONVERTER.to_payloads([[]])))
    attributes.original_execution_run_id = attributes.first_execution_run_id = str(UUID(int=0))
    return event


def _signal(event_id: int, about: str) -> HistoryEvent:
    event = HistoryEvent(event_id=event_id, event_type=EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED)
    event.event_time.FromSeconds(1_790_000_000 + event_id)
    attributes = event.workflow_execution_signaled_event_attributes
    attributes.signal_name = "tell"
    attributes.input.CopyFrom(Payloads(payloads=CONVERTER.to_payloads(["word"])))
    attributes.header.CopyFrom(Header(fields={EVENT_ID_HEADER: CONVERTER.to_payload(about)}))
    return event


def _task(events: list[HistoryEvent]) -> None:
    """A workflow task that was scheduled, started and completed."""
    first = len(events) + 1
    for offset, kind in enumerate(("SCHEDULED", "STARTED", "COMPLETED")):
        event = HistoryEvent(
            event_id=first + offset, event_type=EventType.Value(f"EVENT_TYPE_WORKFLOW_TASK_{kind}")
        )
        event.event_time.FromSeconds(1_790_000_000 + first)
        events.append(event)
    events[-3].workflow_task_scheduled_event_attributes.SetInParent()
    events[-1].workflow_task_completed_event_attributes.scheduled_event_id = first
    events[-3].workflow_task_scheduled_event_attributes.SetInParent()
    events[-1].workflow_task_completed_event_attributes.started_event_id = first + 1
    events[-2].workflow_task_started_event_attributes.scheduled_event_id = first


async def replayed(run: WorkflowHistory, plugins: Sequence[DedupeSignals]) -> float:
    """Seconds of CPU that the replay of ``run`` takes."""
    replayer = Replayer(
        workflows=[Deaf], plugins=list(plugins), workflow_runner=UnsandboxedWorkflowRunner(), debug_mode=True
    )
    before = time.process_time()
    await replayer.replay_workflow(run)
    return time.process_time() - before


async def measure(signals: int, repeats: int) -> dict[str, float]:
    """Microseconds for each signal, by what was measured."""
    fresh, doubled = history(signals, repeated=1), history(signals, repeated=2)
    plugin = DedupeSignals(signals_per_run=10**9, decisions="unmarked")
    best = dict.fromkeys(("without the plugin", "with it", "with it, every other one a repeat"), float("inf"))
    for _ in range(repeats):
        for name, run, plugins in zip(best, (fresh, fresh, doubled), ((), (plugin,), (plugin,)), strict=True):
            best[name] = min(best[name], await replayed(run, plugins))
    return {name: seconds / signals * 1e6 for name, seconds in best.items()}


def tracing_off() -> float:
    """Microseconds that the bridge spends on tracing for one event where it is off."""
    tracing = BridgeTracing()
    record = ConsumedRecord("t", 0, 0, b"k", b"v", (), 0)

    def event() -> None:
        with tracing.processing(record):
            {**tracing.headers()}
            tracing.answered("")

    return min(timeit.repeat(event, number=20_000, repeat=5, timer=time.process_time)) / 20_000 * 1e6


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--signals", type=int, default=4000)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    for name, figure in asyncio.run(measure(options.signals, options.repeats)).items():
        sys.stdout.write(f"{figure:8.1f} µs a signal {name}\n")
    sys.stdout.write(f"{tracing_off():8.2f} µs an event for tracing that is off\n")


if __name__ == "__main__":
    main()
