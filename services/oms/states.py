"""The life of an order: CREATED → RESERVED → (CONFIRMED) → SHIPPED → DELIVERED, or FAILED, or CANCELLED."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from services.transitions import Rule, StateMachine


class OrderState(StrEnum):
    """Where an order is. FAILED, CANCELLED and DELIVERED are final."""

    CREATED = "CREATED"
    RESERVED = "RESERVED"
    CONFIRMED = "CONFIRMED"
    SHIPPED = "SHIPPED"
    DELIVERED = "DELIVERED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"


class CancellationStatus(StrEnum):
    """What became of a request to cancel: asked for, refused for good, or done."""

    REQUESTED = "REQUESTED"
    REFUSED = "REFUSED"
    CANCELLED = "CANCELLED"


_OPEN: Final = (OrderState.CREATED, OrderState.RESERVED, OrderState.CONFIRMED)

ORDER: Final = StateMachine(
    "order",
    {
        "mark_order_reserved": Rule(
            {OrderState.CREATED: OrderState.RESERVED},
            done=frozenset(
                {OrderState.RESERVED, OrderState.CONFIRMED, OrderState.SHIPPED, OrderState.DELIVERED}
            ),
        ),
        "mark_order_confirmed": Rule(
            {OrderState.RESERVED: OrderState.CONFIRMED},
            done=frozenset({OrderState.CONFIRMED, OrderState.SHIPPED, OrderState.DELIVERED}),
        ),
        "mark_order_shipped": Rule(
            {OrderState.RESERVED: OrderState.SHIPPED, OrderState.CONFIRMED: OrderState.SHIPPED},
            done=frozenset({OrderState.SHIPPED, OrderState.DELIVERED}),
        ),
        "mark_order_delivered": Rule(
            {OrderState.SHIPPED: OrderState.DELIVERED}, done=frozenset({OrderState.DELIVERED})
        ),
        "mark_order_failed": Rule(
            dict.fromkeys(_OPEN, OrderState.FAILED), done=frozenset({OrderState.FAILED})
        ),
        "mark_order_cancelled": Rule(
            dict.fromkeys(_OPEN, OrderState.CANCELLED), done=frozenset({OrderState.CANCELLED})
        ),
    },
)
"""What each operation of OMS does to an order. An operation that comes again later than its own state
(MarkOrderReserved retried on a shipped order) finds its effect there."""


def answer_to_cancellation(state: OrderState) -> CancellationStatus:
    """What a first request to cancel meets in ``state``: only an open order can still be cancelled."""
    if state in _OPEN:
        return CancellationStatus.REQUESTED
    return CancellationStatus.CANCELLED if state is OrderState.CANCELLED else CancellationStatus.REFUSED
