"""Apicurio, which speaks the Confluent registry's REST API, on the JRE of a wheel."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from infra.loading import load
from infra.local.aot import java_environment, with_archive
from infra.local.cache import Report
from infra.local.components import Component, StackOptions
from infra.local.jars import fetch_archive, java_command
from infra.local.pinned import pinned_version
from infra.local.probes import registry_ready
from infra.local.process import Launch, free_ports
from infra.local.server import LocalServer

_HEAP = 384  # megabytes
_VERSIONS = 5  # that the training registers
_PATIENCE = 20.0  # seconds for one answer in training
_PARTS = ("app", "lib/boot", "lib/main")
"""Where the archive keeps its jars; a class that Quarkus rewrote comes before its original."""
_OPENED = ("--add-opens", "java.base/java.lang=ALL-UNNAMED")
"""What the manifest of ``quarkus-run.jar`` opens: without it the pool's threads end by an error each."""


class LocalRegistry(LocalServer):
    """The schema registry. Its ids survive a restart: they stand in a file of the run directory."""

    component = Component.REGISTRY

    def __init__(self, home: Path, options: StackOptions) -> None:
        super().__init__(home, options)
        self.ports = free_ports(2)
        self._port, self._management_port = self.ports
        self._application = Path()
        self._archive: list[str] = []

    @property
    def version(self) -> str:
        return f"Apicurio {pinned_version('registry', 'apicurio-registry-app')}"

    def addresses(self) -> dict[str, str]:
        return {"registry_url": f"http://127.0.0.1:{self._port}/apis/ccompat/v7"}

    async def prepare(self, report: Report) -> None:
        await asyncio.to_thread(self._prepare, report)

    def _prepare(self, report: Report) -> None:
        self._application = fetch_archive("registry", report)
        self._archive = with_archive(
            self._application,
            self._command,
            self.ready,
            report,
            exercise=self._exercise,
        )

    def launch(self) -> Launch:
        self.data.mkdir(parents=True, exist_ok=True)
        java, *rest = self._command(self.data)
        return Launch(
            command=[java, *self._archive, *rest],
            log=self.log,
            folder=self._application,
            environment=java_environment(),
        )

    def _command(self, folder: Path) -> list[str]:
        """Start the registry with its data in ``folder``.

        ``quarkus-run.jar`` would load the application through a class loader of its own, and a JVM archives
        only what its own loaders have loaded; so the same classes are put on the class path, in that jar's order.
        """
        settings = {
            "java.util.logging.manager": "org.jboss.logmanager.LogManager",
            "quarkus.http.host": "127.0.0.1",
            "quarkus.http.port": self._port,
            "quarkus.management.host": "127.0.0.1",
            "quarkus.management.port": self._management_port,
            "apicurio.storage.kind": "sql",
            "apicurio.storage.sql.kind": "h2",
            # WRITE_DELAY: what was answered is on the disk, also when the next thing is SIGKILL
            "apicurio.datasource.url": f"jdbc:h2:file:{folder.resolve()}/registry;WRITE_DELAY=0",
            "quarkus.log.level": "WARN",
            'quarkus.log.category."io.apicurio".level': "WARN",
            "quarkus.http.access-log.enabled": "false",
            "quarkus.log.console.json.enabled": "false",
            "apicurio.datasource.jdbc.initial-size": 2,
            "apicurio.datasource.jdbc.min-size": 2,
            "quarkus.banner.enabled": "false",
        }
        options = [f"-D{name}={value}" for name, value in settings.items()]
        classes = [
            *(self._application / "quarkus" / f"{jar}-bytecode.jar" for jar in ("transformed", "generated")),
            *(jar for part in _PARTS for jar in sorted((self._application / part).glob("*.jar"))),
        ]
        return [
            *java_command(_HEAP, *options),
            *_OPENED,
            "-cp",
            ":".join(map(str, classes)),
            "io.quarkus.runner.GeneratedMain",
        ]

    async def _exercise(self) -> None:
        """Do what a first minute does, so that the archive holds the classes that it needs: half of them are not
        loaded by a registry that only starts.
        """
        await load("httpx")
        import httpx  # here, because only the first start on a machine trains

        fields: list[dict[str, Any]] = [{"name": "id", "type": "string"}]
        url = self.addresses()["registry_url"]
        async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=_PATIENCE) as client:
            for number in range(_VERSIONS):
                fields = [*fields, {"name": f"field_{number}", "type": ["null", "string"], "default": None}]
                schema = {"type": "record", "name": "Record", "namespace": "exercise", "fields": fields}
                body = {"schema": json.dumps(schema), "schemaType": "AVRO"}
                added = await client.post("subjects/exercise/versions", json=body)
                await client.put("config/exercise", json={"compatibility": "FULL_TRANSITIVE"})
                await client.post("subjects/exercise", json=body)
                await client.get(f"schemas/ids/{added.raise_for_status().json()['id']}")

    async def ready(self) -> bool:
        return await registry_ready(self.addresses()["registry_url"])
