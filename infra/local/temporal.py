"""Temporal's development server, a single binary."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from infra.errors import StackError
from infra.local.cache import Report
from infra.local.components import Component, StackOptions
from infra.local.probes import temporal_ready
from infra.local.process import Launch, free_ports
from infra.local.server import LocalServer
from infra.local.temporal_binary import TemporalBinary, find_temporal

NAMESPACE = "default"
SEARCH_ATTRIBUTES = ("TidegateOrderId", "TidegateStatus")
"""What workflows show of themselves in lists (``workflows.visibility``), registered from the start."""

COLLECTS_SELDOM: Final[Mapping[str, str]] = {"GOGC": "400", "GOMEMLIMIT": "1GiB"}
"""The server is Go, and with its small heap it collects garbage all the time: a sixth of the processor time that it
takes for an order (docs/decisions/0001). A value in our own environment goes before these."""


class LocalTemporal(LocalServer):
    """Temporal with its web UI. In memory, unless the options ask for its history to survive a restart."""

    component = Component.TEMPORAL

    def __init__(self, home: Path, options: StackOptions) -> None:
        super().__init__(home, options)
        self.ports = free_ports(4)
        self._port, self._ui_port, self._http_port, self._metrics_port = self.ports
        self._binary: TemporalBinary | None = None

    @property
    def version(self) -> str:
        return self._binary.version if self._binary else "not prepared"

    def addresses(self) -> dict[str, str]:
        return {
            "temporal_address": f"127.0.0.1:{self._port}",
            "temporal_ui_url": f"http://127.0.0.1:{self._ui_port}",
            "namespace": NAMESPACE,
        }

    async def prepare(self, report: Report) -> None:
        self._binary = await find_temporal(report)

    def launch(self) -> Launch:
        if self._binary is None:
            raise StackError("temporal: prepare() comes before start()")
        command = [
            str(self._binary.path), "server", "start-dev", "--ip", "127.0.0.1", "--ui-ip", "127.0.0.1",
            "--port", str(self._port), "--ui-port", str(self._ui_port), "--http-port", str(self._http_port),
            "--metrics-port", str(self._metrics_port), "--log-level", "warn", "--namespace", NAMESPACE,
        ]  # fmt: skip
        for name in SEARCH_ATTRIBUTES:
            command += ["--search-attribute", f"{name}=Keyword"]
        if self.options.keep_data or self.options.temporal_on_file:
            self.data.mkdir(parents=True, exist_ok=True)
            command += ["--db-filename", str(self.data / "temporal.db")]
        for setting in self.options.temporal_dynamic_config:
            command += ["--dynamic-config-value", setting]
        return Launch(
            command=command,
            log=self.log,
            folder=Path(self.home),
            environment={**COLLECTS_SELDOM, **os.environ},
        )

    async def ready(self) -> bool:
        return await temporal_ready(self._port, NAMESPACE)
