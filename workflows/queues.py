"""The task queues: which names the same workers answer to, how many workers are recommended, how much each does.

Data only, so that who names a queue need not load the SDK.

Source: 002, "Workflow Inventory", "Worker Configuration", "Scaling Considerations"; design §7.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from workflows.contracts.base import (
    CART_TASK_QUEUE,
    CONTEXT_QUEUES,
    ORDER_PROCESSING_QUEUE,
    PAYMENT_PROCESSING_QUEUE,
)

ORDER_TASK_QUEUE: Final = "ORDER_TASK_QUEUE"
"""Another name of the order workers: they poll both (001; design §7)."""

SECURITY_SCANNING_QUEUE: Final = "security-scanning"
"""The task queue of security scans (002)."""


@dataclass(frozen=True, slots=True)
class Queue:
    """One kind of worker. ``also`` are further names that it polls, in the same process.

    ``recommended`` is how many workers a production deployment should have; ``concurrent_activities`` how many
    attempts one worker may have under way, where a limit is prescribed.
    """

    name: str
    also: tuple[str, ...] = ()
    recommended: int = 1
    concurrent_activities: int | None = None


QUEUES: Final = (
    Queue(ORDER_PROCESSING_QUEUE, also=(ORDER_TASK_QUEUE,), recommended=3),
    Queue(PAYMENT_PROCESSING_QUEUE, recommended=2),
    Queue(CART_TASK_QUEUE),
    Queue(SECURITY_SCANNING_QUEUE, concurrent_activities=5),
    *(Queue(name) for name in CONTEXT_QUEUES),
)
"""Every queue that has rules of its own. Which of them have a worker: ``tidegate.wiring.workflows``."""


def queue_named(name: str) -> Queue:
    """The queue that answers to ``name``; one without rules where none is written down."""
    return next((queue for queue in QUEUES if name in (queue.name, *queue.also)), Queue(name))
