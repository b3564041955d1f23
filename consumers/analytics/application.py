"""The faust application that feeds the sink.

Facts about faust-streaming 0.15 that shape this module:

- ``take()`` acknowledges a batch even when the body that handles it raised; ``noack_take()`` leaves that to us, so
  a batch is acknowledged after its transaction and never before.
- An agent that raises is restarted in silence; here a batch that fails is tried again, and an error that no retry
  can mend stops the process with its reason.
- With ``concurrency`` above 1 it commits past unfinished messages (issue 606): one agent, one stream; more processes
  share the partitions.
- It creates topics and a data directory unless told not to: topics come from the manifest, the directory is
  temporary because there are no faust tables.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Final

import asyncpg
import faust
import structlog
from prometheus_client import CollectorRegistry, Counter

from consumers.analytics import TOPICS
from consumers.analytics.errors import AnalyticsCrashedError
from consumers.analytics.reader import OrderEventReader
from consumers.analytics.sink import FactsSink, ReceivedEvent, UnreadableRecord
from consumers.errors import RetryLaterError
from consumers.runtime.backoff import Backoff
from consumers.runtime.record import ConsumedRecord
from infra.clients import kafka
from infra.settings import KafkaSettings

_BACKOFF: Final = Backoff(first=0.1, limit=5.0)
_PASSING: Final = (
    OSError,
    TimeoutError,
    RetryLaterError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.TransactionRollbackError,
)
"""Errors that pass by themselves: a server restarts, is full for a while, or chose us in a deadlock."""


@dataclass(frozen=True, slots=True)
class AnalyticsOptions:
    """How the application reads. Times in seconds."""

    group: str = "tidegate-analytics"
    topics: tuple[str, ...] = TOPICS
    batch_size: int = 500
    batch_within: float = 0.1
    commit_interval: float = 0.5
    session_timeout: float = 10.0
    stop_timeout: float = 10.0


class AnalyticsMetrics:
    """What the application counts."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.events = Counter(
            "tidegate_analytics_events",
            "Records read from the order topics, by what became of them.",
            ["outcome"],
            registry=registry,
        )
        self.retries = Counter(
            "tidegate_analytics_sink_retries",
            "Batches tried again because the database failed.",
            registry=registry,
        )


class _Failure:
    """The first error that no retry mends: faust would restart the agent in silence."""

    def __init__(self) -> None:
        self.noticed = asyncio.Event()
        self.error: Exception | None = None

    def notice(self, error: Exception) -> None:
        self.error = self.error or error
        self.noticed.set()


class AnalyticsApplication:
    """Reads the order topics at least once and writes each event to the sink once."""

    def __init__(
        self,
        settings: KafkaSettings,
        reader: OrderEventReader,
        sink: FactsSink,
        metrics: AnalyticsMetrics,
        options: AnalyticsOptions = AnalyticsOptions(),
    ) -> None:
        self._settings = settings
        self._reader = reader
        self._sink = sink
        self._metrics = metrics
        self._options = options
        self._log = structlog.get_logger().bind(group=options.group)

    async def run(self, stop: asyncio.Event, ready: Callable[[], None] = lambda: None) -> bool:
        """Work until ``stop`` is set; calls ``ready`` once partitions are assigned.

        On stop the batch in hand is finished or left unacknowledged, and what is acknowledged is committed; whether
        that was done within ``stop_timeout``. Raises
        :class:`AnalyticsCrashedError` when faust stops by itself or the sink fails in a way no retry mends.
        """
        with tempfile.TemporaryDirectory(prefix="tidegate-analytics-") as folder:
            failure = _Failure()
            app = self._build(folder, failure)
            ended = None
            try:
                await app.start()
                ended = asyncio.ensure_future(app.wait())
                ready()
                await _first_of(stop.wait(), failure.noticed.wait(), ended)
            finally:
                drained = await self._stopped(app, ended)
        if failure.error is not None:
            raise AnalyticsCrashedError(f"the analytics sink failed: {failure.error}") from failure.error
        if app.crashed:
            raise AnalyticsCrashedError(
                f"faust stopped by itself: {app.crash_reason!r}"
            ) from app.crash_reason
        return drained

    async def _stopped(self, app: Any, ended: asyncio.Future[Any] | None) -> bool:
        try:
            async with asyncio.timeout(self._options.stop_timeout):
                await app.stop()
                if ended is not None:
                    await ended  # not cancelled before: faust would leave its own tasks behind
        except TimeoutError:
            self._log.warning("stopped without a last commit: some records will be read again")
            return False
        return True

    def _build(self, folder: str, failure: _Failure) -> Any:
        options = self._options
        app = faust.App(
            options.group,
            broker=[f"kafka://{address}" for address in kafka.require_bootstrap(self._settings).split(",")],
            broker_credentials=_credentials(self._settings),
            broker_commit_interval=options.commit_interval,
            broker_session_timeout=options.session_timeout,
            broker_heartbeat_interval=options.session_timeout / 5,
            consumer_auto_offset_reset="earliest",
            datadir=folder,
            topic_allow_declare=False,
            topic_disable_leader=True,
            stream_wait_empty=False,
            web_enabled=False,
            autodiscover=False,
        )
        topic = app.topic(*options.topics, key_serializer="raw", value_serializer="raw", acks=True)

        @app.agent(topic, name="order-facts", concurrency=1)
        async def order_facts(stream: Any) -> None:
            batches: AsyncIterable[Sequence[Any]] = stream.noack_take(
                options.batch_size, within=options.batch_within
            )
            async for batch in batches:
                try:
                    done = await self._handle(app, [_record(event.message) for event in batch])
                except Exception as error:
                    failure.notice(error)
                    return
                if not done:
                    return
                for event in batch:
                    await stream.ack(event)

        return app

    async def _handle(self, app: Any, records: Sequence[ConsumedRecord]) -> bool:
        """Write the batch, however often it takes; False when the application stops first."""
        failures = 0
        while not app.should_stop:
            try:
                await self._write(records)
            except _PASSING as error:
                failures += 1
                pause = _BACKOFF.after(failures)
                self._metrics.retries.inc()
                self._log.warning("a batch waits", error=str(error) or repr(error), again_in=round(pause, 1))
                await app.sleep(pause)
            else:
                return True
        return False

    async def _write(self, records: Sequence[ConsumedRecord]) -> None:
        received: list[ReceivedEvent] = []
        unreadable: list[UnreadableRecord] = []
        for record in records:
            match await self._reader.read(record):
                case ReceivedEvent() as event:
                    received.append(event)
                case UnreadableRecord() as bad:
                    unreadable.append(bad)
        written = await self._sink.write(received, unreadable)
        for bad in unreadable:
            self._log.warning("unreadable record kept", record=bad.record.coordinates, reason=bad.reason)
        for outcome in ("folded", "repeated", "unreadable"):
            self._metrics.events.labels(outcome).inc(getattr(written, outcome))


def _record(message: Any) -> ConsumedRecord:
    headers = message.headers or ()
    return ConsumedRecord(
        topic=message.topic,
        partition=message.partition,
        offset=message.offset,
        key=message.key,
        value=message.value,
        headers=tuple(headers.items() if isinstance(headers, dict) else headers),
        timestamp_ms=round(message.timestamp * 1000),
    )


def _credentials(settings: KafkaSettings) -> Any:
    options = kafka.aiokafka_options(settings)
    context = options.get("ssl_context")
    if settings.security_protocol.startswith("SASL"):
        return faust.SASLCredentials(
            mechanism=settings.sasl_mechanism,
            username=options["sasl_plain_username"],
            password=options["sasl_plain_password"],
            ssl_context=context,
        )
    return faust.SSLCredentials(context) if context is not None else None


async def _first_of(stop: Coroutine[Any, Any, Any], failed: Coroutine[Any, Any, Any], ended: Any) -> None:
    tasks = [asyncio.ensure_future(stop), asyncio.ensure_future(failed)]
    try:
        await asyncio.wait([*tasks, ended], return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
