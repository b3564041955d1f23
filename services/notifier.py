"""The port through which a customer is told something: what a mail or message system's adapter must keep to.

To write one, make a class with the method of :class:`Notifier` and hand it to ``OrderActivities``. OMS, the
workflow and the retry policy stay as they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol
from uuid import UUID

from infra.ids import derived_id

CONFIRMATION: Final = "CONFIRMATION"
"""The kind of notification that says that an order is confirmed. Source: 002, "Fire-and-Forget"."""


@dataclass(frozen=True, slots=True)
class Notification:
    """What is to be said about an order, and to whom: a reference to a customer, never a name or an address."""

    order_id: str
    kind: str
    customer_id: str

    @property
    def key(self) -> UUID:
        """The idempotency key: one of each kind for each order."""
        return derived_id("notification", self.order_id, self.kind)


class Notifier(Protocol):
    """Tells customers something.

    What an adapter must do:

    - Be idempotent by ``notification.key``: it is called again after a crash, or when two attempts overlap.
    - Look up the address, the language and the text by ``customer_id`` and ``order_id`` in the systems that own
      them. No personal data passes through tidegate.
    - Give up by itself within 10 seconds, and raise what it likes: it is tried three times in all (002,
      "Standard Configuration"), and then forgotten. No order waits for it.
    """

    async def notify(self, notification: Notification) -> None:
        """Say it, unless it has been said."""
        ...
