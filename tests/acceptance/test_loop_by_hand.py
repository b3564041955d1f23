"""The loop without a floor and with a label desk that refuses: the tests decide how far an order gets."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from uuid import uuid4

import pytest
import pytest_asyncio
from aiokafka import AIOKafkaProducer

from infra.clients.kafka import aiokafka_options
from infra.ids import order_id_of
from infra.settings import Settings
from schemas.envelope import Envelope
from schemas.errors import PersonalDataError
from schemas.event import Event
from schemas.events import (
    CheckoutRequested,
    OrderCancelRequested,
    OrderSubmitted,
    PackCompleted,
    PickCompleted,
)
from schemas.events.oms_checkouts import CheckoutLine
from schemas.events.oms_orders import OrderLine as SubmittedLine
from services.goods import StockRow
from services.orders import OrderLine, OrderSubmission
from services.publishing import utc_now
from tests.canary import Place, places_of
from tests.loop_runs import (
    RUN_SECONDS,
    fetch,
    load_ample_stock,
    loop_on_its_own_stack,
    report,
    some_orders,
    submit,
    tidegate,
)
from tests.waiting import until
from tidegate.loop import Loop
from tidegate.orders import cancel_order, describe_order
from tidegate.wiring.schemas import open_schemas
from tidegate.wiring.services import open_services

pytestmark = pytest.mark.timeout(1500)

LOOK_EVERY = 0.25
"""Seconds: a look asks five servers."""

CANARY = "jane.canary@example.com"
"""What is personal, and must be found nowhere."""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def loop(tmp_path_factory: pytest.TempPathFactory, registry_url: str) -> AsyncIterator[Loop]:
    """Every process but floor and carrier; no label is ever given."""
    home: Path = tmp_path_factory.mktemp("by-hand")
    async with loop_on_its_own_stack(
        home, upstream_options=None, label_options=("--label-failure", "1"), registry_url=registry_url
    ) as (running, _):
        await load_ample_stock(running.settings)
        yield running


def _order(request_id: str, sku: str = "PART-01") -> OrderSubmission:
    [template] = some_orders(1)
    return replace(
        template,
        order_id=order_id_of(request_id),
        request_id=request_id,
        lines=(OrderLine(sku, 2, Decimal("10.00"), Decimal(0)),),
    )


async def _reaches(loop: Loop, order_id: str, state: str) -> None:
    async def there() -> bool:
        return bool((await describe_order(loop.settings, order_id))["fulfillment"] == state)

    await until(there, seconds=RUN_SECONDS, every=LOOK_EVERY, what=f"fulfillment of {order_id} is {state}")


async def _picked_then_packed(loop: Loop, order_id: str) -> None:
    now = utc_now()
    await report(
        loop.settings,
        PickCompleted(order_id=order_id, wave_id=None, picked_at=now),
        PackCompleted(order_id=order_id, wave_id=None, packed_at=now),
    )


@pytest.mark.parametrize("step", ["stock", "pick", "pack", "label"])
async def test_cancelling_in_each_step_leaves_nothing_behind(loop: Loop, step: str) -> None:
    """Cancelled through OMS and Kafka: no reservation, no open shipment or wave, one OrderCancelled, stock adds up."""
    order = _order(f"cancel-at-{step}", sku="NEVER-THERE" if step == "stock" else "PART-02")
    if step == "stock":
        await _know_item_without_stock(loop)
    before = await _stock(loop, "PART-02")
    await submit(loop.settings, [order])
    match step:
        case "stock":
            await _reaches(loop, order.order_id, "WAITING_FOR_STOCK")
        case "pick":
            await _reaches(loop, order.order_id, "WAITING_FOR_PICK")
        case "pack":
            await _reaches(loop, order.order_id, "WAITING_FOR_PICK")
            await report(
                loop.settings, PickCompleted(order_id=order.order_id, wave_id=None, picked_at=utc_now())
            )
            await _reaches(loop, order.order_id, "WAITING_FOR_PACK")
        case _:
            await _picked_then_packed(loop, order.order_id)

            async def at_the_label() -> bool:
                found = await describe_order(loop.settings, order.order_id)
                return bool(found["step"] == "Generate Shipping Label")

            await until(at_the_label, seconds=RUN_SECONDS, every=LOOK_EVERY)
    assert await cancel_order(loop.settings, order.order_id, "test") == "REQUESTED"

    async def cancelled() -> bool:
        found = await describe_order(loop.settings, order.order_id)
        return bool(found["state"] == "CANCELLED" and found["fulfillment"] == "CANCELLED")

    await until(cancelled, seconds=RUN_SECONDS, every=LOOK_EVERY)
    found = await describe_order(loop.settings, order.order_id)
    assert [event["type"] for event in found["events"]].count("OrderCancelled") == 1
    assert found["reservation"] in {"RELEASED", "RETURNED"}
    assert await _stock(loop, "PART-02") == before
    open_rows = await fetch(
        loop.settings,
        "SELECT order_id FROM sms.shipments WHERE order_id = $1 AND state <> 'CANCELLED' "
        "UNION ALL SELECT order_id FROM wms.waves WHERE order_id = $1 AND state <> 'CANCELLED'",
        order.order_id,
    )
    assert open_rows == []


async def test_no_submission_is_lost_while_oms_is_away(loop: Loop) -> None:
    """The OMS worker is stopped, orders come in; when it is back, each becomes an order."""
    await loop.supervisor.end("worker-oms")
    orders = [_order(f"while-oms-was-away-{number}", "PART-03") for number in range(5)]
    await submit(loop.settings, orders)
    await until(lambda: _has_intakes(loop, len(orders)), seconds=RUN_SECONDS, every=LOOK_EVERY)
    loop.supervisor.begin("worker-oms")
    for order in orders:
        await _reaches(loop, order.order_id, "WAITING_FOR_PICK")


async def test_the_same_request_twice_makes_one_order(loop: Loop) -> None:
    """Two OrderSubmitted events of one request id, under different event ids: one workflow, one order, one event."""
    order = _order("the-same-twice", "PART-04")
    event = OrderSubmitted(
        order_id=order.order_id,
        request_id=order.request_id,
        customer_id=order.customer_id,
        currency=order.currency,
        ordered_at=order.ordered_at,
        lines=tuple(
            SubmittedLine(
                sku=line.sku, quantity=line.quantity, unit_price=line.unit_price, discount=line.discount
            )
            for line in order.lines
        ),
    )
    await report(loop.settings, event, event)
    await _reaches(loop, order.order_id, "WAITING_FOR_PICK")

    async def both_recorded() -> bool:
        rows = await fetch(
            loop.settings, "SELECT outcome FROM bridge.ledger WHERE key = $1 ORDER BY id", order.order_id
        )
        return [row["outcome"] for row in rows] == ["started", "already_started"]

    await until(both_recorded, seconds=RUN_SECONDS, every=LOOK_EVERY)
    found = await describe_order(loop.settings, order.order_id)
    assert [item["type"] for item in found["events"]].count("OrderCreated") == 1


async def test_personal_data_goes_nowhere(loop: Loop, tmp_path: Path) -> None:
    """A canary put in wherever a caller could put it is in no topic but where a stranger sent it, in no history, no
    workflow id, no search attribute, no log and no dead letter, while what must be found is found.

    Put in: a customer of an order file, a field too many, a customer at the storefront's own door, the reason of a
    cancellation, and by a stranger who writes to our topics: customer, request, token of a payment, sentence, header.
    """
    settings = loop.settings
    order = replace(_order("canary-control"), customer_id="canary-customer")
    line = json.dumps(
        {
            "request_id": "r-canary", "customer_id": "c-1", "currency": "EUR", "ordered_at": "2026-11-21T10:00:00Z",
            "lines": [{"sku": "PART-01", "quantity": 1, "unit_price": "1.00"}],
        }
    )  # fmt: skip
    for number, change in enumerate(({"customer_id": CANARY}, {"request_id": CANARY}, {"note": CANARY})):
        file = tmp_path / f"{number}.jsonl"
        file.write_text(json.dumps({**json.loads(line), **change}))
        status, output = await tidegate(settings, "submit", str(file))
        assert (status, CANARY in output) == (2, False), output
    with pytest.raises(PersonalDataError):
        await submit(settings, [replace(_order("canary-at-the-door"), customer_id=CANARY)])
    await submit(settings, [order])
    await _reaches(loop, order.order_id, "WAITING_FOR_PICK")
    status, output = await tidegate(settings, "orders", "cancel", order.order_id, "--reason", f"for {CANARY}")
    assert (status, CANARY in output) == (2, False), output

    now = utc_now()
    lines = (SubmittedLine(sku="PART-01", quantity=1, unit_price=Decimal(1), discount=Decimal(0)),)
    submitted = OrderSubmitted(
        order_id=order_id_of("canary-foreign"), request_id="canary-foreign", customer_id=CANARY, currency="EUR",
        ordered_at=now, lines=lines,
    )  # fmt: skip
    sent = await _sent_by_a_stranger(
        settings,
        submitted,
        replace(submitted, request_id=CANARY, customer_id="c-1", order_id=order_id_of(CANARY)),
        replace(submitted, order_id=CANARY, customer_id="c-1"),
        CheckoutRequested(
            checkout_id="canary-checkout", order_id=order_id_of("canary-checkout"), request_id="canary-checkout",
            customer_id="c-1", currency="EUR", payment_token=f"card of {CANARY}", requested_at=now,
            lines=(CheckoutLine(sku="PART-01", quantity=1, unit_price=Decimal(1), discount=Decimal(0)),),
        ),
        PickCompleted(order_id=order.order_id, wave_id=f"wave of {CANARY}", picked_at=now),
        OrderCancelRequested(
            order_id=order.order_id, requested_by="support", reason=f"{CANARY} has called", requested_at=now
        ),
    )  # fmt: skip

    async def all_settled() -> bool:
        rows = await fetch(settings, 'SELECT topic, partition, "offset", outcome, reason FROM bridge.ledger')
        ends = {(row["topic"], row["partition"], row["offset"]): row["reason"] for row in rows}
        assert all(ends.get(place) in {None, "personal_data"} for place in sent)
        return (
            sent <= ends.keys()
            and [ends[place] for place in sorted(sent)].count("personal_data") == len(sent) - 1
        )

    await until(all_settled, seconds=120)
    await _reaches(loop, order.order_id, "CANCELLED")

    async def cancelled() -> bool:
        return bool(await places_of(settings, "OrderCancelled", but=sent))

    await until(cancelled, seconds=RUN_SECONDS, every=LOOK_EVERY)
    assert await places_of(settings, CANARY, but=sent) == []
    # The search itself sees what there is: in a topic, in a history, in a log, and where the stranger wrote.
    control = await places_of(settings, "canary-customer")
    assert any(place.startswith("topic ('oms.orders'") for place in control)
    assert any(place.startswith("history of order-intake-canary-control") for place in control)
    assert any(place.startswith("log bridge") for place in await places_of(settings, "dead letter"))
    assert {place.split(")")[0] for place in await places_of(settings, CANARY)} == {
        f"topic {place}"[:-1] for place in sent
    }


async def _sent_by_a_stranger(settings: Settings, *events: Event) -> set[Place]:
    """Publish ``events`` as a producer who knows the registry and none of our rules; where they stand."""
    schemas = await open_schemas(settings)
    producer = AIOKafkaProducer(**aiokafka_options(settings.kafka))
    await producer.start()
    places = set()
    try:
        for event in events:
            envelope = Envelope(
                id=uuid4(), type=event.TYPE, source="/a/stranger", subject=event.key, time=utc_now()
            )
            headers = [*envelope.to_headers(), ("x-customer", CANARY.encode())]
            sent = await producer.send_and_wait(
                event.TOPIC, schemas.codec.encode(event), key=event.key.encode(), headers=headers
            )
            places.add((sent.topic, sent.partition, sent.offset))
    finally:
        await producer.stop()
        await schemas.close()
    return places


async def _know_item_without_stock(loop: Loop) -> None:
    async with open_services(loop.settings) as services:
        await services.ims.load("never-there", [StockRow("NEVER-THERE", 0, 0)])


async def _has_intakes(loop: Loop, count: int) -> bool:
    rows = await fetch(
        loop.settings,
        "SELECT 1 FROM bridge.ledger WHERE workflow_id LIKE 'order-intake-while-oms-was-away-%'",
    )
    return len(rows) == count


async def _stock(loop: Loop, sku: str) -> tuple[int, int, int]:
    [row] = await fetch(
        loop.settings, "SELECT on_hand, reserved, consumed FROM ims.items WHERE sku = $1", sku
    )
    return row["on_hand"], row["reserved"], row["consumed"]
