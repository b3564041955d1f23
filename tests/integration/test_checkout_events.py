"""A checkout through Kafka, the bridge and Temporal: started, decided and decided again by events."""

from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import Decimal

import pytest
import pytest_asyncio

from infra.settings import TemporalSettings
from schemas.events import CheckoutLine, CheckoutRequested, FraudDecided, ManualReviewDecided
from tests.bridge_support import NOW
from tests.bridge_support import World as Kafka
from tests.checkout_support import FORWARD, at, order_of
from tests.workflow_support import World, real_world


@pytest.fixture
def kafka(bridge_surroundings: Kafka) -> Kafka:
    """A topic of one partition."""
    return bridge_surroundings


@pytest_asyncio.fixture(loop_scope="session")
async def world(temporal_address: str) -> AsyncIterator[World]:
    """Workflows and fakes in a namespace of their own."""
    async with real_world(temporal_address) as running:
        yield running


def requested(checkout_id: str) -> CheckoutRequested:
    """A checkout of one line, whose order is the one that the fakes know it by."""
    line = CheckoutLine(sku="A-1", quantity=2, unit_price=Decimal("9.99"), discount=Decimal("0.1500"))
    return CheckoutRequested(
        checkout_id=checkout_id,
        order_id=order_of(checkout_id),
        request_id=f"request-of-{checkout_id}",
        customer_id="customer-1",
        currency="EUR",
        payment_token="tok_visa",
        requested_at=NOW,
        lines=(line,),
    )


def decided(checkout_id: str, decision: str) -> FraudDecided:
    """A decision by rule."""
    return FraudDecided(checkout_id=checkout_id, decision=decision, decided_at=NOW)


async def test_events_start_and_decide_a_checkout(kafka: Kafka, world: World, unique: str) -> None:
    """CheckoutRequested starts it once; a decision that was early, one by hand and a late one each do what they may."""
    temporal = TemporalSettings(address=kafka.settings.temporal.address, namespace=world.client.namespace)
    settings = kafka.settings.model_copy(update={"temporal": temporal})
    handle = world.client.get_workflow_handle(f"checkout-{unique}", result_type=str)
    async with kafka.bridge(settings=settings):
        early = await kafka.publish(decided(unique, "review"))
        await kafka.settled(early.event_id, "parked")

        started = await kafka.publish(requested(unique), extensions={"flow": "paid"})
        await kafka.settled(started.event_id, "started")
        again = await kafka.publish(requested(unique), extensions={"flow": "paid"})
        await kafka.settled(again.event_id, "already_started")
        await kafka.settled(early.event_id, "delivered")
        await at(handle, "AWAITING_MANUAL_REVIEW")

        by_hand = ManualReviewDecided(
            checkout_id=unique, decision="approved", reviewer_id="reviewer-1", decided_at=NOW
        )
        reviewed = await kafka.publish(by_hand)
        await kafka.settled(reviewed.event_id, "delivered")
        assert await handle.result() == "COMPLETED"

        late = await kafka.publish(decided(unique, "rejected"))
        await kafka.settled(late.event_id, "late")
    assert await kafka.outcomes(early.event_id) == ["parked", "delivered"]
    effects = world.contexts.effects(order_of(unique))
    assert effects[: len(FORWARD)] == FORWARD
    assert effects.count("CompleteCheckout") == 1
    assert "VoidAuthorization" not in effects
    created = dict(reversed(world.contexts.arguments[order_of(unique)]))["CreateOrder"]
    assert (created.flow, created.lines[0].unit_price, created.lines[0].discount) == (
        "paid",
        "9.99",
        "0.1500",
    )
