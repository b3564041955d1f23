"""What the local stack is made of, and where each part answers."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Final


class Component(StrEnum):
    """A server of the stack. The value is its name in messages, logs and ``stack.json``."""

    POSTGRES = "postgres"
    KAFKA = "kafka"
    REGISTRY = "registry"
    TEMPORAL = "temporal"


EVERYTHING: Final = frozenset(Component)


@dataclass(frozen=True, slots=True)
class StackOptions:
    """How the stack's servers are run.

    ``keep_data`` keeps what the last stack in the same home stored, Temporal's history included; without it
    every stack starts empty and Temporal keeps its history in memory, which is about four times faster.
    ``temporal_on_file`` lets Temporal alone survive a restart *within* the life of a stack.
    ``fsync=False`` is for tests: PostgreSQL then survives a killed process, but not a power failure, and keeps data
    that is thrown away in memory where there is much.
    ``temporal_dynamic_config`` holds ``KEY=VALUE`` pairs, such as ``frontend.namespaceRPS=20``.
    """

    keep_data: bool = False
    fsync: bool = True
    temporal_on_file: bool = False
    temporal_dynamic_config: tuple[str, ...] = ()

    def store(self, home: Path) -> Path:
        """Where servers keep their data: what is kept and what is thrown away never share a folder."""
        return home / ("data" if self.keep_data else "scratch")


@dataclass(frozen=True, slots=True)
class StackAddresses:
    """Where the running servers answer. A part that was not asked for is ``None``."""

    postgres_dsn: str | None = None
    upstream_dsn: str | None = None
    bootstrap_servers: str | None = None
    registry_url: str | None = None
    temporal_address: str | None = None
    temporal_ui_url: str | None = None
    namespace: str = field(default="default")
    payments_url: str | None = None
    """Where `tidegate simulate payments` serves on this stack: a free port is kept for it, nobody starts it."""

    def components(self) -> frozenset[Component]:
        """The parts whose address stands here."""
        present = {
            Component.POSTGRES: self.postgres_dsn,
            Component.KAFKA: self.bootstrap_servers,
            Component.REGISTRY: self.registry_url,
            Component.TEMPORAL: self.temporal_address,
        }
        return frozenset(component for component, address in present.items() if address)

    def as_settings(self) -> dict[str, Any]:
        """The part of :class:`infra.settings.Settings` that says where these servers are."""
        groups: dict[str, dict[str, str | None]] = {
            "postgres": {"dsn": self.postgres_dsn, "upstream_dsn": self.upstream_dsn},
            "kafka": {"bootstrap_servers": self.bootstrap_servers},
            "registry": {"url": self.registry_url},
            "temporal": {
                "address": self.temporal_address,
                "ui_url": self.temporal_ui_url,
                "namespace": self.namespace if self.temporal_address else None,
            },
            "payments": {"url": self.payments_url},
        }
        present = {
            group: {name: value for name, value in values.items() if value is not None}
            for group, values in groups.items()
        }
        return {group: values for group, values in present.items() if values}

    def environment(self) -> dict[str, str]:
        """The same as ``TIDEGATE_…`` variables, for a child process."""
        return {
            f"TIDEGATE_{group}__{name}".upper(): value
            for group, values in self.as_settings().items()
            for name, value in values.items()
        }
