"""Fixtures that every test may ask for.

Servers are shared by the whole session, and the registry by all workers of a run, so tests keep apart by what they
use on them: databases are new for each test; topics, groups, task queues and workflow ids carry the ``unique``
suffix of the test. A test that stops or kills a server of ``stack`` starts it again before it ends; the registry is
not its to stop.
"""

from __future__ import annotations

import asyncio
import secrets
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

from infra.local import EVERYTHING, Component, Stack
from infra.local.skipping import time_skipping_server as fetch_time_skipping_server
from infra.memory import settle_collector
from tests.scheduling import OneLoopAtATime, longest_first
from tests.shared_registry import RegistryHost
from tests.stack import TEST_OPTIONS, SessionStack, fresh_database, session_factories, session_stack

if TYPE_CHECKING:
    from tests.bridge_support import World
    from tests.skipping import SkippingServers

# No property is judged by a clock: these machines are shared, and a slow draw says nothing about the code.
hypothesis_settings.register_profile(
    "no clock", parent=hypothesis_settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
hypothesis_settings.load_profile("no clock")

_SESSION_STACK = pytest.StashKey[SessionStack]()
_REGISTRY_HOST = pytest.StashKey[RegistryHost]()


def _required(address: str | None) -> str:
    assert address is not None, "a server that was started has an address"
    return address


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def servers(
    tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config
) -> AsyncIterator[SessionStack]:
    """Starts servers when asked; the fixtures below are what tests want."""
    home = tmp_path_factory.mktemp("tidegate")
    terminal = pytestconfig.pluginmanager.get_plugin("terminalreporter")
    worker = getattr(pytestconfig, "workerinput", {})
    async with session_stack(
        home,
        report=terminal.write_line if terminal else print,
        registry_host=worker.get("registry_host"),
    ) as running:
        pytestconfig.stash[_SESSION_STACK] = running
        yield running


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def stack(servers: SessionStack) -> Stack:
    """Everything: PostgreSQL, Kafka, registry, Temporal."""
    await servers.having(*EVERYTHING)
    return servers.stack


@pytest_asyncio.fixture(loop_scope="session")
async def postgres_dsn(servers: SessionStack) -> AsyncIterator[str]:
    """A new empty database, for one test."""
    addresses = await servers.having(Component.POSTGRES)
    async with fresh_database(_required(addresses.postgres_dsn)) as dsn:
        yield dsn


@pytest_asyncio.fixture(loop_scope="session")
async def upstream_dsn(servers: SessionStack) -> AsyncIterator[str]:
    """Another new empty database, for the simulated upstream systems."""
    addresses = await servers.having(Component.POSTGRES)
    async with fresh_database(_required(addresses.upstream_dsn)) as dsn:
        yield dsn


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def bootstrap_servers(servers: SessionStack) -> str:
    """A Kafka broker; it makes no topic by itself."""
    return _required((await servers.having(Component.KAFKA)).bootstrap_servers)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def registry_url(servers: SessionStack) -> str:
    """A schema registry with the Confluent API."""
    return _required((await servers.having(Component.REGISTRY)).registry_url)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def temporal_address(servers: SessionStack) -> str:
    """A Temporal frontend, namespace ``default``."""
    return _required((await servers.having(Component.TEMPORAL)).temporal_address)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def time_skipping_server() -> Path:
    """What ``WorkflowEnvironment.start_time_skipping(test_server_existing_path=…)`` wants."""
    return await asyncio.to_thread(fetch_time_skipping_server, print)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def skipping_servers(time_skipping_server: Path) -> AsyncIterator[SkippingServers]:
    """Servers whose clock can be skipped, each lent to one test at a time."""
    from tests.skipping import SkippingServers

    async with SkippingServers(time_skipping_server) as servers:
        yield servers


@pytest_asyncio.fixture(loop_scope="session")
async def bridge_surroundings(
    postgres_dsn: str, bootstrap_servers: str, registry_url: str, temporal_address: str, unique: str
) -> AsyncIterator[World]:
    """What a bridge of the test's own works on: a database and a topic of one partition."""
    from tests.bridge_support import bridge_world  # here, because most tests need none of what it imports

    async with bridge_world(
        postgres_dsn=postgres_dsn,
        bootstrap_servers=bootstrap_servers,
        registry_url=registry_url,
        temporal_address=temporal_address,
        unique=unique,
    ) as world:
        yield world


@pytest.fixture
def unique() -> str:
    """A short suffix that no other test has: letters and digits."""
    return secrets.token_hex(4)


def pytest_configure() -> None:
    """Hear Ctrl-C, as do the processes of tests: a shell that starts a run in the background tells it not to."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell a worker who has the registry of the run."""
    stash = node.config.stash
    if _REGISTRY_HOST not in stash:
        stash[_REGISTRY_HOST] = RegistryHost(session_factories, TEST_OPTIONS)
    node.workerinput["registry_host"] = stash[_REGISTRY_HOST].address


def pytest_unconfigure(config: pytest.Config) -> None:
    """End the registry of the run, after its workers."""
    host = config.stash.get(_REGISTRY_HOST, None)
    if host is not None:
        host.close()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest."""
    items.sort(key=lambda item: longest_first(item.nodeid.partition("::")[0]))


def pytest_collection_finish() -> None:
    """What was imported for thousands of tests is no garbage: the collector need not walk through it in each."""
    settle_collector()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> OneLoopAtATime:
    """Share the files out among the workers."""
    return OneLoopAtATime(config, log)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say what the tests ran on."""
    running = config.stash.get(_SESSION_STACK, None)
    if running is not None:
        terminalreporter.write_line(f"servers: {running.describe()}")
