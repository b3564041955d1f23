"""Trouble that is not the event's: it is waited out, and never parks or buries anything."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

import pytest
from prometheus_client import CollectorRegistry
from temporalio.api.workflowservice.v1 import RegisterNamespaceRequest
from temporalio.client import Client
from temporalio.worker import Worker

from infra.local import Component, StackOptions, running_stack
from infra.settings import TemporalSettings
from tests.bridge_support import World, bridge_world, packed, picked
from tests.dedupe_workflow import Idle
from tests.waiting import until
from workflows.dedupe import DedupeSignals


@pytest.fixture
def world(bridge_surroundings: World) -> World:
    """A topic of one partition."""
    return bridge_surroundings


async def test_a_missing_namespace_pauses_and_parks_nothing(world: World, unique: str) -> None:
    """NOT_FOUND for a namespace is no early event: the partition pauses until the namespace is there."""
    namespace = f"n-{unique}"
    address = world.settings.temporal.address
    elsewhere = world.settings.model_copy(
        update={"temporal": TemporalSettings(address=address, namespace=namespace)}
    )
    order_id = world.order("n")
    sent = await world.publish(picked(order_id))
    async with world.bridge(settings=elsewhere) as bridge:
        await until(lambda: _paused_retries(bridge.registry) >= 2)
        assert await world.ledger() == []
        assert await world.parked() == []
        assert await world.committed() == {0: 0}
        request = RegisterNamespaceRequest(namespace=namespace)
        request.workflow_execution_retention_period.FromSeconds(86_400)
        await world.client.workflow_service.register_namespace(request)
        # the namespace is there, the workflow is not: now it is an early event
        await world.settled(sent.event_id, "parked")
        assert address is not None
        inside = await Client.connect(address, namespace=namespace)
        await inside.start_workflow("Idle", id=f"order-fulfillment-{order_id}", task_queue=world.topic)
        await world.settled(sent.event_id, "delivered")
    assert await world.dead_letter_count() == 0


async def test_temporal_away_for_a_while(
    tmp_path: Path, postgres_dsn: str, bootstrap_servers: str, registry_url: str, unique: str
) -> None:
    """While Temporal is away the partition waits; afterwards every event arrives once, in order."""
    options = StackOptions(fsync=False, temporal_on_file=True)
    async with running_stack(tmp_path, {Component.TEMPORAL}, options) as own:
        assert own.addresses.temporal_address is not None
        async with bridge_world(
            postgres_dsn=postgres_dsn,
            bootstrap_servers=bootstrap_servers,
            registry_url=registry_url,
            temporal_address=own.addresses.temporal_address,
            unique=unique,
        ) as world:
            order_id = world.order("away")
            await world.start(f"order-fulfillment-{order_id}")
            async with world.bridge() as bridge:
                before = await world.publish(picked(order_id))
                await world.settled(before.event_id, "delivered")
                await own.kill(Component.TEMPORAL)
                during = await world.publish(packed(order_id))
                await until(lambda: _paused_retries(bridge.registry) >= 1)
                assert await world.outcomes(during.event_id) == []
                await own.start(Component.TEMPORAL)
                await world.settled(during.event_id, "delivered")
            assert await world.signals(f"order-fulfillment-{order_id}") == [
                ("PickCompleted", str(before.event_id)),
                ("PackCompleted", str(during.event_id)),
            ]
            assert await world.parked() == []
            assert await world.dead_letter_count() == 0


async def test_a_server_that_gives_little(
    tmp_path: Path, postgres_dsn: str, bootstrap_servers: str, registry_url: str, unique: str
) -> None:
    """At 20 requests a second and 50 signals a run everything arrives once, in order, and nothing is parked or buried:
    the bridge asks less of the server, and a run that is full holds its own key only until it has continued as new,
    for which the bridge asks it."""
    limits = ("frontend.namespaceRPS=20", "history.maximumSignalsPerExecution=50")
    options = StackOptions(fsync=False, temporal_dynamic_config=limits)
    async with running_stack(tmp_path, {Component.TEMPORAL}, options) as own:
        assert own.addresses.temporal_address is not None
        async with bridge_world(
            postgres_dsn=postgres_dsn,
            bootstrap_servers=bootstrap_servers,
            registry_url=registry_url,
            temporal_address=own.addresses.temporal_address,
            unique=unique,
            partitions=2,
        ) as world:
            full, orders = world.order("full"), [world.order(f"some-{number}") for number in range(10)]
            for order_id in (full, *orders):
                await world.start(f"order-fulfillment-{order_id}")
            sent: dict[str, list[UUID]] = {order_id: [] for order_id in (full, *orders)}
            for order_id in (*(full,) * 52, *orders * 4):
                event = packed(order_id) if len(sent[order_id]) % 2 else picked(order_id)
                sent[order_id].append((await world.publish(event)).event_id)
            async with world.bridge() as bridge:
                for order_id in orders:
                    await world.settled(sent[order_id][-1], "delivered")
                await world.settled(sent[full][49], "delivered")
                await until(lambda: _at_its_limit(bridge.registry) >= 2)
                assert await world.outcomes(*sent[full][50:]) == []
                assert _figure(bridge.registry, "tidegate_bridge_temporal_calls_limit_cuts") >= 1
                async with Worker(
                    world.client, task_queue=world.topic, workflows=[Idle], plugins=[DedupeSignals()]
                ):
                    await world.settled(sent[full][51], "delivered")
            assert await world.outcomes() == ["delivered"] * 92
            assert await world.parked() == []
            assert await world.dead_letter_count() == 0
            assert await world.signals(f"order-fulfillment-{full}") == [
                ("PickCompleted", str(sent[full][50])),
                ("PackCompleted", str(sent[full][51])),
            ]
            for order_id in orders:
                heard = [event_id for _, event_id in await world.signals(f"order-fulfillment-{order_id}")]
                assert heard == [str(event_id) for event_id in sent[order_id]]


async def test_a_database_that_is_away(world: World) -> None:
    """Without its tables the bridge delivers signals and commits nothing: no offset passes an unwritten entry."""
    order_id = world.order("db")
    await world.start(f"order-fulfillment-{order_id}")
    async with world.bridge() as bridge:
        await world.pool.execute("ALTER TABLE bridge.ledger RENAME TO ledger_away")
        sent = await world.publish(picked(order_id))

        async def signalled() -> bool:
            return await world.signals(f"order-fulfillment-{order_id}") != []

        await until(signalled)
        await until(lambda: _commits(bridge.registry, "postponed") >= 2)
        assert await world.committed() == {0: 0}
        await world.pool.execute("ALTER TABLE bridge.ledger_away RENAME TO ledger")
        await world.settled(sent.event_id, "delivered")
    assert await world.committed() == {0: sent.offset + 1}
    assert len(await world.signals(f"order-fulfillment-{order_id}")) == 1


def _figure(registry: CollectorRegistry, name: str, **labels: str) -> float:
    return float(registry.get_sample_value(name, labels) or 0)


def _at_its_limit(registry: CollectorRegistry) -> float:
    name = "tidegate_bridge_temporal_answers_total"
    return _figure(registry, name, action="signal", answer="signal_limit")


def _retries(registry: CollectorRegistry, waits: str) -> float:
    return _figure(registry, "tidegate_consumer_retries_total", waits=waits)


def _paused_retries(registry: CollectorRegistry) -> float:
    return _retries(registry, "partition")


def _commits(registry: CollectorRegistry, result: str) -> float:
    return _figure(registry, "tidegate_consumer_commits_total", result=result)
