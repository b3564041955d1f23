"""``tidegate routes``: what the routing table says, of every event or of one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from infra.errors import MisuseError
from infra.settings import Settings
from tidegate.console import JsonOption, emit_json, emit_table, note, run, say
from tidegate.wiring.bridge import checked_routes

if TYPE_CHECKING:
    from consumers.bridge.explaining import Explanation, RouteExplained


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def routes(
        event: Annotated[
            str | None, typer.Argument(help="Only this event, full name or last part.", show_default=False)
        ] = None,
        explain: Annotated[
            str | None,
            typer.Option(
                metavar="FILE|TOPIC:PARTITION:OFFSET",
                help="Say what would happen to one event, and why, and do none of it.",
            ),
        ] = None,
        json: JsonOption = False,
    ) -> None:
        """List the routes: which event starts, signals or cancels which workflow, and what if it is early or late.

        With `--explain`: what would happen to one event. It is read from a topic, or from a JSON file: `{"type":
        "PickCompleted", "extensions": {…}, "order_id": …}`, or a CloudEvent. A file needs no server; those that can be
        reached say what the ledger knows, what is parked ahead, and whether the workflow is there.

        Examples: `tidegate routes PickCompleted` · `tidegate routes --explain wms.warehouse:3:17` ·
        `tidegate routes --explain event.json --json`
        """
        if explain is None:
            _list(event, json)
        elif event is not None:
            raise MisuseError("--explain says of what event: name no other beside it")
        else:
            _explain(explain, json)


def _list(event: str | None, json: bool) -> None:
    listed = checked_routes()
    rows = [
        route.describe()
        for route in listed
        if event is None or event in (route.event, route.event.rpartition(".")[2])
    ]
    if event is not None and not rows:
        raise MisuseError(f"no route is for {event}; `tidegate routes` lists them all")
    if json:
        emit_json({"routes": rows})
        return
    short = [
        {
            **row,
            "event": row["event"].rpartition(".")[2],
            "does": row["action"] if row["action"] == "cancel" else f"{row['action']} {row['target']}",
            "workflow": row["workflow_id"],
        }
        for row in rows
    ]
    emit_table("Routes", short, ["event", "when", "does", "workflow", "early", "late"])


def _explain(what: str, json: bool) -> None:
    from tidegate.wiring.explaining import explain_event

    found, silent = run(explain_event(Settings(), what))
    if json:
        emit_json({**found.to_json(), "not_asked": silent})
        return
    _say_event(found)
    for route in found.routes:
        _say_route(route)
    if found.verdict is not None:
        say(f"\nwould: {found.verdict.would}: {found.verdict.why}")
    for sentence in silent:
        note(f"not asked: {sentence}")


def _say_event(found: Explanation) -> None:
    stated = found.stated
    say(f"event      {stated.place}, {stated.type or 'of no known type'}")
    say(f"id         {stated.event_id or 'none is given, so the ledger is not asked'}")
    if stated.headers:
        rows = [{"header": name, "value": value} for name, value in stated.headers]
        emit_table("", rows, ("header", "value"))
    if stated.problem is not None:
        say(f"decoded    no: {stated.problem.sentence}")
    else:
        say(f"decoded    {'yes' if stated.event else 'no: nobody wants it'}")
    if found.outcomes is not None:
        say(f"ledger     {_ledger(found.outcomes)}")


def _say_route(found: RouteExplained) -> None:
    say(f"\nroute      {found.route.name}")
    if found.unmet:
        say(f"matches    no: {found.verdict.why}")
        return
    say("matches    yes")
    used = ", ".join(f"{name}={value}" for name, value in found.fields.items())
    if found.fields:
        say(f"workflow   {found.workflow_id or found.route.template} ({used})")
    evidence = found.evidence
    if evidence.outcomes is not None:
        say(f"ledger     {_ledger(evidence.outcomes)}")
    if evidence.ahead is not None:
        own = f"; itself until {evidence.parked_until:%Y-%m-%d %H:%M:%S} UTC" if evidence.parked_until else ""
        say(f"parked     {evidence.ahead or 'nothing'} ahead of it{own}")
    if evidence.existence is not None:
        say(f"exists     {evidence.existence.value}")
    say(f"would      {found.verdict.would}: {found.verdict.why}")


def _ledger(outcomes: Any) -> str:
    return (
        ", ".join(
            f"{each.outcome.value} ({each.origin}, {each.at:%Y-%m-%d %H:%M:%S} UTC)" for each in outcomes
        )
        or "knows nothing of it"
    )
