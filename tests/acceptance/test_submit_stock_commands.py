"""``tidegate submit`` and ``tidegate stock``, as a user types them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from infra.ids import order_id_of
from infra.local import Stack
from services.upstream.generator import generate_orders
from tests.command_support import Workplace, workplace
from tests.services_support import submission
from tests.unit.test_upstream_order_file import line, order
from tidegate.wiring.services import open_services


@pytest_asyncio.fixture(loop_scope="session")
async def place(
    stack: Stack, tmp_path: Path, postgres_dsn: str, upstream_dsn: str
) -> AsyncIterator[Workplace]:
    """Fresh databases on the shared servers."""
    async with workplace(stack, tmp_path, postgres_dsn, upstream_dsn) as opened:
        yield opened


async def test_orders_are_submitted_from_a_file_and_from_stdin(place: Workplace, tmp_path: Path) -> None:
    """A good file is submitted once; a bad line is named and nothing is submitted, unless --skip-bad."""
    good = tmp_path / "good.jsonl"
    good.write_text("".join(json.dumps(order(request_id=f"r-{n}")) + "\n" for n in range(3)))
    assert (await place.tidegate("submit", good, "--json")).data == {
        "submitted": 3,
        "repeated": 0,
        "conflicts": [],
        "bad": [],
    }
    again = await place.tidegate("submit", good)
    assert (again.status, again.out) == (0, "0 orders submitted; 3 were submitted before\n")

    bad = (json.dumps(order(request_id="new")) + "\n" + json.dumps(line(quantity=-2))).encode()
    refused = await place.tidegate("submit", "-", stdin=bad)
    assert (refused.status, refused.out) == (2, "")
    [said] = refused.err.strip().splitlines()
    assert said.startswith("tidegate: stdin:2: lines[0].quantity: must be from 1 to 2147483647, is -2;")
    twice = await place.tidegate("submit", "-", stdin=bad + b"\n{")
    assert twice.status == 2
    assert [said.split(": ")[0] for said in twice.err.strip().splitlines()] == [
        "stdin:2",
        "stdin:3",
        "tidegate",
    ]
    assert twice.err.endswith(
        "tidegate: stdin: 2 of 3 lines are bad; nothing was submitted: mend them, or pass --skip-bad\n"
    )

    skipped = await place.tidegate("submit", "-", "--skip-bad", "--json", stdin=bad)
    assert (skipped.status, skipped.data["submitted"]) == (0, 1)
    assert skipped.data["bad"][0]["line"] == 2

    other = await place.tidegate(
        "submit", "-", stdin=json.dumps(order(request_id="r-1", currency="USD")).encode()
    )
    assert other.status == 2
    assert "submitted before with other content" in other.err
    missing = await place.tidegate("submit", "nothing.jsonl")
    assert (missing.status, missing.err) == (
        2,
        "tidegate: nothing.jsonl: cannot be read: No such file or directory\n",
    )


async def test_stock_is_loaded_and_listed(place: Workplace, tmp_path: Path) -> None:
    """A file counts once unless it is given a name; a bad row and a kit made of itself are one line each."""
    file = tmp_path / "stock.csv"
    file.write_text("sku,on_hand,reorder_point,components\nLEG,400,50,\nDESK,0,0,LEG:4\n")
    loaded = await place.tidegate("stock", "load", file)
    assert (loaded.status, loaded.out) == (0, "2 items, 400 pieces loaded; 0 waiting orders served\n")
    assert "nothing was added" in (await place.tidegate("stock", "load", file)).out
    named = await place.tidegate("stock", "load", file, "--load-id", "delivery-2", "--json")
    assert named.data["pieces"] == 400
    listed = (await place.tidegate("stock", "list", "--json")).data["items"]
    assert [(item["sku"], item["on_hand"]) for item in listed] == [("DESK", 0), ("LEG", 800)]
    assert listed[0]["components"] == [["LEG", 4]]
    assert "LEG" in (await place.tidegate("stock", "list", "LEG")).out

    file.write_text("LEG,400,50\nDESK,many,0\n")
    refused = await place.tidegate("stock", "load", file)
    assert refused.status == 2
    assert refused.err == f"tidegate: {file}:2: on_hand: 'many' is not a whole number\n"
    file.write_text("LEG,1,1,DESK:1\n")
    cycle = await place.tidegate("stock", "load", file)
    assert cycle.status == 2
    assert "it would be made of itself" in cycle.err
    assert (await place.tidegate("stock", "list", "NOPE")).status == 2


async def test_servers_that_are_not_there_are_one_line(place: Workplace, tmp_path: Path) -> None:
    """No database, or one without tables: one line that says what to do, nothing submitted."""
    orders = tmp_path / "orders.jsonl"
    orders.write_text(json.dumps(order()))
    address = place.environment["TIDEGATE_POSTGRES__UPSTREAM_DSN"]
    place.environment["TIDEGATE_POSTGRES__UPSTREAM_DSN"] = "postgresql://tidegate@127.0.0.1:1/nobody"
    gone = await place.tidegate("submit", orders)
    assert gone.status == 1
    assert gone.err.startswith("tidegate: PostgreSQL (upstream) at 127.0.0.1:1/nobody does not answer")
    assert gone.err.count("\n") == 1
    place.environment["TIDEGATE_POSTGRES__UPSTREAM_DSN"] = address.rpartition("/")[0] + "/postgres"
    empty = await place.tidegate("submit", orders)
    assert (empty.status, empty.err.count("\n")) == (2, 1)
    assert "run `tidegate migrate`" in empty.err


async def test_databases_that_are_not_as_they_must_be_are_one_line(place: Workplace) -> None:
    """Whoever looks into the databases says that one does not answer or has no tables, without a traceback."""
    names = ("TIDEGATE_POSTGRES__DSN", "TIDEGATE_POSTGRES__UPSTREAM_DSN")
    server = place.environment[names[0]].rpartition("/")[0]
    lookers = (("orders", "o-1"), ("audit",), ("outbox", "roles"))
    place.environment |= dict.fromkeys(names, "postgresql://tidegate@127.0.0.1:1/nobody")
    for words in (*lookers, ("migrate",)):
        gone = await place.tidegate(*words)
        assert (gone.status, "Traceback" in gone.err) == (1, False), words
        assert "does not answer" in gone.err.splitlines()[-1], words
    place.environment |= dict.fromkeys(names, f"{server}/postgres")
    for words in lookers:
        empty = await place.tidegate(*words)
        assert (empty.status, "Traceback" in empty.err) == (2, False), words
        assert "run `tidegate migrate`" in empty.err.splitlines()[-1], words


async def test_many_orders_are_submitted_in_batches(place: Workplace, tmp_path: Path) -> None:
    """Two thousand generated orders go through the file and out again as they were."""
    file = tmp_path / "many.jsonl"
    with file.open("w") as opened:
        for one in generate_orders(2000, 9):
            lines = [
                {
                    "sku": item.sku,
                    "quantity": item.quantity,
                    "unit_price": str(item.unit_price),
                    "discount": str(item.discount),
                }
                for item in one.lines
            ]
            data = order(
                request_id=one.request_id,
                customer_id=one.customer_id,
                currency=one.currency,
                ordered_at=one.ordered_at.isoformat(),
                lines=lines,
            )
            opened.write(json.dumps(data) + "\n")
    assert (await place.tidegate("submit", file, "--json")).data["submitted"] == 2000


async def test_an_order_is_shown_while_temporal_is_away(place: Workplace, tmp_path: Path) -> None:
    """What the databases know is said, and that nobody can say the rest."""
    file = tmp_path / "orders.jsonl"
    file.write_text(json.dumps(order(request_id="r-away")))
    assert (await place.tidegate("submit", file)).status == 0
    place.environment["TIDEGATE_TEMPORAL__ADDRESS"] = "127.0.0.1:1"
    shown = await place.tidegate("orders", order_id_of("r-away"), "--json")
    assert (shown.status, shown.data["state"]) == (0, "SUBMITTED"), shown.err
    assert shown.data["intake"] == shown.data["fulfillment"] == "unknown: Temporal does not answer"
    assert [event["type"] for event in shown.data["events"]] == ["OrderSubmitted"]


async def test_a_cancellation_that_is_refused_is_a_failure(place: Workplace) -> None:
    """Status 1 and the answer, so that a script sees it; one that is taken is status 0."""
    ended, running = submission("r-ended"), submission("r-running")
    async with open_services(place.settings) as services:
        for taken in (ended, running):
            await services.oms.validate_order(taken)
            await services.oms.create_order(taken)
        await services.oms.mark_order_failed(ended.order_id, "NO_STOCK", "nothing came in time")
    for order_id, status, answer in ((ended.order_id, 1, "REFUSED"), (running.order_id, 0, "REQUESTED")):
        said = await place.tidegate("orders", "cancel", order_id, "--json")
        assert (said.status, said.data["cancellation"]) == (status, answer), said.err
