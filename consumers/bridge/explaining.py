"""What would happen to one event, and why: every step that the bridge takes, said instead of done.

The verdict on a route is the bridge's own :func:`~consumers.bridge.delivery.decide`, asked with what the servers know.
Where a server was not asked, the verdict says on what it depends.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from consumers.bridge.delivery import SETTLED, Answer, Existence, Outcome, Reason, Settle, decide
from consumers.bridge.evidence import Evidence, PastOutcome, Witnesses
from consumers.bridge.route import Action, Route
from consumers.bridge.stated import StatedEvent
from consumers.bridge.table import RoutingTable
from schemas.event import Event

Would = Literal[Action, "park", "record", "dead_letter", "nothing"]
"""What would happen: the route's action, one of its policies, a dead letter, or nothing."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What would happen, and why, in words."""

    would: Would
    why: str


@dataclass(frozen=True, slots=True)
class RouteExplained:
    """One route of the event's type. ``unmet`` are the conditions that it does not fulfil: (header, wanted, found)."""

    route: Route
    unmet: tuple[tuple[str, str, str | None], ...]
    workflow_id: str | None
    fields: Mapping[str, Any]
    """The event's fields that the workflow id is made of."""
    evidence: Evidence
    verdict: Verdict

    def to_json(self) -> dict[str, Any]:
        """The route as JSON values."""
        return {
            "route": self.route.name,
            "matches": not self.unmet,
            "unmet": [
                {"header": f"ce_{name}", "wanted": wanted, "found": found}
                for name, wanted, found in self.unmet
            ],
            "workflow_id": self.workflow_id,
            "template": self.route.template,
            "fields": dict(self.fields),
            **self.evidence.to_json(),
            "would": self.verdict.would,
            "why": self.verdict.why,
        }


@dataclass(frozen=True, slots=True)
class Explanation:
    """One event, each route of its type, and the verdict where it is the same for all of them.

    ``outcomes`` is what the ledger has of an event that is bad on every route alike.
    """

    stated: StatedEvent
    routes: tuple[RouteExplained, ...]
    verdict: Verdict | None
    outcomes: tuple[PastOutcome, ...] | None = None

    def to_json(self) -> dict[str, Any]:
        """The explanation as JSON values."""
        problem = self.stated.problem
        return {
            "event": self.stated.place,
            "event_id": str(self.stated.event_id) if self.stated.event_id else None,
            "type": self.stated.type,
            "headers": [list(header) for header in self.stated.headers],
            "decoded": self.stated.event is not None,
            "problem": problem.value if problem else None,
            "ledger": None if self.outcomes is None else [each.to_json() for each in self.outcomes],
            "routes": [route.to_json() for route in self.routes],
            "would": self.verdict.would if self.verdict else None,
            "why": self.verdict.why if self.verdict else None,
        }


async def explain(stated: StatedEvent, table: RoutingTable, witnesses: Witnesses) -> Explanation:
    """What would happen to the event. Raises as :meth:`~consumers.bridge.evidence.Witnesses.ask`."""
    routes = [await _route(stated, route, witnesses) for route in table.routed(stated.type or "")]
    outcomes = await witnesses.outcomes(stated.event_id, "") if stated.problem else None
    return Explanation(stated, tuple(routes), _whole(stated, routes), outcomes)


def _whole(stated: StatedEvent, routes: list[RouteExplained]) -> Verdict | None:
    if stated.problem is not None:
        held = any(each.route.poison == "hold" and not each.unmet for each in routes)
        after = "; its key waits until the letter is redriven or discarded" if held else "; its key goes on"
        return Verdict("dead_letter", stated.problem.sentence + after)
    if not routes:
        return Verdict("nothing", "no route is for events of this type: it is counted, and never decoded")
    if all(each.unmet for each in routes):
        return Verdict(
            "nothing", "no route wants an event with these headers: it is counted, and never decoded"
        )
    return None


async def _route(stated: StatedEvent, route: Route, witnesses: Witnesses) -> RouteExplained:
    unmet = tuple(
        (name, wanted, stated.extensions.get(name))
        for name, wanted in sorted(route.when.items())
        if stated.extensions.get(name) != wanted
    )
    event = stated.event
    if unmet or event is None:
        why = "; ".join(f"ce_{name} is {_shown(found)}, not {wanted!r}" for name, wanted, found in unmet)
        bad = stated.problem.sentence if stated.problem else "nobody decodes it"
        verdict = Verdict("nothing", why) if unmet else Verdict("dead_letter", bad)
        return RouteExplained(route, unmet, None, {}, Evidence(), verdict)
    return await _wanted(stated, route, event, witnesses)


async def _wanted(stated: StatedEvent, route: Route, event: Event, witnesses: Witnesses) -> RouteExplained:
    used = {name: getattr(event, name, None) for name in route.template_fields}
    workflow_id = route.workflow_id(event)
    if workflow_id is None:
        empty = ", ".join(name for name, value in used.items() if value in (None, ""))
        why = f"{Reason.PAYLOAD_INVALID.sentence}: {empty} is empty"
        return RouteExplained(route, (), None, used, Evidence(), Verdict("dead_letter", why))
    evidence = await witnesses.ask(stated.event_id, route.name, workflow_id)
    return RouteExplained(route, (), workflow_id, used, evidence, verdict(route, evidence))


def verdict(route: Route, evidence: Evidence) -> Verdict:
    """What would happen on ``route`` to an event that it wants, in the bridge's own order of questions."""
    for past in evidence.outcomes or ():
        if past.outcome in SETTLED:
            return Verdict(
                "nothing", f"it has had its effect: {past.outcome.value} at {past.at:%Y-%m-%d %H:%M:%S} UTC"
            )
    if route.action == "start":
        return _started(evidence.existence)
    if evidence.ahead:
        behind = f"{evidence.ahead} parked before it for the same workflow go first"
        return Verdict("park", f"the workflow is started, and {behind}" if route.starts else behind)
    match evidence.existence:
        case None | Existence.UNKNOWN:
            return Verdict(
                route.action, f"if the workflow runs, which nobody could be asked; else: {_policies(route)}"
            )
        case Existence.RUNNING:
            waited = "it is parked, and the next look delivers it: " if evidence.parked_until else ""
            return Verdict(route.action, f"{waited}the workflow runs")
        case Existence.MISSING if route.starts:
            return Verdict(route.action, "the workflow does not exist: it is started with this signal")
        case Existence.CLOSED | Existence.MISSING:
            return _policy(route, evidence)


def _started(existence: Existence | None) -> Verdict:
    match existence:
        case Existence.RUNNING | Existence.CLOSED:
            return Verdict("nothing", "a workflow with this id runs or ran: it is recorded as started before")
        case Existence.MISSING:
            return Verdict("start", "no workflow with this id runs or ran")
        case _:
            return Verdict("start", "if no workflow with this id runs or ran, which nobody could be asked")


def _policy(route: Route, evidence: Evidence) -> Verdict:
    early = route.early.action if route.early else None
    found = decide(Answer.NOT_FOUND, evidence.existence, early=early, late=route.late)
    outcome = found.outcome if isinstance(found, Settle) else None
    missing = evidence.existence is Existence.MISSING
    why = (
        f"the workflow {'does not exist yet' if missing else 'has closed'}: the route says {_policies(route)}"
    )
    if evidence.parked_until is not None and missing:
        return Verdict("park", f"it is parked until {evidence.parked_until:%Y-%m-%d %H:%M:%S} UTC: {why}")
    if outcome is Outcome.DEAD_LETTERED:
        return Verdict("dead_letter", why)
    return Verdict("park" if outcome is Outcome.PARKED else "record", why)


def _policies(route: Route) -> str:
    said = route.describe()
    return ", ".join(f"{policy}={said[policy]}" for policy in ("early", "late") if said[policy])


def _shown(found: str | None) -> str:
    return "absent" if found is None else repr(found)
