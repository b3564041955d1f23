"""The servers that the tests run on: each started when the first test asks for it, once a session."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path

import asyncpg
from sqlalchemy import make_url

from infra.local import Component, Stack, StackAddresses, StackOptions, running_stack
from infra.local.choice import addresses_given, settings_given
from infra.local.docker import docker_answers
from infra.local.stack import ServerFactory, process_factories
from infra.settings import RegistrySettings
from schemas.registry import Registry
from tests.containers import container_factories
from tests.shared_registry import SharedRegistry
from tests.template_databases import drop_templates

TEST_OPTIONS = StackOptions(
    fsync=False, temporal_dynamic_config=('history.transferProcessorUpdateAckInterval="1s"',)
)
"""PostgreSQL does not wait for the disk: a test kills processes, never the machine. Temporal deletes a closed workflow
within a second, not within half a minute: a test of what it has forgotten waits for that."""


class SessionStack:
    """A stack that starts nothing before it is asked."""

    def __init__(self, stack: Stack, *, registered: bool = False) -> None:
        self._stack = stack
        self._one_at_a_time = asyncio.Lock()
        self._registered = registered

    @property
    def stack(self) -> Stack:
        """The stack, with whatever runs so far."""
        return self._stack

    async def having(self, *components: Component) -> StackAddresses:
        """The addresses, once ``components`` run.

        A registry has our schemas then, and the cache its ids: tests may let their settings ``prefer_cache``.
        """
        async with self._one_at_a_time:
            await self._stack.start(*components, upon=self._register_once)
        return self._stack.addresses

    async def _register_once(self, component: Component, addresses: StackAddresses) -> None:
        if component is Component.REGISTRY and not self._registered:
            async with Registry(RegistrySettings(url=addresses.registry_url)) as registry:
                await registry.register_all()
            self._registered = True

    def describe(self) -> str:
        """What ran where, for the end of a test run."""
        parts = [f"{name}: {server.version}, {server.origin}" for name, server in self._stack.servers.items()]
        parts += [f"{name}: given" for name in sorted(self._stack.given.components())]
        return "; ".join(parts) or "no server was needed"


def session_factories() -> Mapping[Component, ServerFactory]:
    """How this machine runs servers for tests: testcontainers where an engine answers, or else processes."""
    docker = settings_given().local_docker and docker_answers()
    return container_factories() if docker else process_factories()


@contextlib.asynccontextmanager
async def session_stack(
    home: Path, report: Callable[[str], None], registry_host: str | None = None
) -> AsyncIterator[SessionStack]:
    """The stack of one test session; nothing of it runs afterwards.

    ``registry_host`` is the address of the run's :class:`~tests.shared_registry.RegistryHost`, if it has one.
    """
    given = addresses_given(settings_given())
    factories = dict(await asyncio.to_thread(session_factories))
    if registry_host is not None:
        shared = home.parents[1] / "registry"  # beside the folders of the workers
        factories[Component.REGISTRY] = lambda *_: SharedRegistry(registry_host, shared)
    async with running_stack(
        home, (), TEST_OPTIONS, given=given, factories=factories, report=report
    ) as stack:
        yield SessionStack(stack, registered=registry_host is not None and given.registry_url is None)
        for dsn in (given.postgres_dsn, given.upstream_dsn):
            if dsn is not None:
                await drop_templates(dsn)


@contextlib.asynccontextmanager
async def fresh_database(server_dsn: str) -> AsyncIterator[str]:
    """The address of a new empty database on the server of ``server_dsn``; dropped afterwards."""
    name = f"test_{secrets.token_hex(6)}"
    # copied as files, not logged page by page, which writes everything twice
    await _execute(server_dsn, f'CREATE DATABASE "{name}" STRATEGY FILE_COPY')
    try:
        yield make_url(server_dsn).set(database=name).render_as_string(hide_password=False)
    finally:
        await _execute(server_dsn, f'DROP DATABASE "{name}" WITH (FORCE)')


async def _execute(dsn: str, statement: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
