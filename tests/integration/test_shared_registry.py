"""The registry that the workers of a test run share: started once, by who asks first, and ended with the run."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
import pytest_asyncio

from infra.errors import MisuseError, StackError
from infra.local import Component, StackOptions
from infra.local.cache import Report
from infra.local.choice import Origin
from tests.shared_registry import RegistryHost, SharedRegistry
from tests.waiting import until


class Recorded:
    """A server that is the session's registry; starting and stopping it is noted."""

    component = Component.REGISTRY
    origin = Origin.DOCKER
    version = "recorded"
    ports: Sequence[int] = (1,)  # nobody listens there: a start that fails is not tried again
    running = True

    def __init__(self, url: str) -> None:
        self._url = url
        self.noted: list[str] = []
        self.held: asyncio.Event | None = None
        self.refusal: StackError | None = None

    @property
    def pids(self) -> list[int]:
        """None."""
        return []

    def addresses(self) -> dict[str, str]:
        """The session's."""
        return {"registry_url": self._url}

    async def prepare(self, report: Report) -> None:
        """Nothing."""

    async def start(self) -> None:
        """Noted; refused, or held up, if the test says so."""
        self.noted.append("started")
        if self.refusal is not None:
            raise self.refusal
        if self.held is not None:
            await self.held.wait()

    async def stop(self) -> None:
        """Noted."""
        self.noted.append("stopped")

    async def kill(self) -> None:
        """Never asked for."""

    async def dispose(self) -> None:
        """Nothing."""


@pytest.fixture
def recorded(registry_url: str) -> Recorded:
    """What the host starts."""
    return Recorded(registry_url)


@pytest_asyncio.fixture(loop_scope="session")
async def host(recorded: Recorded) -> AsyncIterator[RegistryHost]:
    """A host that nobody has asked yet."""
    opened = RegistryHost(lambda: {Component.REGISTRY: lambda *_: recorded}, StackOptions())
    yield opened
    await asyncio.to_thread(opened.close)


async def test_all_who_ask_get_the_same_and_none_of_them_ends_it(
    host: RegistryHost, recorded: Recorded, registry_url: str, tmp_path: Path
) -> None:
    """Started once, although three ask at once; it stays when one of them stops, and nobody may kill it."""
    assert recorded.noted == []
    workers = [SharedRegistry(host.address, tmp_path / "home") for _ in range(3)]
    await asyncio.gather(*(worker.start() for worker in workers))
    assert {worker.addresses()["registry_url"] for worker in workers} == {registry_url}
    assert {(worker.version, worker.origin) for worker in workers} == {("recorded", Origin.DOCKER)}
    await workers[0].stop()
    with pytest.raises(MisuseError, match="whole test run"):
        await workers[1].kill()
    assert recorded.noted == ["started"]
    await asyncio.to_thread(host.close)
    assert recorded.noted == ["started", "stopped"]


async def test_a_registry_that_does_not_start_is_an_error_of_each_who_asks(
    host: RegistryHost, recorded: Recorded, tmp_path: Path
) -> None:
    """The reason reaches the worker, and the next one tries again."""
    recorded.refusal = StackError("no port is left")
    worker = SharedRegistry(host.address, tmp_path / "home")
    with pytest.raises(StackError, match="no port is left"):
        await worker.start()
    assert not worker.running
    recorded.refusal = None
    await worker.start()
    assert worker.running


async def test_a_run_that_ends_while_the_registry_starts_leaves_nothing(
    host: RegistryHost, recorded: Recorded, tmp_path: Path
) -> None:
    """Who waits for it is told, and what was begun is ended."""
    recorded.held = asyncio.Event()
    asking = asyncio.ensure_future(SharedRegistry(host.address, tmp_path / "home").start())
    await until(lambda: recorded.noted == ["started"], what="the registry is starting")
    await asyncio.to_thread(host.close)
    with pytest.raises(StackError, match="has ended"):
        await asking
    assert recorded.noted == ["started", "stopped"]
