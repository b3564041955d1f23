"""How far a run is, as one value, and whether anything in it is still in flight.

Source: design §11, "End of a demo".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Progress:
    """A look at a run. All figures are of the same moment, give or take a query."""

    orders: int
    """Orders submitted."""
    states: Mapping[str, int]
    """State of the order in OMS → orders; ``SUBMITTED`` for those that OMS does not know yet."""
    waiting: int
    """Orders whose stock is short, with nothing on its way."""
    events: int
    """Distinct events committed to the outboxes."""
    signals: int
    """Signals delivered into workflows."""
    lag: Mapping[str, int]
    """Relay source or consumer group → rows or records that it has not finished."""
    parked: int
    """Events that wait for their workflow, and outbox rows that Kafka refused."""
    upstream_tasks: int
    """What the simulated outside world still means to do."""
    open_processes: int = 0
    """Checkouts, returns and replenishments that are not at their end."""

    @property
    def shipped(self) -> int:
        """Orders shipped; a delivered order has been shipped."""
        return self.states.get("SHIPPED", 0) + self.states.get("DELIVERED", 0)

    @property
    def failed(self) -> int:
        """Orders failed; a rejected submission counts as failed."""
        return self.states.get("FAILED", 0) + self.states.get("REJECTED", 0)

    @property
    def cancelled(self) -> int:
        """Orders cancelled."""
        return self.states.get("CANCELLED", 0)

    @property
    def accounted(self) -> int:
        """Orders that are at an end: shipped, failed, cancelled, or waiting for what will not come."""
        return self.shipped + self.failed + self.cancelled + self.waiting

    @property
    def settled(self) -> bool:
        """Whether nothing is in flight: no lag, nothing parked, no task left, every order and process at an end."""
        return (
            self.accounted == self.orders
            and not any(self.lag.values())
            and self.parked == 0
            and self.upstream_tasks == 0
            and self.open_processes == 0
        )

    def line(self) -> str:
        """One line for a person."""
        moving = ", ".join(
            f"{count} {state.lower()}"
            for state, count in sorted(self.states.items())
            if count and state not in {"SHIPPED", "DELIVERED", "FAILED", "REJECTED", "CANCELLED"}
        )
        lag = ", ".join(f"{name} {count}" for name, count in sorted(self.lag.items()) if count)
        return (
            f"{self.shipped}/{self.orders} shipped"
            + (f" · {self.failed} failed" if self.failed else "")
            + (f" · {self.cancelled} cancelled" if self.cancelled else "")
            + (f" · {self.waiting} waiting for stock" if self.waiting else "")
            + (f" · {moving}" if moving else "")
            + f" · {self.events} events · {self.signals} signals"
            + (f" · {self.open_processes} checkouts, returns, deliveries open" if self.open_processes else "")
            + (f" · parked {self.parked}" if self.parked else "")
            + (f" · lag: {lag}" if lag else "")
        )
