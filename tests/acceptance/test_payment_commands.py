"""``tidegate simulate payments`` and the workers of payments as real processes, among faults and killed."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest_asyncio
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker
from temporalio.client import WorkflowFailureError
from temporalio.exceptions import ApplicationError

from infra.clients.postgres import create_engine
from infra.local import Stack
from outbox import Outbox
from services.errors import ProviderFailedError
from services.payments import Payments
from services.payments.http_provider import HttpPaymentProvider
from services.payments.rows import payment_id_of
from tests.command_support import Workplace, workplace
from tests.replay.payments import pay
from tests.waiting import until
from tests.workflow_support import new_namespace
from tidegate.wiring.schemas import open_schemas


@pytest_asyncio.fixture(loop_scope="session")
async def place(
    stack: Stack, tmp_path: Path, postgres_dsn: str, upstream_dsn: str
) -> AsyncIterator[Workplace]:
    """Fresh databases on the shared servers."""
    async with workplace(stack, tmp_path, postgres_dsn, upstream_dsn) as opened:
        yield opened


@asynccontextmanager
async def opened_payments(place: Workplace, client: httpx.AsyncClient) -> AsyncIterator[Payments]:
    """Payments on the place's database, asking the provider that runs."""
    schemas = await open_schemas(place.settings)
    engine = create_engine(place.settings.postgres)
    try:
        sessions = async_sessionmaker(engine, class_=AsyncSession)
        yield Payments(sessions, Outbox(schemas.codec), HttpPaymentProvider(client))
    finally:
        await engine.dispose()
        await schemas.close()


async def started(place: Workplace, *words: object) -> asyncio.subprocess.Process:
    """``tidegate`` with ``words``, its log in a file: nobody reads a pipe while it runs."""
    with (place.settings.home / f"{words[-1]}.log").open("a") as log:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tidegate",
            *map(str, words),
            stdout=log,
            stderr=log,
            env={**os.environ, **place.environment},
        )


async def answers(client: httpx.AsyncClient) -> bool:
    """Whether the provider serves."""
    try:
        return (await client.get("/faults")).is_success
    except httpx.HTTPError:
        return False


async def test_payments_with_a_provider_that_is_killed(place: Workplace, temporal_address: str) -> None:
    """Twenty payments, every fourth call going wrong, the provider killed and started again: the books agree.

    Each payment is captured once, or failed and freed; nothing is held for one that failed.
    """
    url = place.environment["TIDEGATE_PAYMENTS__URL"]
    words = (
        "simulate",
        "payments",
        "--error",
        0.1,
        "--timeout-after-success",
        0.15,
        "--seed",
        7,
        "--fraud",
        0.1,
    )
    running: list[asyncio.subprocess.Process] = []
    async with new_namespace(temporal_address) as world, httpx.AsyncClient(base_url=url, timeout=5) as client:
        place.environment["TIDEGATE_TEMPORAL__NAMESPACE"] = world.client.namespace
        place.environment["TIDEGATE_PAYMENTS__BREAKER_REST"] = "0.5"
        try:
            running.append(provider := await started(place, *words))
            for queue in ("payments", "payment-processing"):
                running.append(await started(place, "worker", "--queue", queue))  # noqa: PERF401
            await until(lambda: answers(client))
            orders = [f"order-{number}" for number in range(20)]
            async with opened_payments(place, client) as payments:
                await asyncio.gather(*(authorized(payments, order_id) for order_id in orders))
                handles = [await pay(world, order_id) for order_id in orders]
                await asyncio.gather(*(handle.result() for handle in handles[:3]), return_exceptions=True)
                os.kill(provider.pid, signal.SIGKILL)
                await provider.wait()
                running.append(await started(place, *words))
                ends = await asyncio.gather(*(handle.result() for handle in handles), return_exceptions=True)

                books = {
                    row["reference"]: row for row in (await client.get("/books")).json()["authorizations"]
                }
                assert len(books) == len(orders), "one authorisation for each order"
                for order_id, end in zip(orders, ends, strict=True):
                    row, ours = books[payment_id_of(order_id)], await payments.payment(order_id)
                    assert ours is not None
                    assert Decimal(row["captured"]) == ours.captured, order_id
                    if end == "CAPTURED":
                        assert (row["state"], ours.captured) == ("captured", Decimal("12.50")), order_id
                    else:
                        assert row["state"] == "voided", order_id
                assert Counter(map(kind_of, ends))["CAPTURED"] > 0
                assert set(map(kind_of, ends)) <= {
                    "CAPTURED",
                    "FraudDetectedError",
                    "PaymentUnavailableError",
                }
        finally:
            for process in running:
                if process.returncode is None:
                    process.terminate()
            await asyncio.gather(*(process.wait() for process in running))


async def test_a_port_that_is_taken_is_said_in_one_line(place: Workplace) -> None:
    """A second provider on the same port ends with status 1 and says why."""
    first = await place.start("simulate", "payments")
    try:
        async with httpx.AsyncClient(base_url=place.environment["TIDEGATE_PAYMENTS__URL"]) as client:
            await until(lambda: answers(client))
        second = await place.tidegate("simulate", "payments")
        assert second.status == 1
        assert "cannot serve on 127.0.0.1" in second.err.strip().splitlines()[-1]
    finally:
        first.terminate()
        await first.communicate()


async def test_a_provider_elsewhere_is_not_simulated(place: Workplace) -> None:
    """Where payments.url is somebody else's, the local provider refuses to pose as it."""
    place.environment["TIDEGATE_PAYMENTS__URL"] = "https://provider.example"
    ended = await place.tidegate("simulate", "payments")
    assert ended.status == 2
    assert "https://provider.example" in ended.err


def kind_of(end: Any) -> str:
    """``CAPTURED``, or the type of the error."""
    if isinstance(end, WorkflowFailureError) and isinstance(end.cause, ApplicationError):
        return end.cause.type or ""
    return str(end)


async def authorized(payments: Payments, order_id: str) -> None:
    """Authorise, asked again until the provider has answered."""

    async def answered() -> bool:
        try:
            await payments.authorize(order_id, Decimal("12.50"), "EUR", "tok_visa")
        except ProviderFailedError:
            return False
        return True

    await until(answered)
