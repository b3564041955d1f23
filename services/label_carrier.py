"""The port through which SMS gets shipping labels: what a carrier's adapter must keep to.

To write one, make a class with the method of :class:`LabelCarrier` and hand it to ``Sms``. SMS, the workflow
and the retry policy stay as they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Label:
    """A label that a carrier has made: its own name, and the number that the parcel is tracked by."""

    carrier: str
    tracking_number: str


class LabelCarrier(Protocol):
    """Makes shipping labels.

    What SMS does: it calls :meth:`label` outside any database transaction, so a slow carrier holds no lock;
    it may call it again for the same shipment, after a crash or when two attempts overlap, and keeps
    the first label that it could store.

    What an adapter must do:

    - Be idempotent by ``shipment_id``: send it as the carrier's idempotency key or reference, and answer a
      repeat with the same label. A carrier that has no such key must be asked whether it knows the reference
      before it is asked for a new label: otherwise one parcel is paid for twice.
    - Raise :class:`services.errors.LabelRefusedError` when there is no label this time (the carrier says no,
      is overloaded, answers nonsense): the message says which shipment and why, without addresses or names.
      The activity is tried again until the label's clock (1 h) runs out.
    - Give up by itself within 30 seconds and raise ``LabelRefusedError``. A network error that it does not
      know may be raised as it is: it is tried again too.
    - Take no parcel data from the call: what the carrier needs beyond the id (weight, address) is looked up
      by the adapter in the system that owns it. No personal data passes through tidegate.
    """

    async def label(self, shipment_id: str, attempt: int) -> Label:
        """The label of ``shipment_id``. ``attempt`` counts from 1 and is for logs and simulations only."""
        ...
