"""What `tidegate routes --explain` says: of an event that is written down, and of what the servers know."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from consumers.bridge.delivery import Early, Existence, Late, Outcome, Reason
from consumers.bridge.evidence import Evidence, PastOutcome, Witnesses
from consumers.bridge.explaining import explain, verdict
from consumers.bridge.route import EarlyPolicy, Route, on, park, record
from consumers.bridge.routes import ROUTES
from consumers.bridge.stated import stated_in_json
from consumers.bridge.table import RoutingTable
from consumers.errors import UnusableEventError
from schemas.events import EVENTS, OrderSubmitted, PickCompleted
from workflows.contracts.orders import ORDER_FULFILLMENT, ORDER_INTAKE, PICK_COMPLETED

AT = datetime(2026, 11, 1, tzinfo=UTC)
SIGNAL = on(PickCompleted).signal(PICK_COMPLETED).to("f-{order_id}", early=park(hours=24), late=record)
STARTING = on(PickCompleted).signal(PICK_COMPLETED).starting(ORDER_FULFILLMENT, late=record)
CANCEL = on(PickCompleted).cancel("f-{order_id}", early=park(hours=1), late=record)
START = on(OrderSubmitted).start(ORDER_INTAKE)
BURYING = replace(SIGNAL, early=EarlyPolicy(Early.DEAD_LETTER), late=Late.DEAD_LETTER)
PICK = {"type": "PickCompleted", "order_id": "o-1", "picked_at": "2026-11-01T00:00:00Z"}

MISSING = Evidence((), 0, None, Existence.MISSING)
RUNNING = Evidence((), 0, None, Existence.RUNNING)
CLOSED = Evidence((), 0, None, Existence.CLOSED)
UNKNOWN = Evidence((), 0, None, Existence.UNKNOWN)
BEHIND = Evidence((), 2, None, Existence.RUNNING)
PARKED = Evidence((), 0, AT, Existence.MISSING)
DELIVERED = Evidence((PastOutcome(Outcome.DELIVERED, None, "live", AT),), 0, None, Existence.RUNNING)
BURIED = Evidence(
    (PastOutcome(Outcome.DEAD_LETTERED, Reason.EXPIRED, "live", AT),), 0, None, Existence.RUNNING
)
NOBODY = Evidence()


@pytest.mark.parametrize(
    ("route", "evidence", "would", "why"),
    [
        (SIGNAL, RUNNING, "signal", "the workflow runs"),
        (SIGNAL, MISSING, "park", "early=park 24 h"),
        (SIGNAL, CLOSED, "record", "late=record"),
        (SIGNAL, BEHIND, "park", "2 parked before it"),
        (SIGNAL, PARKED, "park", "it is parked until 2026-11-01"),
        (SIGNAL, replace(PARKED, existence=Existence.RUNNING), "signal", "the next look delivers it"),
        (SIGNAL, DELIVERED, "nothing", "delivered at 2026-11-01"),
        (SIGNAL, BURIED, "signal", "the workflow runs"),
        (SIGNAL, UNKNOWN, "signal", "if the workflow runs"),
        (SIGNAL, NOBODY, "signal", "early=park 24 h, late=record"),
        (BURYING, MISSING, "dead_letter", "does not exist yet"),
        (BURYING, CLOSED, "dead_letter", "has closed"),
        (STARTING, RUNNING, "signal_with_start", "runs"),
        (STARTING, MISSING, "signal_with_start", "it is started with this signal"),
        (STARTING, CLOSED, "record", "late=record"),
        (STARTING, BEHIND, "park", "the workflow is started, and 2 parked before it"),
        (CANCEL, RUNNING, "cancel", "runs"),
        (CANCEL, MISSING, "park", "early=park 1 h"),
        (CANCEL, CLOSED, "record", "late=record"),
        (START, MISSING, "start", "no workflow with this id"),
        (START, RUNNING, "nothing", "runs or ran"),
        (START, CLOSED, "nothing", "runs or ran"),
        (START, BEHIND, "nothing", "runs or ran"),
        (START, NOBODY, "start", "nobody could be asked"),
    ],
)
def test_the_verdict_on_a_route(route: Route, evidence: Evidence, would: str, why: str) -> None:
    """Each action, with each thing that the servers may know."""
    found = verdict(route, evidence)
    assert found.would == would
    assert why in found.why


async def explained(stated: dict[str, Any], *routes: Route) -> dict[str, Any]:
    """The explanation of an event in a file, with no server to ask."""
    table = RoutingTable(routes or ROUTES, EVENTS)
    return (await explain(stated_in_json(json.dumps(stated), "e.json", EVENTS), table, Witnesses())).to_json()


async def test_an_event_in_a_file_needs_no_server() -> None:
    """Which route it matches, the workflow's id and the fields that it is made of."""
    found = await explained(PICK)
    (route,) = found["routes"]
    assert (found["type"], found["decoded"], found["would"]) == (PickCompleted.TYPE, True, None)
    assert route["workflow_id"] == "order-fulfillment-o-1"
    assert route["fields"] == {"order_id": "o-1"}
    assert (route["matches"], route["would"]) == (True, "signal")


async def test_a_cloud_event_says_the_same() -> None:
    """Its extensions stand beside its type, its fields in `data`."""
    fields = {name: value for name, value in PICK.items() if name != "type"}
    identity = str(UUID(int=7))
    cloud = {
        "specversion": "1.0",
        "id": identity,
        "source": "/s",
        "type": PickCompleted.TYPE,
        "flow": "paid",
        "data": fields,
    }
    found = await explained(cloud)
    shorter = await explained({**PICK, "id": identity, "extensions": {"flow": "paid"}})
    assert found == shorter
    assert (found["event_id"], found["headers"]) == (identity, [["ce_flow", "paid"]])


@pytest.mark.parametrize(
    ("extensions", "found"), [({}, None), ({"flow": "direct"}, "direct"), ({"flow": "paid"}, None)]
)
async def test_a_condition_that_says_no_is_named(extensions: dict[str, str], found: str | None) -> None:
    """Which header was wanted, and what stood there."""
    stated = {"type": "ShipmentDelivered", "extensions": extensions, "order_id": "o-1", "shipment_id": "s-1"}
    explanation = await explained({**stated, "delivered_at": "2026-11-01T00:00:00Z"})
    (route,) = explanation["routes"]
    if extensions.get("flow") == "paid":
        assert (route["matches"], route["workflow_id"]) == (True, "order-o-1")
        return
    assert (route["matches"], route["would"], explanation["would"]) == (False, "nothing", "nothing")
    assert route["unmet"] == [{"header": "ce_flow", "wanted": "paid", "found": found}]


async def test_what_is_wrong_with_the_event_itself_is_said() -> None:
    """Personal data, an empty key, a field that the workflow id needs, a type that nobody routes."""
    personal = await explained({**PICK, "order_id": "jane@example.com"})
    assert (personal["would"], personal["problem"]) == ("dead_letter", "personal_data")
    assert personal["routes"][0]["would"] == "dead_letter"
    keyless = await explained({**PICK, "order_id": ""})
    assert (keyless["would"], keyless["problem"]) == ("dead_letter", "missing_key")
    held = await explained({**PICK, "order_id": ""}, replace(SIGNAL, poison="hold"))
    assert "its key waits" in held["why"]
    by_wave = await explained(PICK, replace(SIGNAL, template="wave-{wave_id}"))
    assert by_wave["routes"][0]["would"] == "dead_letter"
    assert "wave_id is empty" in by_wave["routes"][0]["why"]
    unrouted = await explained({**PICK}, START)
    assert (unrouted["would"], unrouted["routes"]) == ("nothing", [])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "holds no JSON"),
        ("[]", "must be a JSON object, not list"),
        ("{}", "does not say which event it is"),
        ('{"type": "PickComplete"}', "no event is called 'PickComplete'"),
        ('{"type": 7}', "no event is called 7"),
        (json.dumps({**PICK, "picked": 1}), "field picked is not in the schema"),
        (json.dumps({"type": "PickCompleted", "data": []}), "data must be a JSON object"),
        (json.dumps({**PICK, "id": "seven"}), "'seven' is no UUID"),
        (json.dumps({**PICK, "extensions": {"Flow": "x"}}), "'Flow' is no extension"),
        (json.dumps({**PICK, "extensions": {"flow": 1}}), "'flow' is no extension"),
        (json.dumps({**PICK, "order_id": 5}), "order_id: 5 is not text"),
    ],
)
def test_what_cannot_be_used_is_said_in_one_line(text: str, words: str) -> None:
    """A file that holds no event says which file, and what is wrong."""
    with pytest.raises(UnusableEventError, match=words) as caught:
        stated_in_json(text, "e.json", EVENTS)
    assert str(caught.value).startswith("e.json")
    assert "\n" not in str(caught.value)
