"""The life of a shipment: CREATED → LABELLED → CONFIRMED, or CANCELLED before it is confirmed."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from services.transitions import Rule, StateMachine


class ShipmentState(StrEnum):
    """Where a shipment is. What happens to it after CONFIRMED is the carrier's to tell."""

    CREATED = "CREATED"
    LABELLED = "LABELLED"
    CONFIRMED = "CONFIRMED"
    CANCELLED = "CANCELLED"


SHIPMENT: Final = StateMachine(
    "shipment of order",
    {
        "create_shipment": Rule(
            {},
            done=frozenset({ShipmentState.CREATED, ShipmentState.LABELLED, ShipmentState.CONFIRMED}),
        ),
        "generate_label": Rule(
            {ShipmentState.CREATED: ShipmentState.LABELLED},
            done=frozenset({ShipmentState.LABELLED, ShipmentState.CONFIRMED}),
        ),
        "confirm_shipment": Rule(
            {ShipmentState.LABELLED: ShipmentState.CONFIRMED}, done=frozenset({ShipmentState.CONFIRMED})
        ),
        "cancel_shipment": Rule(
            {
                ShipmentState.CREATED: ShipmentState.CANCELLED,
                ShipmentState.LABELLED: ShipmentState.CANCELLED,
            },
            done=frozenset({ShipmentState.CANCELLED}),
        ),
    },
)
"""What each operation of SMS does to a shipment that is there. Once confirmed it cannot be called back: that
is why a late cancellation is refused (design §7, "Cancel")."""
