"""The servers as containers, where a Docker engine answers: one compose project each, under a guard.

``docker compose up`` in the foreground is the guarded process: what ends it ends the container, so the
promise that nothing is left behind is kept in the same way as for local processes.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import os
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any, Final

import yaml

from infra.local.cache import Report
from infra.local.choice import Origin
from infra.local.components import Component, StackOptions
from infra.local.probes import kafka_ready, postgres_ready, registry_ready, temporal_ready
from infra.local.process import Launch, free_ports
from infra.local.server import LocalServer

COMPOSE_FILE: Final = Path(__file__).parent.parent / "deploy" / "compose.yaml"
_PATIENCE = 10.0  # seconds for the engine to answer
_NAMESPACE = "default"


def docker_answers() -> bool:
    """Whether a Docker engine answers and the client has ``compose`` (blocking)."""
    if shutil.which("docker") is None:
        return False
    questions = (["docker", "version", "--format", "{{.Server.Version}}"], ["docker", "compose", "version"])
    try:
        return all(
            subprocess.run(question, capture_output=True, timeout=_PATIENCE, check=False).returncode == 0
            for question in questions
        )
    except (OSError, subprocess.TimeoutExpired):
        return False


def compose_service(component: Component) -> dict[str, Any]:
    """The service of ``component`` as it stands in ``infra/deploy/compose.yaml``."""
    service: dict[str, Any] = yaml.safe_load(COMPOSE_FILE.read_text())["services"][component.value]
    return service


class ContainerFacts:
    """What is the same for a container whoever starts it: ports, variables, addresses, readiness."""

    def __init__(self, component: Component, home: Path, options: StackOptions) -> None:
        self.component = component
        self.options = options
        self.ports = free_ports(2)
        self._port, self._ui_port = self.ports
        digest = hashlib.sha256(str(home).encode()).digest()[:15]
        self._cluster_id = base64.urlsafe_b64encode(b"\x01" + digest).decode().rstrip("=")

    def variables(self) -> dict[str, str]:
        """Values for the ``${TIDEGATE_LOCAL_…}`` in the compose file."""
        return {
            f"TIDEGATE_LOCAL_{self.component.value.upper()}_PORT": str(self._port),
            "TIDEGATE_LOCAL_TEMPORAL_UI_PORT": str(self._ui_port),
            "TIDEGATE_LOCAL_KAFKA_CLUSTER": self._cluster_id,
            "TIDEGATE_LOCAL_FSYNC": "on" if self.options.fsync else "off",
        }

    def command(self) -> list[str] | None:
        """The container's command, where the options change it."""
        if self.component is not Component.TEMPORAL:
            return None
        command: list[str] = list(compose_service(self.component)["command"])
        if self.options.keep_data or self.options.temporal_on_file:
            command += ["--db-filename", "/var/temporal/temporal.db"]
        for setting in self.options.temporal_dynamic_config:
            command += ["--dynamic-config-value", setting]
        return command

    def addresses(self) -> dict[str, str]:
        """Fields of :class:`~infra.local.components.StackAddresses`."""
        at = f"127.0.0.1:{self._port}"
        match self.component:
            case Component.POSTGRES:
                return {f"{name}_dsn": self._dsn(database) for name, database in _DATABASES.items()}
            case Component.KAFKA:
                return {"bootstrap_servers": at}
            case Component.REGISTRY:
                return {"registry_url": f"http://{at}/apis/ccompat/v7"}
            case Component.TEMPORAL:
                ui = f"http://127.0.0.1:{self._ui_port}"
                return {"temporal_address": at, "temporal_ui_url": ui, "namespace": _NAMESPACE}

    async def ready(self) -> bool:
        """As :class:`~infra.local.server.LocalServer` wants it."""
        match self.component:
            case Component.POSTGRES:
                return await postgres_ready(self._dsn("postgres"), _DATABASES.values(), data_directory=None)
            case Component.KAFKA:
                return await kafka_ready(self._port, self._cluster_id)
            case Component.REGISTRY:
                return await registry_ready(self.addresses()["registry_url"])
            case Component.TEMPORAL:
                return await temporal_ready(self._port, _NAMESPACE)

    def _dsn(self, database: str) -> str:
        return f"postgresql://tidegate@127.0.0.1:{self._port}/{database}"


_DATABASES: Final = {"postgres": "tidegate", "upstream": "upstream"}


class ComposeServer(LocalServer):
    """A service of ``infra/deploy/compose.yaml`` in a compose project of its own."""

    origin = Origin.DOCKER

    def __init__(self, component: Component, home: Path, options: StackOptions) -> None:
        super().__init__(home, options)
        self.component = component
        self._facts = ContainerFacts(component, home, options)
        self.ports = self._facts.ports
        store = hashlib.sha256(str(options.store(home)).encode()).hexdigest()[:10]
        self.project_name = f"tidegate-{store}-{component.value}"

    @property
    def version(self) -> str:
        return str(compose_service(self.component)["image"])

    def addresses(self) -> dict[str, str]:
        return self._facts.addresses()

    async def prepare(self, report: Report) -> None:
        """Pull the image, and forget what an earlier stack stored unless that is kept."""
        report(f"{self.component}: pulling {self.version} if it is not here yet")
        await asyncio.to_thread(self._docker, "pull", "--quiet", self.component.value)
        mark = self.data.with_name(f"{self.component.value}-elsewhere")
        if not mark.exists():  # the home's data was removed, and the volume goes with it
            await asyncio.to_thread(self._docker, "down", "--volumes")
            mark.parent.mkdir(parents=True, exist_ok=True)
            mark.write_text(f"{self.project_name}\n")

    def launch(self) -> Launch:
        return Launch(
            command=[*self._compose(), "up", "--no-color", "--no-log-prefix", self.component.value],
            log=self.log,
            folder=self.home,
            environment=self._environment(),
            stop_signal=signal.SIGINT,
            orphan_signal=signal.SIGINT,
            grace=40,
            when_orphaned=[*self._compose(), *self._down()],
        )

    async def ready(self) -> bool:
        return await self._facts.ready()

    async def kill(self) -> None:
        await asyncio.to_thread(self._docker, "kill", "--signal", "SIGKILL", self.component.value)
        await super().stop()

    async def dispose(self) -> None:
        await asyncio.to_thread(self._docker, *self._down())

    def _down(self) -> list[str]:
        return ["down"] if self.options.keep_data else ["down", "--volumes"]

    def _compose(self) -> list[str]:
        command = ["docker", "compose", "--project-name", self.project_name, "--file", str(COMPOSE_FILE)]
        changed = self._facts.command()
        if changed is not None:
            override = self.home / f"compose.{self.component.value}.json"
            override.write_text(json.dumps({"services": {self.component.value: {"command": changed}}}))
            command += ["--file", str(override)]
        return command

    def _environment(self) -> dict[str, str]:
        return {**os.environ, **self._facts.variables()}

    def _docker(self, *arguments: str) -> None:
        subprocess.run(
            [*self._compose(), *arguments], env=self._environment(), capture_output=True, check=False
        )
