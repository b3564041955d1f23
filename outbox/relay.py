"""The relay: publishes the outboxes of several databases from one process, and does not give up.

A broker or a database that is away is waited for; a producer that broke is replaced. The relay ends only
when it is asked to, or refuses when a person has to decide first.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Coroutine, Sequence
from typing import Any
from uuid import uuid4

import asyncpg
import structlog
from aiokafka.errors import KafkaError

from infra.errors import UnavailableError
from outbox.errors import LeaseLostError, PublisherBrokenError, RelayRefusedError
from outbox.metrics import RelayMetrics
from outbox.options import RelayOptions, Source
from outbox.probe import Probe
from outbox.publisher import AnyPublisher
from outbox.session import Session, connected

_log = structlog.get_logger()

_PASSING = (
    OSError,
    TimeoutError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # what asyncpg says of a connection that went away inside a transaction
    KafkaError,
    UnavailableError,
    LeaseLostError,
    PublisherBrokenError,
)
"""What a new session, some time later, may well not meet."""


class Relay:
    """Publishes the outboxes of ``sources`` through publishers that ``new_publisher`` makes.

    One publisher a source and session, so that what goes wrong with one stays with it. ``name`` tells this
    relay from others in leases; it is different for every object unless given.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        new_publisher: Callable[[], AnyPublisher],
        *,
        options: RelayOptions,
        metrics: RelayMetrics,
        name: str | None = None,
        probe: Probe | None = None,
    ) -> None:
        self._sources = tuple(sources)
        self._new_publisher = new_publisher
        self._options = options
        self._metrics = metrics
        self._probe = probe or Probe()
        self._name = name or f"{socket.gethostname()}-{os.getpid()}-{uuid4().hex[:8]}"
        self._sessions: dict[str, Session] = {}
        self._ready: set[str] = set()
        self._away = {source.name: "not reached yet" for source in sources}

    def standing_still(self) -> list[str]:
        """Sources whose session gets nowhere though it waits for nobody, a sentence each: a restart would help.

        Whatever a session waits for (an acknowledgement, a query) has a deadline of its own below this one.
        """
        longest = 2 * self._options.delivery_timeout + 30
        return [
            f"the relay of {name} has stood still for {session.idle_for:.0f} s"
            for name, session in self._sessions.items()
            if session.idle_for > longest
        ]

    def unread(self) -> list[str]:
        """Sources that are not being read now, a sentence each with why; a relay that stands by reads."""
        return [f"the outbox of {name} is not being read: {why}" for name, why in self._away.items()]

    def hint(self) -> None:
        """Something was appended by this process: look now instead of at the next poll."""
        for session in self._sessions.values():
            session.hint()

    async def run(self, stop: asyncio.Event) -> None:
        """Publish until ``stop`` is set, then finish what is under way and return.

        Logs ``ready`` once every source is being read. Raises :class:`RelayRefusedError` when one of them
        must not be relayed; the others are stopped first.
        """
        tasks = [asyncio.create_task(self._serve(source, stop)) for source in self._sources]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        finally:
            for task in tasks:
                task.cancel()
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, BaseException) and not isinstance(outcome, asyncio.CancelledError):
                raise outcome

    async def _serve(self, source: Source, stop: asyncio.Event) -> None:
        pause = 0.1
        while not stop.is_set():
            began = asyncio.get_running_loop().time()
            try:
                await _until_stopped(self._one_session(source, stop), stop, self._options.stop_timeout)
            except RelayRefusedError as error:
                raise RelayRefusedError(f"{source.name}: {error}") from error
            except _PASSING as error:
                if isinstance(error, LeaseLostError):
                    self._metrics.fences.labels(source.name).inc()
                self._away[source.name] = str(error) or type(error).__name__
                if asyncio.get_running_loop().time() - began > 30:
                    pause = 0.1
                _log.warning("begins again", source=source.name, error=repr(error), pause=round(pause, 1))
                await _sleep(stop, pause)
                pause = min(pause * 2, self._options.pause_longest)

    async def _one_session(self, source: Source, stop: asyncio.Event) -> None:
        publisher = self._new_publisher()
        try:
            async with connected(source, self._options.lease) as connections:
                session = Session(
                    source,
                    connections,
                    publisher,
                    owner=f"{self._name}-{uuid4().hex[:6]}",
                    options=self._options,
                    metrics=self._metrics,
                    probe=self._probe,
                    on_ready=lambda: self._one_ready(source),
                )
                await publisher.start()
                self._metrics.sessions.labels(source.name).inc()
                self._sessions[source.name] = session
                await session.run(stop)
        finally:
            self._sessions.pop(source.name, None)
            self._away.setdefault(source.name, "its session ended")
            await publisher.close()

    def _one_ready(self, source: Source) -> None:
        self._away.pop(source.name, None)
        new = source.name not in self._ready
        self._ready.add(source.name)
        if new and len(self._ready) == len(self._sources):
            _log.info("ready", relay=self._name, sources=sorted(self._ready))


async def _until_stopped(work: Coroutine[Any, Any, None], stop: asyncio.Event, patience: float) -> None:
    """Run ``work``; once ``stop`` is set it has ``patience`` seconds to end by itself and is cancelled
    then."""
    task = asyncio.ensure_future(work)
    stopped = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait([task, stopped], return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            await asyncio.wait([task], timeout=patience)
        if not task.done():
            _log.warning("stops without its acknowledgements: the rows under way will be sent again")
            return
        task.result()
    finally:
        stopped.cancel()
        task.cancel()
        await asyncio.gather(task, stopped, return_exceptions=True)


async def _sleep(stop: asyncio.Event, seconds: float) -> None:
    """Wait, but not longer than until ``stop``."""
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return
