"""What a fulfillment is given, and what it takes along when it continues as new.

Source: design §6, "signal limit of the run near or reached".
"""

from __future__ import annotations

from dataclasses import dataclass

from workflows.contracts.base import SignalFailure
from workflows.contracts.order import PaymentFailureNotice
from workflows.contracts.orders import AllocationRefusal


@dataclass(frozen=True, slots=True)
class FulfillmentProgress:
    """How far the earlier runs have come; the defaults are those of a first run.

    ``steps_done`` counts the steps of seed 003 that are behind; ``deadline`` is that of the wait that is
    under way (ISO-8601), so that a new run does not lengthen it; ``compensations`` are the saga's stack;
    ``picked``, ``packed``, ``allocated`` (or ``unallocated``), ``paid`` (or ``payment_failure``) the facts that
    have been reported.
    """

    steps_done: int = 0
    deadline: str | None = None
    compensations: tuple[str, ...] = ()
    picked: bool = False
    packed: bool = False
    allocated: bool = False
    unallocated: AllocationRefusal | None = None
    paid: bool = False
    payment_failure: PaymentFailureNotice | None = None
    signal_failures: tuple[SignalFailure, ...] = ()


@dataclass(frozen=True, slots=True)
class FulfillmentInput:
    """The one argument of the workflow: a ``FulfillmentRequest``, and in a continued run what came before.

    One argument, not two: the SDK decodes by type only where the number of arguments is that of the
    parameters, so an optional second one would leave the first undecoded.
    """

    order_id: str
    flow: str = "direct"
    progress: FulfillmentProgress | None = None
