"""WMS on a real PostgreSQL: waves, repeats, refusals, and what is published."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from infra.ids import derived_id
from schemas.events import PickWaveCreated
from services.errors import IllegalTransitionError, InvalidOrderError
from services.wms import Wms
from tests.services_support import SERVICE_ROOMS, Database, migrated


@pytest_asyncio.fixture(loop_scope="session")
async def database(postgres_dsn: str) -> AsyncIterator[Database]:
    """A database with the services' tables."""
    async with migrated(postgres_dsn, SERVICE_ROOMS) as opened:
        yield opened


@pytest.fixture
def wms(database: Database) -> Wms:
    """WMS."""
    return Wms(database.sessions, database.outbox)


async def test_a_wave_is_made_once_and_cancelled_once(wms: Wms, database: Database) -> None:
    """Repeats change nothing and publish nothing; the events carry sequence and flow."""
    for _ in range(2):
        assert await wms.create_pick_wave("o", [("A", 2), ("B", 1)], "paid") == str(derived_id("wave", "o"))
    for _ in range(2):
        await wms.cancel_pick_wave("o")
    created, cancelled = await database.published()
    assert isinstance(created.event, PickWaveCreated)
    assert [(pick.sku, pick.quantity) for pick in created.event.picks] == [("A", 2), ("B", 1)]
    assert [created.sequence, cancelled.sequence] == [1, 2]
    assert created.extensions == cancelled.extensions == {"flow": "paid"}
    assert (created.source, created.subject, created.correlation_id) == ("/services/wms", "o", "o")
    wave = await wms.wave("o")
    assert wave is not None
    assert (wave.state, wave.picks) == ("CANCELLED", (("A", 2), ("B", 1)))


async def test_a_cancelled_wave_is_never_made_again(wms: Wms, database: Database) -> None:
    """A cancellation that comes first stays, without an event; a late wave is refused."""
    for _ in range(2):
        await wms.cancel_pick_wave("o")
    with pytest.raises(IllegalTransitionError, match="is CANCELLED"):
        await wms.create_pick_wave("o", [("A", 1)])
    assert await database.names() == []


async def test_a_wave_with_nothing_to_pick_is_refused(wms: Wms) -> None:
    """An empty wave is invalid."""
    with pytest.raises(InvalidOrderError):
        await wms.create_pick_wave("o", [])


async def test_at_once_is_once(wms: Wms, database: Database) -> None:
    """Eight attempts at the same time make one wave, and cancel it once."""
    await asyncio.gather(*(wms.create_pick_wave("o", [("A", 1)]) for _ in range(8)))
    await asyncio.gather(*(wms.cancel_pick_wave("o") for _ in range(8)))
    assert await database.names() == ["PickWaveCreated", "PickWaveCancelled"]
    assert await wms.counts() == {"CREATED": 0, "CANCELLED": 1}
    assert [wave.order_id for wave in await wms.waves("CANCELLED")] == ["o"]
    assert await wms.wave("nobody") is None
