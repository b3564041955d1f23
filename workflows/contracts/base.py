"""The words in which everything that may be said to a workflow from outside is written.

Source: 003, "Workflow Identity", "Signals"; design §7.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Generic, TypeVar

Payload = TypeVar("Payload")
Answer = TypeVar("Answer")

EVENT_ID_HEADER: Final = "tidegate-event-id"
"""The signal header that carries the event's id as text; repeats of an id are dropped by the worker."""

CONTINUE_AS_NEW_UPDATE: Final = "__tidegate_continue_as_new"
"""The reserved update that asks a workflow for a new run, without arguments: it works also where the server takes no
more signals. Refused (``NotOptedIn``) by a workflow that never looks whether it is asked. Answers with the run's id
and how many signals it was given."""

ORDER_PROCESSING_QUEUE: Final = "order-processing"
"""The task queue of the order workflows."""

PAYMENT_PROCESSING_QUEUE: Final = "payment-processing"
"""The task queue of the payment workflow (002, "Workflow Inventory")."""

CART_TASK_QUEUE: Final = "CART_TASK_QUEUE"
"""The task queue of the carts (001, "Task Queues")."""

CONTEXT_QUEUES: Final = ("oms", "ims", "wms", "sms", "payments")
"""The task queues of the contexts' activities, one each (design §7)."""


@dataclass(frozen=True, slots=True)
class WorkflowContract:
    """A workflow as others see it.

    ``id_template`` is filled from the fields of the event that starts or addresses it: one intent, one id,
    so a second start finds the first (003, "Workflow IDs are deterministic").
    """

    name: str
    queue: str
    id_template: str
    input: type

    def workflow_id(self, **fields: str) -> str:
        """The id that belongs to ``fields``; ``KeyError`` names a field that is missing."""
        return self.id_template.format_map(fields)


@dataclass(frozen=True, slots=True)
class SignalContract(Generic[Payload]):
    """A signal as its sender sees it: its name on the wire and what its one argument holds."""

    name: str
    payload: type[Payload]


@dataclass(frozen=True, slots=True)
class UpdateContract(Generic[Payload, Answer]):
    """An update as its sender sees it: its name on the wire, what its one argument holds, what it answers."""

    name: str
    payload: type[Payload]
    answer: type[Answer]


@dataclass(frozen=True, slots=True)
class SignalFailure:
    """A signal that the workflow could not use, and why."""

    signal: str
    reason: str
