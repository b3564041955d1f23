"""One relay's time with one database: from its cursor on, until it is stopped or something breaks.

Three connections: one reads windows, one stores cursors, one keeps the leases and the house. A session that
meets an error ends; the next one begins again from the stored cursor, with a new producer. So there is one
way to recover, and every crash takes it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import asyncpg
import structlog

from outbox.cursors import Cursors, prune
from outbox.errors import RelayRefusedError
from outbox.identity import identify, refuse_dangers
from outbox.lease import Leases
from outbox.metrics import RelayMetrics
from outbox.options import RelayOptions, Source
from outbox.pooler import ADVICE, refuse_pooler
from outbox.probe import Probe
from outbox.progress import Progress
from outbox.publisher import AnyPublisher
from outbox.retention import maintain
from outbox.rounds import Rounds
from outbox.status import outbox_status
from outbox.window import prepare

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Connections:
    """The three connections of a session."""

    reader: asyncpg.Connection[Any]
    writer: asyncpg.Connection[Any]
    keeper: asyncpg.Connection[Any]


@asynccontextmanager
async def connected(source: Source, lease: float) -> AsyncIterator[Connections]:
    """Open the connections to ``source``; closed at once at the end, whatever state they are in.

    PostgreSQL ends a connection that is idle inside a transaction for longer than ``lease`` seconds: a relay
    that froze there would otherwise keep its locks, and nobody could take its groups over. The reader's
    transactions lock nothing and may wait for Kafka.
    """
    opened: list[asyncpg.Connection[Any]] = []
    try:
        for purpose in ("reader", "writer", "keeper"):
            connection = await asyncpg.connect(
                source.dsn,
                ssl=source.tls,
                timeout=10,
                command_timeout=60,
                server_settings={
                    "application_name": f"tidegate relay {purpose}",
                    "idle_in_transaction_session_timeout": "0"
                    if purpose == "reader"
                    else f"{lease * 1000:.0f}",
                },
            )
            opened.append(connection)
        yield Connections(*opened)
    except asyncpg.ProtocolViolationError as error:
        if "unsupported startup parameter" in str(error):  # what PgBouncer says to settings of the session
            raise RelayRefusedError(ADVICE) from error
        raise
    finally:
        for connection in opened:
            with suppress(Exception):
                await asyncio.wait_for(connection.close(), timeout=1)
            connection.terminate()


class Session:
    """Publishes what one database has, while it may."""

    def __init__(
        self,
        source: Source,
        connections: Connections,
        publisher: AnyPublisher,
        *,
        owner: str,
        options: RelayOptions,
        metrics: RelayMetrics,
        probe: Probe,
        on_ready: Callable[[], None],
    ) -> None:
        self._source = source
        self._connections = connections
        self._publisher = publisher
        self._owner = owner
        self._options = options
        self._metrics = metrics
        self._probe = probe
        self._on_ready = on_ready
        self._leases = Leases(connections.keeper, owner, options.lease, options.profile)
        self._rounds: Rounds | None = None
        self._clock = asyncio.get_running_loop().time
        self._began_at = self._clock()
        self._wake = asyncio.Event()

    @property
    def idle_for(self) -> float:
        """Seconds since it last got anywhere: looked for rows, read a page, or had one acknowledged."""
        return self._clock() - (self._rounds.moved_at if self._rounds else self._began_at)

    def hint(self) -> None:
        """Look now: something was appended."""
        self._wake.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Publish until ``stop`` is set; then finish the page under way, store the cursor, give the groups
        back.

        Raises what went wrong. Raises :class:`RelayRefusedError` when the database must not be relayed.
        """
        opened = self._connections
        await refuse_pooler([opened.reader, opened.writer, opened.keeper])
        await refuse_dangers(opened.keeper)
        identity = await identify(opened.keeper)
        cursors = Cursors(opened.writer, self._owner, identity)
        await prepare(opened.reader)
        await self._renew_leases()
        rounds = self._rounds = Rounds(
            self._source.name,
            opened.reader,
            opened.writer,
            self._publisher,
            self._leases,
            Progress(cursors, self._options),
            identity,
            options=self._options,
            metrics=self._metrics,
            probe=self._probe,
        )
        keeping = asyncio.create_task(self._keep(rounds))
        publishing = asyncio.create_task(rounds.run(stop, self._wake))
        stopping = asyncio.create_task(self._watch(stop))
        try:
            self._on_ready()
            await asyncio.wait([keeping, publishing], return_when=asyncio.FIRST_COMPLETED)
            for task in (publishing, keeping):
                if task.done():
                    task.result()
        finally:
            for task in (keeping, publishing, stopping):
                task.cancel()
            await asyncio.gather(keeping, publishing, stopping, return_exceptions=True)
        with suppress(Exception):  # a lease that is not given back ends with the connection
            await self._leases.release()

    async def _watch(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self._wake.set()

    async def _renew_leases(self) -> None:
        await self._leases.renew()
        self._metrics.groups.labels(self._source.name).set(len(self._leases.epochs))

    async def _keep(self, rounds: Rounds) -> None:
        """Renew the leases in time, and between two renewals look at lag, partitions and old cursors."""
        options, keeper = self._options, self._connections.keeper
        next_status = next_maintenance = 0.0
        window_age = self._metrics.window_age.labels(self._source.name)
        while True:
            await self._renew_leases()
            now = self._clock()
            window_age.set(0 if rounds.window_since is None else now - rounds.window_since)
            if now >= next_status:
                next_status = now + options.status_every
                status = await outbox_status(keeper, count_to=10_000)
                self._metrics.observe(self._source.name, status)
            if now >= next_maintenance and self._leases.epochs:
                next_maintenance = now + options.maintenance_every
                kept = await maintain(
                    keeper,
                    days_ahead=options.days_ahead,
                    retention_days=options.retention_days,
                    identity_days=options.identity_days,
                )
                await prune(keeper)
                if kept.made or kept.dropped:
                    _log.info("outbox days", source=self._source.name, made=kept.made, dropped=kept.dropped)
            await asyncio.sleep(options.lease / 4)
