"""The activities of reconciliation and cost watch, on OMS's queue; what they find is mended by the owners' own.

Source: 000, "Reconciliation SQL scans for partial states then resume or alert", "Cost alerts"; design §7.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

from workflows.activities.contracts.base import ActivityContract
from workflows.activities.contracts.orders import CANCEL_SHIPMENT, RELEASE_INVENTORY, OrderReference
from workflows.activities.contracts.payment import VOID_AUTHORIZATION
from workflows.contracts.reconciliation import CostWatchRequest
from workflows.policies import CHECKOUT

KINDS: Final = (
    "order_without_workflow",
    "replenishment_without_workflow",
    "parked_past_half",
    "event_not_taken",
    "reservation_without_order",
    "shipment_without_label",
    "authorization_open",
)
"""The partial states, in the order of the looks: what starts a workflow comes before what waits for one."""


@dataclass(frozen=True, slots=True)
class ReconcileRequest:
    """Look at the next batch of one kind."""

    kind: str


@dataclass(frozen=True, slots=True)
class OwnersStep:
    """What the owner of a partial state has to do: one of :data:`OWNERS`, by the activity's name."""

    kind: str
    subject: str
    since: str
    activity: str
    order_id: str
    flow: str


@dataclass(frozen=True, slots=True)
class Batch:
    """What came of one batch. ``candidates`` were looked at; those neither resumed nor alerted are in good hands.

    ``steps`` are left for the owners; ``more``: there is a next batch of the kind.
    """

    candidates: int
    resumed: int = 0
    alerted: int = 0
    steps: tuple[OwnersStep, ...] = ()
    more: bool = False


@dataclass(frozen=True, slots=True)
class CostReport:
    """Measures of which an alert was published just now."""

    alerted: tuple[str, ...] = ()


SCAN_TIME: Final = timedelta(seconds=60)
"""How long one attempt may take that looks at a batch and asks Temporal about each candidate."""

RECONCILE: Final = ActivityContract("Reconcile", "oms", ReconcileRequest, Batch, SCAN_TIME, CHECKOUT)
RECORD_RECONCILED: Final = ActivityContract("RecordReconciled", "oms", OwnersStep, type(None), retry=CHECKOUT)
WATCH_COSTS: Final = ActivityContract(
    "WatchCosts", "oms", CostWatchRequest, CostReport, timedelta(seconds=30), CHECKOUT
)

OWNERS: Final[Mapping[str, ActivityContract[OrderReference, None]]] = {
    contract.name: replace(contract, retry=CHECKOUT)
    for contract in (RELEASE_INVENTORY, CANCEL_SHIPMENT, VOID_AUTHORIZATION)
}
"""Compensations that reconciliation asks for, by name, as often as a checkout would: the next run asks again."""
