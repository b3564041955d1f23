"""Refuses routes that cannot work, before anything is consumed: one error, of its own kind, for each fault."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from datetime import timedelta
from typing import Any, cast

from consumers.bridge.delivery import Early
from consumers.bridge.route import Route
from consumers.errors import (
    DuplicateRouteError,
    ImpossibleConditionError,
    MissingInputError,
    MissingPolicyError,
    UnknownEventError,
    UnknownFieldError,
    UnknownSignalError,
    UnknownWorkflowError,
    UntakenSignalError,
)
from schemas.envelope import is_extension
from schemas.event import Event
from workflows.contracts.base import SignalContract, WorkflowContract


@dataclass(frozen=True, slots=True)
class Known:
    """What there is to route, and to route to. ``taken`` holds the signals that each workflow type takes."""

    events: Mapping[str, type[Event]]
    signals: Mapping[str, SignalContract[Any]]
    workflows: Mapping[str, WorkflowContract]
    taken: Mapping[str, Collection[str]]

    @classmethod
    def of(
        cls,
        events: Iterable[type[Event]],
        signals: Iterable[SignalContract[Any]],
        workflows: Mapping[WorkflowContract, Collection[SignalContract[Any]]],
    ) -> Known:
        """``workflows`` says of each which signals it takes."""
        return cls(
            events={event.TYPE: event for event in events},
            signals={signal.name: signal for signal in signals},
            workflows={workflow.name: workflow for workflow in workflows},
            taken={
                workflow.name: frozenset(signal.name for signal in takes)
                for workflow, takes in workflows.items()
            },
        )


def check_routes(routes: Sequence[Route], known: Known) -> None:
    """Raise the :class:`~consumers.errors.RouteError` that names the first fault, if there is one.

    Whether a workflow takes a signal is known where the route names the workflow, or its id template is that of one.
    """
    names: set[str] = set()
    for route in routes:
        event = known.events.get(route.event)
        if event is None:
            raise UnknownEventError(
                f"route {route.name}: no schema describes {route.event}; add its .avsc, or mend the name"
            )
        _check_conditions(route)
        _check_target(route, known)
        _check_template(route, event)
        _check_input(route, event, known)
        _check_policies(route)
        if route.name in names:
            raise DuplicateRouteError(
                f"route {route.name} is there twice; the ledger could not tell them apart"
            )
        names.add(route.name)


def _check_conditions(route: Route) -> None:
    for name in route.when:
        if not is_extension(name):
            raise ImpossibleConditionError(
                f"route {route.name}: .when({name}=…) is never so: no CloudEvents extension is called {name!r} "
                "(lower-case letters and digits, 20 at most, no core attribute)"
            )


def _check_target(route: Route, known: Known) -> None:
    if route.workflow is not None and route.workflow not in known.workflows:
        raise UnknownWorkflowError(
            f"route {route.name}: workflows.contracts knows no workflow {route.workflow}"
        )
    if route.action not in ("signal", "signal_with_start"):
        return
    if route.target not in known.signals:
        raise UnknownSignalError(f"route {route.name}: workflows.contracts knows no signal {route.target}")
    for name, workflow in known.workflows.items():
        addressed = route.workflow == name or route.template == workflow.id_template
        if addressed and route.target not in known.taken[name]:
            takes = ", ".join(sorted(known.taken[name])) or "none"
            raise UntakenSignalError(
                f"route {route.name}: {name} takes no signal {route.target}, so it would wait there unread; "
                f"it takes {takes}"
            )


def _check_template(route: Route, event: type[Event]) -> None:
    try:
        needed = route.template_fields
    except ValueError as error:
        raise UnknownFieldError(
            f"route {route.name}: workflow id {route.template!r} cannot be read: {error}"
        ) from error
    there = _names(event)
    if not needed:
        raise UnknownFieldError(
            f"route {route.name}: workflow id {route.template!r} has no field of the event in it; "
            f"choose from {', '.join(there)}"
        )
    for name in needed:
        if name not in there:
            raise UnknownFieldError(
                f"route {route.name}: workflow id {route.template!r} needs the field {name!r}, which "
                f"{route.event} does not have; choose from {', '.join(there)}"
            )


def _check_input(route: Route, event: type[Event], known: Known) -> None:
    there = _names(event)
    takers: list[tuple[str, type[Any]]] = []
    if route.workflow is not None:
        takers.append((f"workflow {route.workflow}", known.workflows[route.workflow].input))
    if route.target in known.signals and route.action != "start":
        takers.append((f"signal {route.target}", known.signals[route.target].payload))
    for taker, kind in takers:
        if missing := [name for name in _required(kind) if name not in there]:
            raise MissingInputError(
                f"route {route.name}: {taker} needs {', '.join(missing)}, which {route.event} does not have"
            )


def _check_policies(route: Route) -> None:
    examples = {"early": (route.early, "park(hours=24)"), "late": (route.late, "record")}
    wanted = {
        "start": (),
        "signal_with_start": ("late",),
        "signal": ("early", "late"),
        "cancel": ("early", "late"),
    }
    for policy in wanted[route.action]:
        value, example = examples[policy]
        if value is None:
            raise MissingPolicyError(
                f"route {route.name} does not say what happens to an event that comes too {policy}: "
                f"add {policy}={example}"
            )
    if route.early and route.early.action is Early.PARK and route.early.patience <= timedelta(0):
        raise MissingPolicyError(
            f"route {route.name} parks an early event for no time at all: say park(hours=…)"
        )


def _names(kind: type[Any]) -> list[str]:
    return sorted(each.name for each in fields(cast(Any, kind)))


def _required(kind: type[Any]) -> list[str]:
    return sorted(
        each.name
        for each in fields(cast(Any, kind))
        if each.default is MISSING and each.default_factory is MISSING
    )
