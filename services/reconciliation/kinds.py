"""The partial states that reconciliation looks for, and how old one must be before anybody touches it.

Source: 000, "Reconciliation SQL scans for partial states then resume or alert"; issue 4, "Reconciliation".
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum
from typing import Final


class Kind(StrEnum):
    """A partial state. Each has a query of its name in ``scans.sql`` and a rule in ``workflows.reconciling``."""

    ORDER_WITHOUT_WORKFLOW = "order_without_workflow"
    """An open order, and no workflow that moves it on."""
    RESERVATION_WITHOUT_ORDER = "reservation_without_order"
    """Stock put aside, or a place in the queue, for an order that is over or never was."""
    SHIPMENT_WITHOUT_LABEL = "shipment_without_label"
    """A shipment that nobody gets a label for, or whose label takes longer than its clock."""
    AUTHORIZATION_OPEN = "authorization_open"
    """Money held, neither taken nor freed, with nobody left who would."""
    PARKED_PAST_HALF = "parked_past_half"
    """An event past half of the time that it may wait for its workflow."""
    EVENT_NOT_TAKEN = "event_not_taken"
    """A paid order that waits for an event which its topic holds."""
    REPLENISHMENT_WITHOUT_WORKFLOW = "replenishment_without_workflow"
    """A lot that was ordered, and nobody who waits for it."""


GRACE: Final[Mapping[Kind, timedelta]] = {
    Kind.ORDER_WITHOUT_WORKFLOW: timedelta(minutes=2),
    Kind.RESERVATION_WITHOUT_ORDER: timedelta(minutes=2),
    Kind.SHIPMENT_WITHOUT_LABEL: timedelta(minutes=2),
    Kind.AUTHORIZATION_OPEN: timedelta(minutes=2),
    Kind.PARKED_PAST_HALF: timedelta(0),
    Kind.EVENT_NOT_TAKEN: timedelta(minutes=2),
    Kind.REPLENISHMENT_WITHOUT_WORKFLOW: timedelta(minutes=2),
}
"""What is younger is merely young: a step between two transactions takes seconds. Parked events have half of
their own time. With a run every minute, the mean time to reconcile stays below five (000, "Metrics & SLOs")."""

PATIENCE: Final = timedelta(minutes=5)
"""What was resumed and is still so after this long is an alert."""
