"""What may be said to a workflow from outside: names, ids, queues, signals, queries and their payloads.

Everything on the wire between Kafka and Temporal is written here and nowhere else. The bridge imports this
package and no other of the room, so it imports nothing but the standard library. Payloads are what an
event's ``to_json()`` gives: text, whole numbers and lists; amounts are text, times are ISO-8601 in UTC.
A field that a payload type does not know is ignored, so that an event may grow.

Source: 003, "Workflow Identity", "Inputs", "Signals", "Queries"; design §7.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from workflows.contracts.base import SignalContract, WorkflowContract
from workflows.contracts.cart import CART
from workflows.contracts.checkout import CHECKOUT, FRAUD_DECISION, MANUAL_REVIEW_DECISION
from workflows.contracts.order import (
    ORDER,
    ORDER_RESERVED,
    PAYMENT_CAPTURED,
    PAYMENT_FAILED,
    SHIPMENT_DELIVERED,
)
from workflows.contracts.orders import (
    ALLOCATION_FAILED,
    CANCEL_ORDER,
    INVENTORY_ALLOCATED,
    ORDER_FULFILLMENT,
    ORDER_INTAKE,
    PACK_COMPLETED,
    PICK_COMPLETED,
)
from workflows.contracts.payment import PAYMENT
from workflows.contracts.reconciliation import COST_WATCH, RECONCILIATION
from workflows.contracts.replenishment import REPLENISHMENT, REPLENISHMENT_RECEIVED
from workflows.contracts.returns import RETURN, RETURN_INSPECTED, RETURN_RECEIVED

WORKFLOWS: Final = (
    ORDER_INTAKE,
    ORDER_FULFILLMENT,
    CHECKOUT,
    ORDER,
    PAYMENT,
    REPLENISHMENT,
    RECONCILIATION,
    COST_WATCH,
    CART,
    RETURN,
)
"""Every workflow there is. A name used twice, or an id template, would be two starters for one intent."""

TAKES: Final[Mapping[WorkflowContract, tuple[SignalContract[Any], ...]]] = {
    ORDER_FULFILLMENT: (
        PICK_COMPLETED,
        PACK_COMPLETED,
        CANCEL_ORDER,
        INVENTORY_ALLOCATED,
        ALLOCATION_FAILED,
        PAYMENT_CAPTURED,
        PAYMENT_FAILED,
    ),
    ORDER: (ORDER_RESERVED, SHIPMENT_DELIVERED),
    CHECKOUT: (FRAUD_DECISION, MANUAL_REVIEW_DECISION),
    REPLENISHMENT: (REPLENISHMENT_RECEIVED,),
    RETURN: (RETURN_RECEIVED, RETURN_INSPECTED),
}
"""The signals that each workflow has a handler for; one that is not here takes none."""

SIGNALS: Final = tuple(signal for taken in TAKES.values() for signal in taken)
"""Every signal that a route may send."""
