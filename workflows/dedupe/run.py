"""The part of the plugin that runs inside a workflow, once per run.

The memory is plain workflow state: it is rebuilt by replay, so also after a worker's restart and after a reset,
and goes on to the next run in headers. Temporal's own ``request_id`` does not do this: it knows nothing of an
earlier run (facts, "Temporal").

What a run decided is in its history: at the signal where it first drops a repeat, and at the one with which it is
full, it records a patch marker that bears the number of that signal. In replay it asks for the marker of each
signal that could have been the one; a run that went on without the plugin has none, and replays as it went. One
marker under one name could not do this: the SDK remembers the first answer to a name for the rest of the run.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import timedelta
from typing import Any, ClassVar, Literal, NoReturn, TypeAlias

from temporalio import workflow
from temporalio.exceptions import ApplicationError
from temporalio.worker import (
    ContinueAsNewInput,
    ExecuteWorkflowInput,
    HandleSignalInput,
    WorkflowInboundInterceptor,
    WorkflowOutboundInterceptor,
)
from temporalio.workflow import Info

from workflows.contracts.base import CONTINUE_AS_NEW_UPDATE, EVENT_ID_HEADER
from workflows.dedupe.memory import SeenSignals, carried

Decisions: TypeAlias = Literal["marked", "unmarked", "replayed"]
"""How a run's history tells what was decided; see :class:`~workflows.dedupe.plugin.DedupeSignals`."""

_DROPS_FROM = "tidegate-drops-from"
_FULL_FROM = "tidegate-full-from"


@dataclass(frozen=True, slots=True)
class Options:
    """What :class:`~workflows.dedupe.plugin.DedupeSignals` was told."""

    remember: int
    forget_after: timedelta
    signals_per_run: int
    decisions: Decisions


class DedupingInbound(WorkflowInboundInterceptor):
    """What stands between the server and one run of a workflow."""

    options: ClassVar[Options]

    def __init__(self, next: WorkflowInboundInterceptor) -> None:  # noqa: A002 - the SDK's name
        super().__init__(next)
        self.signals = 0
        """How many signals this run was given, repeats among them: as the server counts."""
        self.asked = False
        """Whether this run is to end and continue as new."""
        self.looks = False
        """Whether the workflow has ever looked if it is to: it then opts in to being asked."""
        self._drops = False
        self._began = False

    def init(self, outbound: WorkflowOutboundInterceptor) -> None:
        """Take over what the run before this one had seen, and give the workflow the reserved update."""
        info = outbound.info()
        try:
            before = carried(info.headers, workflow.payload_converter(), info.workflow_start_time.timestamp())
        except Exception:
            # Failing would fail every task of the run for ever, and handlers are idempotent by meaning.
            workflow.logger.warning("what the run before had seen cannot be read: forgotten")
            before = {}
        self.seen = SeenSignals(self.options.remember, self.options.forget_after, before)
        workflow.set_update_handler(CONTINUE_AS_NEW_UPDATE, self._ask, validator=self._may_be_asked)
        super().init(_Outbound(outbound, self))

    async def execute_workflow(self, input: ExecuteWorkflowInput) -> Any:  # noqa: A002 - the SDK's name
        """Note that the workflow's own code has begun."""
        self._began = True
        return await super().execute_workflow(input)

    async def handle_signal(self, input: HandleSignalInput) -> None:  # noqa: A002 - the SDK's name
        """Hand on a signal that is new, or that nobody can know to be a repeat."""
        self.signals += 1
        if not self.asked and self.signals >= self.options.signals_per_run:
            self.asked = self._decides(_FULL_FROM)
        event_id = _event_id(input)
        if event_id is not None and not self.seen.is_new(f"{event_id}:{input.signal}", workflow.time()):
            self._drops = self._drops or self._decides(_DROPS_FROM)
            if self._drops:
                _note_dropped(input.signal, event_id)
                return
        await super().handle_signal(input)

    def _decides(self, what: str) -> bool:
        """Whether the run decides ``what`` at this signal; in replay, whether it did."""
        match self.options.decisions:
            case "unmarked":
                return True
            case "replayed" if not workflow.unsafe.is_replaying():
                return False
            case _:
                return workflow.patched(f"{what}-{self.signals}")

    async def _ask(self) -> dict[str, Any]:
        """The reserved update: ask this run to continue as new at its next wait."""
        self.asked = True
        return {"run_id": workflow.info().run_id, "signals": self.signals}

    def _may_be_asked(self) -> None:
        # An update may come in the same activation as the start, ahead of all code of the workflow: also to a
        # worker that replays, which gets tasks that brought nothing together with the next one.
        if self._began and not self.looks:
            raise ApplicationError(
                "this run has not looked at workflow.info().is_continue_as_new_suggested() so far: asking it for a "
                "new run would change nothing",
                type="NotOptedIn",
            )


class _Outbound(WorkflowOutboundInterceptor):
    def __init__(self, next: WorkflowOutboundInterceptor, run: DedupingInbound) -> None:  # noqa: A002
        super().__init__(next)
        self._run = run
        self._info: Info | None = None

    def info(self) -> Info:
        if self._info is None:
            self._info = _info_of(super().info(), self._run)
        return self._info

    def continue_as_new(self, input: ContinueAsNewInput) -> NoReturn:  # noqa: A002 - the SDK's name
        input.headers = {**input.headers, **self._run.seen.headers(workflow.payload_converter())}
        super().continue_as_new(input)


@dataclass(frozen=True)
class _Info(Info):
    """The info of a run that may be asked to end. What changes in an ``Info`` changes in place, or is asked for."""

    _run: DedupingInbound

    def is_continue_as_new_suggested(self) -> bool:
        self._run.looks = True
        return self._run.asked or super().is_continue_as_new_suggested()


def _info_of(info: Info, run: DedupingInbound) -> Info:
    return _Info(**{field.name: getattr(info, field.name) for field in fields(info)}, _run=run)


def _event_id(signal: HandleSignalInput) -> str | None:
    payload = signal.headers.get(EVENT_ID_HEADER)
    if payload is None:
        return None
    try:
        return str(workflow.payload_converter().from_payload(payload, str))
    except Exception:
        # It identifies nothing, and handlers are idempotent by meaning: let it through.
        workflow.logger.warning("a signal %s carries an unreadable event id", signal.signal)
        return None


def _note_dropped(signal: str, event_id: str) -> None:
    workflow.logger.info("dropped a signal seen before: %s %s", signal, event_id)
    workflow.metric_meter().create_counter(
        "tidegate_signals_dropped", "Signals dropped because the workflow had seen their event."
    ).add(1, {"signal": signal})
