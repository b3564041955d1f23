"""The Temporal client alone, in a process of its own: signals, so many at once.

Its words are ``ADDRESS AT_ONCE ROUNDS FILE``; the file holds order ids, whose workflows are signalled once a round.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from temporalio.client import Client

from schemas.events import PickCompleted
from workflows.contracts.orders import ORDER_FULFILLMENT, PICK_COMPLETED


async def work(address: str, at_once: int, orders: Sequence[str], rounds: int) -> dict[str, float]:
    """Signal every order's workflow ``rounds`` times."""
    client = await Client.connect(address)
    queue = _signals(orders, rounds)

    async def one() -> None:
        for order_id in queue:
            event = PickCompleted(order_id=order_id, picked_at=datetime.now(UTC))
            handle = client.get_workflow_handle(ORDER_FULFILLMENT.workflow_id(order_id=order_id))
            await handle.signal(PICK_COMPLETED.name, event.to_json())

    began, cpu = time.perf_counter(), time.process_time()
    async with asyncio.TaskGroup() as group:
        for _ in range(at_once):
            group.create_task(one())
    return {
        "events": len(orders) * rounds,
        "seconds": time.perf_counter() - began,
        "cpu_seconds": time.process_time() - cpu,
    }


def _signals(orders: Sequence[str], rounds: int) -> Iterator[str]:
    for _ in range(rounds):
        yield from orders


def main() -> None:
    """Do what ``sys.argv`` says."""
    _, address, at_once, rounds, file = sys.argv
    orders = Path(file).read_text().split()
    print(json.dumps(asyncio.run(work(address, int(at_once), orders, int(rounds)))))


if __name__ == "__main__":
    main()
