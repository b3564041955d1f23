"""The language of routes: which event starts, signals or cancels which workflow.

    on(OrderSubmitted).start(ORDER_INTAKE)
    on(PickCompleted).signal(PICK_COMPLETED).to("order-fulfillment-{order_id}", early=park(hours=24), late=…)
    on(InventoryAllocated).when(waited="true").signal(INVENTORY_ALLOCATED).to(…)
    on(MeterRead).signal(READING).starting(METER, late=record)
    on(TrialRevoked).cancel("trial-{trial_id}", early=park(hours=1), late=record)

A route is data: it can be listed, checked at start (:mod:`consumers.bridge.checking`) and explained
(:mod:`consumers.bridge.explaining`). It says what happens to an event that comes before its workflow exists
(``early``) and after it has closed (``late``); there is no default for either. A start comes neither too early nor too
late, a signal that starts its workflow not too early. Source: design §4, "Routes"; docs/decisions/0015.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import cache
from string import Formatter
from typing import Any, Literal

from consumers.bridge.delivery import Early, Late
from schemas.event import Event
from workflows.contracts.base import SignalContract, WorkflowContract

Action = Literal["start", "signal", "signal_with_start", "cancel"]
"""What a route does to its workflow."""

Poison = Literal["skip", "hold"]
"""What a key does after one of its events became a dead letter: go on, or wait for the event to be mended."""


@dataclass(frozen=True, slots=True)
class EarlyPolicy:
    """What happens to an event before its workflow exists; ``patience`` is how long it stays parked."""

    action: Early
    patience: timedelta = timedelta(0)


def park(*, hours: float = 0, minutes: float = 0, seconds: float = 0) -> EarlyPolicy:
    """Keep an early event until its workflow appears, at most this long; then it becomes a dead letter."""
    return EarlyPolicy(Early.PARK, timedelta(hours=hours, minutes=minutes, seconds=seconds))


record = Late.RECORD
"""A late event is written to the ledger and goes no further."""


@dataclass(frozen=True, slots=True)
class Route:
    """One line of the routing table. ``event`` is the full name of a record schema (``ce_type``)."""

    event: str
    action: Action
    target: str
    """The workflow's type for a start, the signal's name for a signal, the template for a cancellation."""
    template: str
    """The workflow id, with the event's fields in braces."""
    workflow: str | None = None
    """The workflow's type, of a route that may start it."""
    queue: str | None = None
    """The task queue of a start."""
    when: Mapping[str, str] = field(default_factory=dict)
    early: EarlyPolicy | None = None
    late: Late | None = None
    poison: Poison = "skip"

    name: str = field(init=False, repr=False, compare=False)
    """The name under which the ledger keeps this route's deliveries: it must outlive releases."""

    def __post_init__(self) -> None:
        # Every event asks for it, so it is made once.
        named = f"{self.event.rpartition('.')[2]}:{self.action}:{self.target}"
        object.__setattr__(self, "name", named)

    @property
    def template_fields(self) -> tuple[str, ...]:
        """The event's fields that the workflow id needs. Raises ValueError for a template that is none."""
        return _fields_of(self.template)

    @property
    def starts(self) -> bool:
        """Whether the workflow need not be there."""
        return self.workflow is not None

    def start_alone(self) -> Route:
        """The route that starts the workflow of a signal-with-start, and leaves the signal for later."""
        return replace(self, action="start", target=self.workflow or "", late=None)

    def wants(self, extensions: Mapping[str, str]) -> bool:
        """Whether the headers of an event are those that ``when`` asks for."""
        return all(extensions.get(name) == value for name, value in self.when.items())

    def workflow_id(self, event: Event) -> str | None:
        """The id of the workflow that ``event`` is for, or None where a field that it needs is missing or
        empty."""
        values = {name: getattr(event, name, None) for name in self.template_fields}
        if any(value is None or value == "" for value in values.values()):
            return None
        return self.template.format_map(values)

    def describe(self) -> dict[str, str]:
        """The route as text, by column."""
        return {
            "event": self.event,
            "when": ", ".join(f"{name}={value}" for name, value in self.when.items()),
            "action": self.action,
            "target": self.target,
            "workflow_id": self.template,
            "early": _early_text(self.early),
            "late": self.late.value if self.late else "",
            "poison": self.poison,
            "name": self.name,
        }


@cache
def _fields_of(template: str) -> tuple[str, ...]:
    return tuple(name for _, name, _, _ in Formatter().parse(template) if name is not None)


def on(event: type[Event] | str) -> RouteStart:
    """Begin a route for ``event``: a class of :mod:`schemas.events`, or a full name."""
    return RouteStart(event if isinstance(event, str) else event.TYPE)


@dataclass(frozen=True, slots=True)
class RouteStart:
    """A route that has an event and, so far, nothing to do with it."""

    event: str
    conditions: Mapping[str, str] = field(default_factory=dict)
    poison: Poison = "skip"

    def when(self, **headers: str) -> RouteStart:
        """Only for events whose CloudEvents extensions have these values (``flow="paid"`` looks at
        ``ce_flow``)."""
        return replace(self, conditions={**self.conditions, **headers})

    def hold_on_poison(self) -> RouteStart:
        """After a dead letter of this route its key waits until the dead letter is redriven or discarded."""
        return replace(self, poison="hold")

    def start(self, workflow: WorkflowContract) -> Route:
        """Start ``workflow``; its contract says under which id and on which queue."""
        return Route(
            event=self.event,
            action="start",
            target=workflow.name,
            template=workflow.id_template,
            workflow=workflow.name,
            queue=workflow.queue,
            when=self.conditions,
            poison=self.poison,
        )

    def cancel(self, template: str, *, early: EarlyPolicy | None = None, late: Late | None = None) -> Route:
        """Ask the workflow whose id is ``template``, filled from the event's fields, to cancel itself.

        Asking twice is asking once: a run keeps the request, whoever made it. An event whose workflow had been asked
        before it closed is not late.
        """
        return Route(
            event=self.event,
            action="cancel",
            target=template,
            template=template,
            when=self.conditions,
            early=early,
            late=late,
            poison=self.poison,
        )

    def signal(self, signal: SignalContract[Any]) -> SignalStart:
        """Signal a workflow; :meth:`SignalStart.to` or :meth:`SignalStart.starting` says which."""
        return SignalStart(self, signal)


@dataclass(frozen=True, slots=True)
class SignalStart:
    """A route that knows its signal and not yet its workflow."""

    start: RouteStart
    signal: SignalContract[Any]

    def to(self, template: str, *, early: EarlyPolicy | None = None, late: Late | None = None) -> Route:
        """Send it to the workflow whose id is ``template`` filled from the event's fields."""
        return Route(
            event=self.start.event,
            action="signal",
            target=self.signal.name,
            template=template,
            when=self.start.conditions,
            early=early,
            late=late,
            poison=self.start.poison,
        )

    def starting(self, workflow: WorkflowContract, *, late: Late | None = None) -> Route:
        """Send it to ``workflow``, which is started with the same argument where it does not exist yet.

        One that has closed is never started again: then ``late`` says what happens.
        """
        return Route(
            event=self.start.event,
            action="signal_with_start",
            target=self.signal.name,
            template=workflow.id_template,
            workflow=workflow.name,
            queue=workflow.queue,
            when=self.start.conditions,
            late=late,
            poison=self.start.poison,
        )


def _early_text(policy: EarlyPolicy | None) -> str:
    if policy is None:
        return ""
    if policy.action is Early.DEAD_LETTER:
        return policy.action.value
    seconds = policy.patience.total_seconds()
    return f"park {seconds / 3600:g} h" if seconds >= 3600 else f"park {seconds:g} s"
