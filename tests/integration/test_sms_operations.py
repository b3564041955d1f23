"""SMS on a real PostgreSQL: shipments, labels, repeats, refusals, and what is published."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from infra.ids import derived_id
from schemas.events import LabelGenerated
from services.errors import IllegalTransitionError, LabelRefusedError, UnknownOrderError
from services.sms import Label, Sms
from tests.services_support import SERVICE_ROOMS, Database, PlainCarrier, migrated


@pytest_asyncio.fixture(loop_scope="session")
async def database(postgres_dsn: str) -> AsyncIterator[Database]:
    """A database with the services' tables."""
    async with migrated(postgres_dsn, SERVICE_ROOMS) as opened:
        yield opened


@pytest.fixture
def carrier() -> PlainCarrier:
    """A carrier that gives every shipment its label."""
    return PlainCarrier()


@pytest.fixture
def sms(database: Database, carrier: PlainCarrier) -> Sms:
    """SMS."""
    return Sms(database.sessions, database.outbox, carrier)


async def test_a_shipment_goes_from_created_to_confirmed(
    sms: Sms, carrier: PlainCarrier, database: Database
) -> None:
    """Each step once, published once with the next sequence; the carrier is asked for one label."""
    shipment_id = str(derived_id("shipment", "o"))
    for _ in range(2):
        assert await sms.create_shipment("o", "paid") == shipment_id
        assert await sms.generate_label("o", 1) == f"T-{shipment_id}"
        await sms.confirm_shipment("o")
    assert carrier.asked == 1
    published = await database.published()
    assert [one.name for one in published] == ["ShipmentCreated", "LabelGenerated", "ShipmentConfirmed"]
    assert [one.sequence for one in published] == [1, 2, 3]
    assert all(one.extensions == {"flow": "paid"} and one.source == "/services/sms" for one in published)
    labelled = published[1].event
    assert isinstance(labelled, LabelGenerated)
    assert (labelled.carrier, labelled.tracking_number) == ("test-carrier", f"T-{shipment_id}")
    with pytest.raises(IllegalTransitionError, match="is CONFIRMED"):
        await sms.cancel_shipment("o")


async def test_a_label_comes_before_the_confirmation(sms: Sms) -> None:
    """A shipment without a label is not confirmed; one that is not there is its own error."""
    await sms.create_shipment("o")
    with pytest.raises(IllegalTransitionError, match="is CREATED"):
        await sms.confirm_shipment("o")
    with pytest.raises(UnknownOrderError):
        await sms.generate_label("nobody")
    with pytest.raises(UnknownOrderError):
        await sms.confirm_shipment("nobody")


async def test_a_cancelled_shipment_stays_cancelled(sms: Sms, database: Database) -> None:
    """Cancelling first is remembered without an event; nothing more happens to the shipment."""
    for _ in range(2):
        await sms.cancel_shipment("early")
    await sms.create_shipment("labelled")
    await sms.generate_label("labelled")
    for _ in range(2):
        await sms.cancel_shipment("labelled")
    for operation in (
        sms.create_shipment("early"),
        sms.create_shipment("labelled"),
        sms.generate_label("labelled"),
        sms.confirm_shipment("labelled"),
    ):
        with pytest.raises(IllegalTransitionError, match="is CANCELLED"):
            await operation
    assert await database.names() == ["ShipmentCreated", "LabelGenerated", "ShipmentCancelled"]


class _Refusing(PlainCarrier):
    async def label(self, shipment_id: str, attempt: int) -> Label:
        if attempt < 3:
            raise LabelRefusedError(f"no label for {shipment_id}")
        return await super().label(shipment_id, attempt)


async def test_a_refused_label_can_be_asked_for_again(database: Database) -> None:
    """A refusal changes nothing; the attempt that gets a label is the one that counts."""
    sms = Sms(database.sessions, database.outbox, _Refusing())
    await sms.create_shipment("o")
    for attempt in (1, 2):
        with pytest.raises(LabelRefusedError):
            await sms.generate_label("o", attempt)
    assert await database.names() == ["ShipmentCreated"]
    assert await sms.generate_label("o", 3)


class _Cancelling(PlainCarrier):
    """Cancels the shipment while the carrier is being asked: possible only if no lock is held meanwhile."""

    sms: Sms

    async def label(self, shipment_id: str, attempt: int) -> Label:
        await self.sms.cancel_shipment("o")
        return await super().label(shipment_id, attempt)


async def test_the_carrier_is_asked_outside_the_transaction(database: Database) -> None:
    """A shipment can be cancelled while its label is made; the label is then not kept."""
    carrier = _Cancelling()
    carrier.sms = sms = Sms(database.sessions, database.outbox, carrier)
    await sms.create_shipment("o")
    with pytest.raises(IllegalTransitionError, match="is CANCELLED"):
        await sms.generate_label("o")
    shipment = await sms.shipment("o")
    assert shipment is not None
    assert (shipment.state, shipment.tracking_number) == ("CANCELLED", None)


async def test_at_once_is_once(sms: Sms, database: Database) -> None:
    """Eight attempts at the same time have one effect and one event each."""
    await asyncio.gather(*(sms.create_shipment("o") for _ in range(8)))
    numbers = await asyncio.gather(*(sms.generate_label("o") for _ in range(8)))
    assert len(set(numbers)) == 1
    await asyncio.gather(*(sms.confirm_shipment("o") for _ in range(8)))
    assert await database.names() == ["ShipmentCreated", "LabelGenerated", "ShipmentConfirmed"]
    assert (await sms.counts())["CONFIRMED"] == 1
    assert [one.order_id for one in await sms.shipments("CONFIRMED")] == ["o"]
