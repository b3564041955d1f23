"""The life of a reservation: (WAITING →) RESERVED → CONSUMED → RETURNED, or RELEASED, or FAILED."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from services.transitions import Rule, StateMachine


class ReservationState(StrEnum):
    """Where a reservation is. RELEASED, RETURNED and FAILED are final."""

    WAITING = "WAITING"
    RESERVED = "RESERVED"
    CONSUMED = "CONSUMED"
    RELEASED = "RELEASED"
    RETURNED = "RETURNED"
    FAILED = "FAILED"


class ReplenishmentState(StrEnum):
    """Where the replenishment of one cycle is: ordered and then received, or found to be unnecessary."""

    ORDERED = "ORDERED"
    RECEIVED = "RECEIVED"
    NOT_NEEDED = "NOT_NEEDED"


class AllocationStatus(StrEnum):
    """What an order learns when it asks for stock."""

    ALLOCATED = "ALLOCATED"
    WAITING = "WAITING"
    FAILED = "FAILED"


RESERVATION: Final = StateMachine(
    "reservation of order",
    {
        "serve": Rule({ReservationState.WAITING: ReservationState.RESERVED}),
        "fail": Rule(
            {ReservationState.WAITING: ReservationState.FAILED}, done=frozenset({ReservationState.FAILED})
        ),
        "consume": Rule(
            {ReservationState.RESERVED: ReservationState.CONSUMED},
            done=frozenset({ReservationState.CONSUMED, ReservationState.RETURNED}),
        ),
        "release": Rule(
            {
                ReservationState.RESERVED: ReservationState.RELEASED,
                ReservationState.WAITING: ReservationState.RELEASED,
            },
            done=frozenset({ReservationState.RELEASED, ReservationState.RETURNED, ReservationState.FAILED}),
        ),
        "return_consumed": Rule(
            {ReservationState.CONSUMED: ReservationState.RETURNED},
            done=frozenset({ReservationState.RETURNED}),
        ),
    },
)
"""What each operation of IMS does to a reservation. Releasing what holds no stock is a repeat; releasing what
has been consumed is illegal: it is returned instead (design §7, "Cancel")."""


def allocation_status(state: ReservationState) -> AllocationStatus:
    """What asking again for the stock of a reservation in ``state`` is answered with."""
    match state:
        case ReservationState.WAITING:
            return AllocationStatus.WAITING
        case ReservationState.RESERVED | ReservationState.CONSUMED:
            return AllocationStatus.ALLOCATED
        case _:
            return AllocationStatus.FAILED
