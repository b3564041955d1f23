"""The commands of the bridge as a person meets them: real processes, real signals, one line for an error."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
from collections.abc import Mapping

import httpx

import consumers.bridge
import consumers.replay
from infra.local import Stack
from infra.local.process import free_ports
from infra.migrations import migrate
from infra.topics import apply_topics
from schemas.registry import Registry
from tests.bridge_support import bridge_world, picked
from tests.forked import fork_tidegate


async def tidegate(*words: str, environment: Mapping[str, str]) -> tuple[int, str, str]:
    """Run a command to its end: status, standard output, standard error."""
    process = await fork_tidegate(*words, environment={**os.environ, **environment})
    output, errors = await process.communicate()
    return process.returncode or 0, output.decode(), errors.decode()


async def test_the_bridge_serves_and_stops(stack: Stack, postgres_dsn: str, unique: str) -> None:
    """`tidegate bridge` says ready, also over HTTP, and after SIGTERM ends by itself with status 0."""
    (port,) = free_ports(1)
    environment = {
        **os.environ,
        **stack.environment(),
        "TIDEGATE_POSTGRES__DSN": postgres_dsn,
        # not there: the real topics may hold other tests' events, and nothing must come of them here
        "TIDEGATE_TEMPORAL__NAMESPACE": f"n-{unique}",
    }
    await asyncio.to_thread(migrate, postgres_dsn, [consumers.bridge.MIGRATIONS])
    async with bridge_world(
        postgres_dsn=postgres_dsn,
        bootstrap_servers=str(stack.addresses.bootstrap_servers),
        registry_url=str(stack.addresses.registry_url),
        temporal_address=str(stack.addresses.temporal_address),
        unique=unique,
    ) as world:
        await apply_topics(world.settings.kafka)
        async with Registry(world.settings.registry) as registry:
            await registry.register_all()
    words = ("bridge", "--group-prefix", unique, "--health-port", str(port))
    process = await fork_tidegate(*words, environment=environment)
    try:
        async with asyncio.timeout(90):
            while b"ready" not in (line := await process.stderr.readline()):
                assert line, "it ended before it was ready"
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as http:
            assert [(await http.get(path)).json() for path in ("/healthz", "/readyz")] == [
                {"status": "ok"}
            ] * 2
            assert "tidegate_consumer_poll_age_seconds" in (await http.get("/metrics")).text
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(60):
            rest = await process.stderr.read()
            assert await process.wait() == 0, rest
        assert b"drained=True" in b"".join(re.split(rb"\x1b\[[0-9;]*m", rest))
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_what_waits_is_listed(stack: Stack, postgres_dsn: str, unique: str) -> None:
    """`tidegate parked list` shows the events that wait, with workflow, record and deadline."""
    environment = {**stack.environment(), "TIDEGATE_POSTGRES__DSN": postgres_dsn}
    async with bridge_world(
        postgres_dsn=postgres_dsn,
        bootstrap_servers=str(stack.addresses.bootstrap_servers),
        registry_url=str(stack.addresses.registry_url),
        temporal_address=str(stack.addresses.temporal_address),
        unique=unique,
    ) as world:
        order_id = world.order("p")
        async with world.bridge():
            sent = await world.publish(picked(order_id))
            await world.settled(sent.event_id, "parked")
        await asyncio.to_thread(migrate, postgres_dsn, [consumers.replay.MIGRATIONS])
        status, output, errors = await tidegate("parked", "list", "--json", environment=environment)
        assert status == 0, errors
        (row,) = json.loads(output)["parked"]
    assert (row["event"], row["event_id"]) == ("PickCompleted", str(sent.event_id))
    assert row["workflow_id"] == f"order-fulfillment-{order_id}"
    assert row["record"] == f"{world.topic}[0]@{sent.offset}"


async def test_routes_are_listed() -> None:
    """`tidegate routes` needs no server, and says of each route what happens to early and late events."""
    status, output, _ = await tidegate("routes", "--json", environment={})
    assert status == 0
    routes = {route["name"]: route for route in json.loads(output)["routes"]}
    assert routes["PickCompleted:signal:PickCompleted"]["early"] == "park 24 h"
    assert routes["PickCompleted:signal:PickCompleted"]["late"] == "record"
    assert routes["OrderSubmitted:start:OrderIntakeWorkflow"]["workflow_id"] == "order-intake-{request_id}"


async def test_servers_that_are_not_there(stack: Stack, postgres_dsn: str) -> None:
    """A broker, a database or a Temporal that is not there: one line, status 1, no traceback."""
    await asyncio.to_thread(migrate, postgres_dsn, [consumers.bridge.MIGRATIONS])
    good = {**stack.environment(), "TIDEGATE_POSTGRES__DSN": postgres_dsn}
    nowhere = "127.0.0.1:1"
    for name, address, words in (
        ("TIDEGATE_KAFKA__BOOTSTRAP_SERVERS", nowhere, "Kafka at 127.0.0.1:1 does not answer"),
        ("TIDEGATE_POSTGRES__DSN", f"postgresql://x@{nowhere}/x", "PostgreSQL does not answer"),
        ("TIDEGATE_TEMPORAL__ADDRESS", nowhere, "Temporal at 127.0.0.1:1 does not answer"),
    ):
        status, output, errors = await tidegate("bridge", environment={**good, name: address})
        last = errors.strip().splitlines()[-1]
        assert (status, output) == (1, ""), errors
        assert words in last
        assert "Traceback" not in errors


async def test_a_database_without_the_tables(stack: Stack, postgres_dsn: str) -> None:
    """A database that was not migrated is misuse, and the line says what to run."""
    environment = {**stack.environment(), "TIDEGATE_POSTGRES__DSN": postgres_dsn}
    status, _, errors = await tidegate("parked", "list", environment=environment)
    assert status == 2
    assert errors.strip().splitlines()[-1].endswith("run `tidegate migrate`")
