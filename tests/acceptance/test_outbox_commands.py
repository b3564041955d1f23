"""``tidegate relay`` and ``tidegate outbox …`` as a person, a supervisor and Prometheus use them."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest_asyncio

import outbox
from infra.local.process import free_ports
from infra.migrations import migrate
from infra.settings import RegistrySettings
from outbox import Outbox
from schemas.codec import Codec
from schemas.events import OrderReserved
from schemas.registry import Registry
from tests.forked import ForkedProcess, fork_tidegate
from tests.outbox_support import OUTBOX, happened_in, make_topic
from tests.waiting import until


class Desk:
    """The command with one outbox, a broker and a registry."""

    def __init__(self, environment: Mapping[str, str], dsn: str) -> None:
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("TIDEGATE_")},
            **environment,
        }
        self.dsn = dsn

    async def start(self, *words: object) -> ForkedProcess:
        """Start ``tidegate`` with ``words``."""
        return await fork_tidegate(*words, environment=self._environment)

    async def tidegate(self, *words: object) -> tuple[int, str, str]:
        """Run ``tidegate`` with ``words``: status, standard output, standard error."""
        process = await self.start(*words)
        out, err = await asyncio.wait_for(process.communicate(), 120)
        return process.returncode or 0, out.decode(), err.decode()

    async def data(self, *words: object) -> Any:
        """What a command prints with ``--json``."""
        status, out, err = await self.tidegate(*words, "--json")
        assert status == 0, err
        return json.loads(out)

    @asynccontextmanager
    async def relay(self, *words: object) -> AsyncIterator[httpx.AsyncClient]:
        """A relay with health, which is ready; it ends with status 0."""
        (port,) = free_ports(1)
        process = await self.start(
            "relay", "--database", "services", "--lease", "1", "--health-port", port, *words
        )
        try:
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as http:
                await until(lambda: _ready(http, process))
                yield http
            process.send_signal(signal.SIGTERM)
            _, errors = await asyncio.wait_for(process.communicate(), 60)
            assert process.returncode == 0, errors.decode()
        finally:
            if process.returncode is None:
                process.kill()
                await process.communicate()


async def _ready(http: httpx.AsyncClient, process: ForkedProcess) -> bool:
    assert process.returncode is None, "the relay ended"
    try:
        return (await http.get("/readyz")).status_code == 200
    except httpx.TransportError:
        return False


@pytest_asyncio.fixture(loop_scope="session")
async def desk(postgres_dsn: str, bootstrap_servers: str, registry_url: str, tmp_path: Path) -> Desk:
    """One for each test."""
    await asyncio.to_thread(migrate, postgres_dsn, [outbox.MIGRATIONS])
    environment = {
        "TIDEGATE_HOME": str(tmp_path),
        "TIDEGATE_POSTGRES__DSN": postgres_dsn,
        "TIDEGATE_KAFKA__BOOTSTRAP_SERVERS": bootstrap_servers,
        "TIDEGATE_REGISTRY__URL": registry_url,
        "NO_COLOR": "1",
    }
    return Desk(environment, postgres_dsn)


async def test_what_kafka_refuses_is_listed_shown_exported_retried_and_given_up(
    desk: Desk, bootstrap_servers: str, registry_url: str, unique: str, tmp_path: Path
) -> None:
    """A missing topic and a row that is too large, from the first look to what is done about them; with the relay's
    figures, its health, and its status on the way."""
    missing, small = f"{unique}-missing", f"{unique}-small"
    await make_topic(bootstrap_servers, small, partitions=1, config={"max.message.bytes": "20000"})
    async with Registry(RegistrySettings(url=registry_url)) as registry:
        codec = Codec(await registry.resolve())
    connection = await asyncpg.connect(desk.dsn)
    reserved = OrderReserved(order_id=f"order-{unique}", reserved_at=datetime(2026, 11, 21, tzinfo=UTC))
    events = Outbox(codec)
    try:
        await events.append(connection, reserved, source="/services/oms", version=1)
        await connection.execute("UPDATE outbox.events SET topic = $1", missing)
        for version, size in enumerate([10, 30_000, 10], start=1):
            event = happened_in(small)(about="k", payload=b"y" * size)
            await OUTBOX.append(connection, event, source="/test", version=version)
        async with desk.relay("--profile", "idempotent") as http:
            await until(lambda: _parked(connection, 3))
            await _look_at_it_running(desk, http)
            rows = {
                row["key"]: row for row in reversed((await desk.data("outbox", "parked", "list"))["parked"])
            }
            assert "does not know the topic" in rows[reserved.order_id]["reason"]
            assert "MessageSizeTooLarge" in rows["k"]["reason"]
            shown = await desk.data("outbox", "parked", "show", rows[reserved.order_id]["id"])
            assert shown["payload"] == reserved.to_json()
            assert shown["headers"]["ce_type"] == OrderReserved.TYPE
            await _export(desk, tmp_path / "parked.jsonl", codec.encode(reserved))
            assert (await desk.tidegate("outbox", "parked", "skip", rows["k"]["id"]))[0] == 0
            await until(lambda: _parked(connection, 1))
            await make_topic(bootstrap_servers, missing)
            assert await desk.data("outbox", "parked", "retry", "--topic", missing) == {"rows": 1}
            await until(lambda: _parked(connection, 0))
        status, out, _ = await desk.tidegate("outbox", "parked", "list", "--skipped")
        assert (status, "skipped" in out) == (0, True)
        assert (await desk.tidegate("outbox", "parked", "list"))[1] == "nothing is parked\n"
    finally:
        await connection.close()


async def _look_at_it_running(desk: Desk, http: httpx.AsyncClient) -> None:
    """Health, figures and status of a relay at work."""
    assert (await http.get("/healthz")).json() == {"status": "ok"}
    await until(lambda: _figures(http, 'tidegate_relay_parked{source="services"} 3.0'))
    figures = (await http.get("/metrics")).text
    for name in ("rows_total", "batches_total", "lag_rows", "lag_seconds", "window_age_seconds", "parked"):
        assert f'tidegate_relay_{name}{{source="services"}}' in figures, name
    for name in ("transactions", "fences", "handovers", "oldest_transaction_seconds"):
        assert f"# TYPE tidegate_relay_{name}" in figures, name
    (found,) = (await desk.data("outbox", "status"))["databases"]
    assert (found["lag_rows"], found["parked"]) == (0, 3)
    (relay,) = found["relays"]
    assert (relay["groups"], relay["profile"], relay["alive"]) == (8, "idempotent", True)
    assert {group["owner"] for group in found["groups"]} == {relay["name"]}
    _, table, _ = await desk.tidegate("outbox", "status")
    assert "services: 0 rows wait" in table
    assert relay["name"] in table


async def _export(desk: Desk, file: Path, value: bytes) -> None:
    """Every parked row, whole; a file that exists is not written over."""
    status, out, err = await desk.tidegate("outbox", "parked", "export")
    assert (status, err) == (0, "3 rows written\n")
    assert (await desk.tidegate("outbox", "parked", "export", "--output", file))[0] == 0
    assert _kept(file) == (out, 0o600)
    lines = [json.loads(line) for line in out.splitlines()]
    assert value in [base64.b64decode(line["value"]) for line in lines]
    assert {line["state"] for line in lines} == {"held"}
    assert (await desk.tidegate("outbox", "parked", "export", "--output", file))[0] == 2


def _kept(file: Path) -> tuple[str, int]:
    """What a file holds, and who may read it."""
    return file.read_text(), file.stat().st_mode & 0o777


async def _parked(connection: asyncpg.Connection, rows: int) -> bool:
    parked: int = await connection.fetchval("SELECT count(*) FROM outbox.parked WHERE state <> 'skipped'")
    return parked == rows


async def _figures(http: httpx.AsyncClient, line: str) -> bool:
    return line in (await http.get("/metrics")).text


async def test_a_relay_that_reads_nothing_is_not_ready(desk: Desk) -> None:
    """While its database is away `/readyz` says so and why, and `/healthz` that a restart would not help."""
    (port, nobody) = free_ports(2)
    away = Desk({"TIDEGATE_POSTGRES__DSN": f"postgresql://nobody@127.0.0.1:{nobody}/nothing",
                 "TIDEGATE_KAFKA__BOOTSTRAP_SERVERS": f"127.0.0.1:{nobody}"}, "")  # fmt: skip
    process = await away.start("relay", "--database", "services", "--health-port", port)
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as http:
            await until(lambda: _says(http, "the outbox of services is not being read"))
            assert (await http.get("/healthz")).status_code == 200
    finally:
        process.send_signal(signal.SIGTERM)
        await process.communicate()
    assert process.returncode == 0


async def _says(http: httpx.AsyncClient, sentence: str) -> bool:
    try:
        answer = await http.get("/readyz")
    except httpx.TransportError:
        return False
    assert answer.status_code == 503
    return "Connect" in answer.text and sentence in answer.text


async def test_partitions_and_roles_are_accepted_on_the_command_line(
    desk: Desk, bootstrap_servers: str, unique: str
) -> None:
    """What was read is accepted, what was not is refused; roles are made and the rest is nothing to do."""
    await make_topic(bootstrap_servers, unique, partitions=3)
    connection = await asyncpg.connect(desk.dsn)
    await connection.execute("INSERT INTO outbox.topics VALUES ($1, 2)", unique)
    done = await desk.data("outbox", "accept-partitions", unique)
    assert done == {"changed": [{"topic": unique, "was": 2, "partitions": 3}]}
    status, _, err = await desk.tidegate("outbox", "accept-partitions", f"{unique}-not-there")
    assert (status, "does not know the topic" in err) == (2, True)
    prefix = f"c{unique}"
    try:
        applied = await desk.data("outbox", "roles", "--prefix", prefix)
        assert applied["services"]["left"] == []
        assert len(applied["services"]["roles"]) == 4
    finally:
        names = ", ".join(f"{prefix}_{kind}" for kind in ("app", "relay", "reader", "migrator"))
        await connection.execute(f"DROP OWNED BY {names} CASCADE; DROP ROLE {names}")
        await connection.close()
