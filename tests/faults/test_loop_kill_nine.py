"""kill -9 of each process of the loop, in the middle of a run (design §9, promise 5)."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.loop_runs import (
    RUN_SECONDS,
    load_ample_stock,
    loop_on_its_own_stack,
    shipments_of,
    shipped,
    some_orders,
    submit,
)
from tests.waiting import until

ORDERS = 200
VICTIMS = ("relay", "bridge", "worker-order-processing", "worker-ims")


@pytest.mark.timeout(1500)
async def test_killing_relay_bridge_and_workers_mid_run_changes_nothing(
    tmp_path: Path, registry_url: str
) -> None:
    """200 orders ship, once each, with a clean audit, though relay, bridge and two workers are killed on the way."""
    orders = some_orders(ORDERS, seed=5)
    async with loop_on_its_own_stack(tmp_path, registry_url=registry_url) as (loop, _):
        await load_ample_stock(loop.settings)
        await submit(loop.settings, orders)
        for share, victim in enumerate(VICTIMS, start=1):
            wanted = ORDERS * share // (len(VICTIMS) + 2)

            async def far_enough(wanted: int = wanted) -> bool:
                return (await loop.progress()).shipped >= wanted

            await until(far_enough, seconds=RUN_SECONDS, every=2.0, what=f"{wanted} orders shipped")
            pid = loop.supervisor.pid(victim)
            assert pid is not None, f"{victim} runs"
            os.kill(pid, signal.SIGKILL)
        await loop.settle(seconds=RUN_SECONDS)
        result = await loop.result()
        assert result.findings == ()
        assert result.analytics_differences == ()
        assert await shipped(loop.settings) == shipments_of(orders)
        assert all(loop.supervisor.restarts[victim] >= 1 for victim in VICTIMS)
