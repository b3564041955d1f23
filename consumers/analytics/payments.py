"""What was taken for an order and given back, as bookings: each payment and each refund once, by its own id.

A sum over bookings cannot count an event twice, however often and in whichever order it comes.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from schemas.event import Event
from schemas.events import PaymentCaptured, PaymentRefunded


@dataclass(frozen=True, slots=True)
class Taking:
    """Money that was taken for an order, or, where ``amount`` is negative, given back; two decimals."""

    booking_id: str
    order_id: str
    currency: str
    amount: Decimal
    booked_at: datetime


def taking_of(event: Event) -> Taking | None:
    """What ``event`` books; ``None`` where no money moved."""
    match event:
        case PaymentCaptured():
            booking_id = f"captured/{event.payment_id}"
            return Taking(booking_id, event.order_id, event.currency, event.amount, event.captured_at)
        case PaymentRefunded():
            booking_id = f"refunded/{event.refund_id}"
            return Taking(booking_id, event.order_id, event.currency, -event.amount, event.refunded_at)
        case _:
            return None
