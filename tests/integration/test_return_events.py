"""A return's events from Kafka through the bridge into its workflow."""

from __future__ import annotations

import pytest

from infra.settings import TemporalSettings
from schemas.events import InspectedLine, ReturnInspected, ReturnLine, ReturnReceived, ReturnRequested
from tests.bridge_support import NOW, bridge_world
from tests.return_support import return_reached, snapshot_of
from tests.waiting import until
from tests.workflow_support import real_world
from workflows.contracts.returns import RETURN


@pytest.mark.parametrize("early", [False, True], ids=["in time", "before its workflow exists"])
async def test_reports_reach_the_return(
    postgres_dsn: str,
    bootstrap_servers: str,
    registry_url: str,
    temporal_address: str,
    unique: str,
    early: bool,
) -> None:
    """Requested starts it; the parcel's report, early or in time, twice and once more under another id, counts once;
    what comes after the end is recorded and goes no further."""
    return_id, order_id = f"return-{unique}", f"order-{unique}"
    requested = ReturnRequested(
        return_id=return_id,
        order_id=order_id,
        reason_code="DAMAGED",
        requested_at=NOW,
        lines=(ReturnLine(sku="bolt", quantity=2),),
    )
    received = ReturnReceived(return_id=return_id, order_id=order_id, received_at=NOW)
    inspected = ReturnInspected(
        return_id=return_id,
        order_id=order_id,
        inspected_at=NOW,
        lines=(InspectedLine(sku="bolt", quantity=2, disposition="restock"),),
    )
    async with (
        bridge_world(
            postgres_dsn=postgres_dsn,
            bootstrap_servers=bootstrap_servers,
            registry_url=registry_url,
            temporal_address=temporal_address,
            unique=unique,
        ) as kafka,
        real_world(temporal_address) as temporal,
    ):
        namespace = TemporalSettings(address=temporal_address, namespace=temporal.client.namespace)
        settings = kafka.settings.model_copy(update={"temporal": namespace})
        handle = temporal.client.get_workflow_handle(RETURN.workflow_id(return_id=return_id), result_type=str)
        async with kafka.bridge(settings=settings):
            if early:
                first = await kafka.publish(received)
                await kafka.settled(first.event_id, "parked")
                start = await kafka.publish(requested)
            else:
                start = await kafka.publish(requested)
                await kafka.settled(start.event_id, "started")
                await return_reached(handle, "WAITING_FOR_PARCEL")
                first = await kafka.publish(received)
            await kafka.settled(first.event_id, "delivered")
            again = await kafka.publish(received, event_id=first.event_id)
            renamed = await kafka.publish(received)
            await kafka.settled(renamed.event_id, "delivered")
            await return_reached(handle, "WAITING_FOR_INSPECTION")
            report = await kafka.publish(inspected)
            assert await handle.result() == "COMPLETED"
            late = await kafka.publish(received)
            await kafka.settled(late.event_id, "late")
            await kafka.settled(report.event_id, "delivered")
        assert again.offset > first.offset
        assert (await snapshot_of(handle)).signal_failures == ()
        effects = temporal.contexts.effects(order_id)
        assert len(effects) == len(set(effects)) == 7

        async def nothing_is_left() -> bool:
            return await kafka.parked() == []

        await until(nothing_is_left)
        assert await kafka.dead_letter_count() == 0
