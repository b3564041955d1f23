"""Does a server answer, can clients use it, and is it the one that was started? One probe for each kind.

An open port proves little: it may be somebody else's, or the server may still refuse work. A probe says no
while the server is not ready, and raises :class:`~infra.errors.StackError` when another one answers.

Each loads its client when it is first asked, so that servers start meanwhile and not afterwards; and by way of
:func:`infra.loading.load`, because its user may be loading something too.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Collection

from infra.errors import StackError
from infra.loading import load

_PATIENCE = 4.0  # seconds for one answer


async def port_open(port: int) -> bool:
    """Whether something listens on ``port`` of 127.0.0.1; OSError where nothing does."""
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.close()
    await writer.wait_closed()
    return True


async def postgres_ready(dsn: str, databases: Collection[str], *, data_directory: str | None) -> bool:
    """Whether the server at ``dsn`` takes statements; makes those of ``databases`` that it lacks.

    ``data_directory`` is where the server that was started keeps its data, if that is known.
    """
    await load("asyncpg")
    import asyncpg

    try:
        connection = await asyncpg.connect(dsn, timeout=_PATIENCE)
    except (asyncpg.CannotConnectNowError, asyncpg.ConnectionDoesNotExistError):
        return False
    try:
        where = await connection.fetchval("SHOW data_directory")
        if data_directory is not None and where != data_directory:
            raise StackError(f"another PostgreSQL answers at {dsn}: its data is in {where}")
        present = {row["datname"] for row in await connection.fetch("SELECT datname FROM pg_database")}
        for database in sorted(set(databases) - present):
            await connection.execute(f'CREATE DATABASE "{database}"')
    finally:
        await connection.close()
    return True


async def kafka_ready(port: int, cluster_id: str) -> bool:
    """Whether the broker on ``port`` belongs to ``cluster_id`` and has been let in by its controller."""
    await port_open(port)
    await load("aiokafka.admin", "aiokafka.errors")
    from aiokafka.admin import AIOKafkaAdminClient
    from aiokafka.errors import KafkaError

    admin = AIOKafkaAdminClient(
        bootstrap_servers=f"127.0.0.1:{port}", request_timeout_ms=int(_PATIENCE * 1000)
    )
    try:
        await admin.start()
        cluster = await admin.describe_cluster()
    except KafkaError:
        return False
    finally:
        await admin.close()
    if cluster["cluster_id"] != cluster_id:
        raise StackError(f"another Kafka answers on port {port}: cluster {cluster['cluster_id']}")
    return bool(cluster["brokers"])


async def registry_ready(url: str) -> bool:
    """Whether the registry at ``url`` lists its subjects."""
    await load("httpx")
    import httpx

    async with httpx.AsyncClient(trust_env=False, timeout=_PATIENCE) as client:
        try:
            answer = await client.get(f"{url}/subjects")
        except httpx.TransportError:
            return False
    return answer.status_code == httpx.codes.OK


async def temporal_ready(port: int, namespace: str) -> bool:
    """Whether Temporal on ``port`` has ``namespace`` and can look for workflows in it."""
    await port_open(port)
    await load("temporalio.api.workflowservice.v1", "temporalio.client", "temporalio.service")
    import temporalio.api.workflowservice.v1 as workflow_service
    from temporalio.client import Client
    from temporalio.service import RPCError

    request = workflow_service.DescribeNamespaceRequest(namespace=namespace)
    try:
        async with asyncio.timeout(_PATIENCE):
            client = await Client.connect(f"127.0.0.1:{port}", namespace=namespace)
            await client.workflow_service.describe_namespace(request)
            await client.count_workflows()
    except (RuntimeError, RPCError):
        return False
    return True


async def temporal_answers(port: int) -> bool:
    """Whether any Temporal frontend on ``port`` takes a workflow; the time-skipping server knows no namespaces."""
    await port_open(port)
    await load("temporalio.client", "temporalio.service")
    from temporalio.client import Client
    from temporalio.service import RPCError

    try:
        async with asyncio.timeout(_PATIENCE):
            client = await Client.connect(f"127.0.0.1:{port}")
            await client.start_workflow("Nobody", id=f"probe-{uuid.uuid4()}", task_queue="nobody")
    except (RuntimeError, RPCError):
        return False
    return True
