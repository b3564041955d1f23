"""Kafka 4.1, one KRaft node, from Maven's jars on the JRE of a wheel."""

from __future__ import annotations

import asyncio
import base64
import shutil
import subprocess
import uuid
from collections.abc import Mapping
from pathlib import Path

from infra.errors import StackError
from infra.local.aot import java_environment, with_archive
from infra.local.cache import Report, build_once, cache_directory
from infra.local.components import Component, StackOptions
from infra.local.jars import class_path, fetch_jars, java_command
from infra.local.pinned import pinned_version
from infra.local.probes import kafka_ready
from infra.local.process import Launch, free_ports
from infra.local.server import LocalServer

_HEAP = 512  # megabytes
_TEMPLATE_CLUSTER = "AHRpZGVnYXRlLXRlbXBsYQ"


class LocalKafka(LocalServer):
    """One broker that is its own controller. Topics are made by whoever needs them, never by themselves."""

    component = Component.KAFKA

    def __init__(self, home: Path, options: StackOptions) -> None:
        super().__init__(home, options)
        self.ports = free_ports(2)
        self._port, self._controller_port = self.ports
        self._jars = Path()
        self._archive: list[str] = []

    @property
    def version(self) -> str:
        return pinned_version("kafka", "kafka_2.13")

    def addresses(self) -> dict[str, str]:
        return {"bootstrap_servers": f"127.0.0.1:{self._port}"}

    async def prepare(self, report: Report) -> None:
        await asyncio.to_thread(self._prepare, report)

    def _prepare(self, report: Report) -> None:
        self._jars = fetch_jars("kafka", report)
        trainee = LocalKafka(self.home, StackOptions())
        trainee._jars = self._jars
        self._archive = with_archive(
            self._jars,
            trainee._training_command,
            lambda: kafka_ready(trainee._port, _TEMPLATE_CLUSTER),
            report,
        )

    def _training_command(self, folder: Path) -> list[str]:
        """What starts a broker that nobody uses, with its data in ``folder``."""
        self._make_storage(folder)
        return [*self._java("kafka.Kafka"), str(folder / "server.properties")]

    def launch(self) -> Launch:
        properties = self.data.with_name("kafka.properties")
        properties.parent.mkdir(parents=True, exist_ok=True)
        _write_properties(properties, self._configuration())
        if not (self.data / "meta.properties").exists():
            self._format()
        return Launch(
            command=[*self._java("kafka.Kafka"), str(properties)],
            log=self.log,
            folder=self.home,
            environment=java_environment(),
        )

    async def ready(self) -> bool:
        return await kafka_ready(self._port, self._cluster_id())

    def _configuration(self) -> dict[str, object]:
        broker, controller = f"127.0.0.1:{self._port}", f"127.0.0.1:{self._controller_port}"
        return {
            "process.roles": "broker,controller",
            "node.id": 1,
            "controller.quorum.voters": f"1@{controller}",
            "controller.listener.names": "CONTROLLER",
            "listeners": f"PLAINTEXT://{broker},CONTROLLER://{controller}",
            "advertised.listeners": f"PLAINTEXT://{broker}",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "log.dirs": self.data,
            "auto.create.topics.enable": "false",
            "num.partitions": 1,
            "offsets.topic.replication.factor": 1,
            "offsets.topic.num.partitions": 8,
            "transaction.state.log.replication.factor": 1,
            "transaction.state.log.min.isr": 1,
            "transaction.state.log.num.partitions": 8,
            "share.coordinator.state.topic.replication.factor": 1,
            "share.coordinator.state.topic.min.isr": 1,
            # a killed broker comes back only when its last session has ended (9 s unless told)
            "broker.heartbeat.interval.ms": 500,
            "broker.session.timeout.ms": 3000,
            # a record that says nothing, twice a second unless told, is a quarter of what an idle broker costs
            "metadata.max.idle.interval.ms": 10_000,
            "group.initial.rebalance.delay.ms": 0,
            "group.min.session.timeout.ms": 1000,
            "num.network.threads": 2,
            "num.io.threads": 4,
            "log.cleaner.dedupe.buffer.size": 16 * 1024 * 1024,
        }

    def _cluster_id(self) -> str:
        """Twenty-two letters that belong to the data: another cluster never has them."""
        path = self.data.with_name("kafka.cluster")
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            number = b"\x01" + uuid.uuid4().bytes[1:]  # never begins with a dash, which Kafka's tools misread
            path.write_text(base64.urlsafe_b64encode(number).decode().rstrip("="))
        return path.read_text()

    def _format(self) -> None:
        """Copy storage as Kafka's own tool made it once, and give it our cluster id.

        The tool is a JVM, which would cost every start a second.
        """
        template = build_once(
            cache_directory() / "formatted" / f"{self._jars.name}-1", self._make_storage, _quiet
        )
        shutil.copytree(template / "storage", self.data, dirs_exist_ok=True)
        properties = self.data / "meta.properties"
        properties.write_text(properties.read_text().replace(_TEMPLATE_CLUSTER, self._cluster_id()))

    def _make_storage(self, folder: Path) -> None:
        properties = folder / "server.properties"
        _write_properties(properties, {**self._configuration(), "log.dirs": folder / "storage"})
        done = subprocess.run(
            [
                *self._java("kafka.tools.StorageTool"),
                "format",
                "-t",
                _TEMPLATE_CLUSTER,
                "-c",
                str(properties),
            ],
            env=java_environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise StackError(f"Kafka's storage could not be made: {(done.stderr or done.stdout).strip()}")

    def _java(self, main_class: str) -> list[str]:
        java, *options = java_command(
            _HEAP, "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp", class_path(self._jars), main_class
        )
        return [java, *self._archive, *options]


def _write_properties(path: Path, values: Mapping[str, object]) -> None:
    path.write_text("".join(f"{name}={value}\n" for name, value in values.items()))


def _quiet(_: str) -> None:
    """Takes a second: nobody waits long enough to be told."""
