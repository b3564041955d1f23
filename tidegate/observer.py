"""Looks at a run from outside: databases and consumer groups, never the processes themselves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any, Final, Self, cast

import asyncpg

from consumers import analytics
from consumers.bridge.routes import ROUTES
from consumers.bridge.table import RoutingTable
from infra.clients.postgres import create_pool
from infra.queries import load
from infra.settings import Settings
from outbox.status import outbox_status
from schemas.events import EVENTS
from tidegate.lag import GroupLag
from tidegate.progress import Progress

_SQL: Final = load(__file__, "observer.sql")
_CONNECTIONS: Final = 2


def groups_of_the_loop() -> Mapping[str, Sequence[str]]:
    """Each consumer group of the loop and the topics that it reads."""
    return {
        "tidegate-bridge": RoutingTable(ROUTES, EVENTS).topics,
        "tidegate-analytics": analytics.TOPICS,
        "tidegate-floor": ("oms.orders", "wms.warehouse"),
        "tidegate-carrier": ("sms.shipments",),
        "tidegate-supplier": ("ims.stock",),
    }


class Observer:
    """Makes :class:`Progress` out of what databases and broker say. An async context manager."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lag = GroupLag(settings.kafka, groups_of_the_loop())
        self._stack = AsyncExitStack()
        self._main: asyncpg.Pool[Any]
        self._upstream: asyncpg.Pool[Any]

    async def __aenter__(self) -> Self:
        postgres = self._settings.postgres.model_copy(update={"pool_size": _CONNECTIONS})
        try:
            await self._stack.enter_async_context(self._lag)
            self._main = await self._stack.enter_async_context(await create_pool(postgres))
            self._upstream = await self._stack.enter_async_context(await create_pool(postgres, upstream=True))
        except BaseException:  # a Ctrl-C at this moment, too
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def look(self) -> Progress:
        """How far the run is, everything as it stands now."""
        lag = {f"relay {name}": rows for name, rows in (await self._relay_lag()).items()}
        lag |= await self._lag.look(again_soon=True)
        main, upstream = self._main, self._upstream
        states: Counter[str] = Counter()
        for row in await main.fetch(_SQL["states"]):
            states[row["state"]] += row["orders"]
        orders = sum([await each.fetchval(_SQL["submitted_orders"]) for each in (main, upstream)])
        known = sum(states.values())
        return Progress(
            orders=orders,
            states={"SUBMITTED": max(0, orders - known), **states},
            waiting=await main.fetchval(_SQL["waiting"]),
            events=await main.fetchval(_SQL["events"]) + await upstream.fetchval(_SQL["events"]),
            signals=await main.fetchval(_SQL["signals"]),
            lag=lag,
            parked=await main.fetchval(_SQL["parked"]) + await upstream.fetchval(_SQL["refused"]),
            upstream_tasks=await upstream.fetchval(_SQL["upstream_tasks"]),
            open_processes=await main.fetchval(_SQL["open"]),
        )

    async def order_milliseconds(self) -> tuple[float, ...]:
        """For each shipped order the milliseconds from the append of OrderSubmitted to that of OrderShipped."""
        submitted = {row["order_id"]: row["at"] for row in await self._upstream.fetch(_SQL["submitted"])}
        return tuple(
            (row["at"] - submitted[row["order_id"]]).total_seconds() * 1_000
            for row in await self._main.fetch(_SQL["shipped"])
            if row["order_id"] in submitted
        )

    async def _relay_lag(self) -> dict[str, int]:
        lag = {}
        for name, pool in (("services", self._main), ("upstream", self._upstream)):
            async with pool.acquire() as connection:
                status = await outbox_status(cast("asyncpg.Connection[Any]", connection))
                lag[name] = status.lag_rows
        return lag
