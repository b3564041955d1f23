"""The shared fixtures give servers that work, each for itself."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import asyncpg
import httpx
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from temporalio.client import Client
from temporalio.testing import WorkflowEnvironment

from tests.stack import TEST_OPTIONS, SessionStack, session_factories


async def test_the_run_says_what_it_stands_on(
    servers: SessionStack, postgres_dsn: str, record_testsuite_property: Callable[[str, object], None]
) -> None:
    """The servers of a test run are all containers or all local processes, and the run says which."""
    chosen = {make(Path("unused"), TEST_OPTIONS).origin for make in session_factories().values()}
    used = {server.origin for server in servers.stack.servers.values()}
    given = servers.stack.given.components()
    record_testsuite_property("tidegate-servers", servers.describe())
    assert len(chosen) == 1
    assert used <= chosen
    assert used or given, f"{postgres_dsn} comes from nowhere"


async def test_a_database_is_new_for_each_test(postgres_dsn: str, upstream_dsn: str) -> None:
    """Two fixtures give two databases, both empty, on PostgreSQL 18."""
    assert postgres_dsn != upstream_dsn
    for dsn in (postgres_dsn, upstream_dsn):
        connection = await asyncpg.connect(dsn)
        assert (await connection.fetchval("SHOW server_version")).startswith("18")
        assert await connection.fetchval("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == 0
        await connection.close()


async def test_a_record_goes_through_kafka(bootstrap_servers: str, unique: str) -> None:
    """A record produced to a new topic is read by a consumer group."""
    topic = f"hello-{unique}"
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers)
    await admin.start()
    await admin.create_topics([NewTopic(topic, num_partitions=2, replication_factor=1)])
    await admin.close()
    async with AIOKafkaProducer(bootstrap_servers=bootstrap_servers) as producer:
        await producer.send_and_wait(topic, b"value", key=b"key")
    async with AIOKafkaConsumer(
        topic, bootstrap_servers=bootstrap_servers, group_id=unique, auto_offset_reset="earliest"
    ) as consumer:
        record = await consumer.getone()
    assert (record.key, record.value) == (b"key", b"value")


async def test_the_registry_speaks_the_confluent_api(registry_url: str, unique: str) -> None:
    """A schema registered gets an id under which it is found again."""
    async with httpx.AsyncClient(trust_env=False) as client:
        registered = await client.post(
            f"{registry_url}/subjects/{unique}-value/versions", json={"schema": '{"type": "string"}'}
        )
        found = await client.get(f"{registry_url}/schemas/ids/{registered.json()['id']}")
    assert found.json()["schema"] in {'{"type": "string"}', '"string"'}


async def test_temporal_has_its_namespace(temporal_address: str) -> None:
    """A client connects to the namespace and lists no workflow of ours."""
    client = await Client.connect(temporal_address)
    assert (await client.count_workflows("WorkflowId = 'nobody'")).count == 0


async def test_time_is_skipped(time_skipping_server: Path) -> None:
    """Three days pass on the test server without anyone waiting for them."""
    async with await WorkflowEnvironment.start_time_skipping(
        test_server_existing_path=str(time_skipping_server),
        test_server_startup_timeout=timedelta(seconds=60),  # a JVM, on a machine that may be busy
    ) as environment:
        before = await environment.get_current_time()
        await environment.sleep(3 * 24 * 3600)
        after = await environment.get_current_time()
    assert (after - before).total_seconds() >= 3 * 24 * 3600
