"""Histories of orders, as events with envelopes, for the tests of analytics."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import uuid5

from consumers.analytics.sink import ReceivedEvent
from consumers.runtime.record import ConsumedRecord
from infra.ids import TIDEGATE, order_id_of
from schemas.envelope import Envelope
from schemas.event import Event
from schemas.events import (
    OrderCancelled,
    OrderCreated,
    OrderFailed,
    OrderLine,
    OrderRejected,
    OrderReserved,
    OrderShipped,
    OrderSubmitted,
)

START = datetime(2026, 5, 4, 22, 0, tzinfo=UTC)
STOREFRONT = "/upstream/storefront"
OMS = "/services/oms"


def received(
    event: Event, *, source: str, sequence: int | None, time: datetime, again: int = 0, offset: int = 0
) -> ReceivedEvent:
    """``event`` as a consumer gets it; ``again`` makes the same fact under another event id."""
    event_id = uuid5(TIDEGATE, f"test:{event!r}/{source}/{sequence}/{again}")
    envelope = Envelope(
        id=event_id,
        type=event.TYPE,
        source=source,
        subject=event.key,
        time=time,
        sequence=sequence,
        correlation_id=event.key,
        causation_id=None,
        traceparent=None,
        extensions={"flow": "direct"},
    )
    record = ConsumedRecord(
        topic=event.TOPIC,
        partition=0,
        offset=offset,
        key=event.key.encode(),
        value=b"",
        headers=(),
        timestamp_ms=0,
    )
    return ReceivedEvent(event, envelope, record)


def history(
    request_id: str,
    lines: tuple[OrderLine, ...],
    *,
    currency: str = "EUR",
    start: datetime = START,
    end: str = "shipped",
    after: timedelta = timedelta(hours=3),
) -> list[ReceivedEvent]:
    """What happened to one order, in order: it ends ``shipped``, ``failed``, ``cancelled``, ``rejected`` or
    ``open``.
    """
    order_id = order_id_of(request_id)

    def at(minutes: int) -> datetime:
        return start + timedelta(minutes=minutes)

    submitted = OrderSubmitted(
        order_id=order_id,
        request_id=request_id,
        customer_id=f"customer-of-{request_id}",
        currency=currency,
        ordered_at=start - timedelta(minutes=5),
        lines=lines,
    )
    told: list[ReceivedEvent] = [received(submitted, source=STOREFRONT, sequence=1, time=start)]
    steps: list[tuple[Event, datetime]]
    if end == "rejected":
        rejected = OrderRejected(
            order_id=order_id, request_id=request_id, reasons=("bad",), rejected_at=at(1)
        )
        steps = [(rejected, at(1))]
    else:
        steps = [
            (OrderCreated(order_id=order_id, request_id=request_id, created_at=at(1)), at(1)),
            (OrderReserved(order_id=order_id, reserved_at=at(2)), at(2)),
        ]
    done = start + after
    if end == "shipped":
        steps.append((OrderShipped(order_id=order_id, shipment_id=f"s-{request_id}", shipped_at=done), done))
    elif end == "failed":
        steps.append((OrderFailed(order_id=order_id, code="STOCK", reason="none", failed_at=done), done))
    elif end == "cancelled":
        steps.append((OrderCancelled(order_id=order_id, reason=None, cancelled_at=done), done))
    told += [
        received(event, source=OMS, sequence=number, time=time)
        for number, (event, time) in enumerate(steps, start=1)
    ]
    return told


def told_again(one: ReceivedEvent, *, later: timedelta) -> ReceivedEvent:
    """The same fact under a new event id, sent a while later by its source."""
    again = received(
        one.event, source=one.envelope.source, sequence=one.envelope.sequence, time=one.envelope.time, again=1
    )
    envelope = replace(
        again.envelope,
        time=one.envelope.time + later,
        sequence=None if one.envelope.sequence is None else one.envelope.sequence + 10,
    )
    return replace(again, envelope=envelope)


def line(sku: str = "A-1", quantity: int = 1, unit_price: str = "10.00", discount: str = "0") -> OrderLine:
    """A line of an order."""
    return OrderLine(sku=sku, quantity=quantity, unit_price=Decimal(unit_price), discount=Decimal(discount))
