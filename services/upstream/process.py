"""The process of one role: reads Kafka into its agenda, and reports from its agenda what is due.

It knows Kafka and its own database, and nothing else. Offsets are committed after the agenda's transaction,
so a process that is killed reads some events again and notes nothing twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, Protocol, TypeVar

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRecord
from aiokafka.errors import CommitFailedError, IllegalGenerationError, KafkaError, RebalanceInProgressError
from sqlalchemy.exc import DBAPIError

from infra.errors import MisuseError, UnavailableError
from schemas.errors import DecodeError
from schemas.event import Event
from services.publishing import DIRECT, utc_now
from services.upstream.agenda import Agenda, Noticed
from services.upstream.role import Role
from services.upstream.simulation import Simulation

_MOST_AT_ONCE = 500
_LISTEN_MS = 200
_LOOK_AT_LEAST_EVERY = 1.0
_TRY_AGAIN_AFTER = 1.0

Result = TypeVar("Result")


class Decoder(Protocol):
    """What reads records: :class:`schemas.lookup.SchemaLookup`."""

    async def decode(self, value: bytes | None) -> Event:
        """The event in ``value``; raises DecodeError, or UnavailableError where the registry is needed."""
        ...

    async def type_of(self, value: bytes | None) -> str:
        """The full name of the event in ``value``; raises as :meth:`decode`."""
        ...


class RoleProcess:
    """Plays ``role`` in the way of ``simulation`` until it is told to stop.

    ``kafka`` are options of the consumer, with ``group_id``; offsets are committed by this process only.
    """

    def __init__(
        self, role: Role, simulation: Simulation, agenda: Agenda, decoder: Decoder, kafka: dict[str, Any]
    ) -> None:
        self._role = role
        self._simulation = simulation
        self._agenda = agenda
        self._decoder = decoder
        self._kafka = kafka
        self._types = frozenset(event.TYPE for event in role.listens_to)
        self._wake = asyncio.Event()
        self._log = structlog.get_logger().bind(role=role.name)

    async def run(self, stop: asyncio.Event) -> None:
        """Listen and report until ``stop`` is set.

        Raises :class:`UnavailableError` where Kafka does not answer, :class:`MisuseError` where it lacks a topic.
        """
        consumer = AIOKafkaConsumer(auto_offset_reset="earliest", enable_auto_commit=False, **self._kafka)
        try:
            await consumer.start()
            missing = sorted(set(self._role.topics) - await consumer.topics())
        except (KafkaError, OSError) as error:
            await consumer.stop()
            raise UnavailableError(
                f"Kafka at {self._kafka.get('bootstrap_servers')} does not answer: {error}"
            ) from error
        if (
            missing
        ):  # said at once: a consumer that is given topics waits most of a minute for them, deaf to Ctrl-C
            await consumer.stop()
            raise MisuseError(f"no topic {', '.join(missing)} on the broker: run `tidegate topics apply`")
        consumer.subscribe(self._role.topics)
        self._log.info("ready", topics=self._role.topics, group=self._kafka.get("group_id"))
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._listen(consumer, stop))
                group.create_task(self._report(stop))
        finally:
            await consumer.stop()
        self._log.info("stopped")

    async def _listen(self, consumer: AIOKafkaConsumer, stop: asyncio.Event) -> None:
        while not stop.is_set():
            batches = await consumer.getmany(timeout_ms=_LISTEN_MS, max_records=_MOST_AT_ONCE)
            records = [record for batch in batches.values() for record in batch]
            if not records:
                continue
            noted = await self._until_it_works(stop, partial(self._note, records))
            if noted is None:
                return
            try:
                await consumer.commit()
            except (CommitFailedError, IllegalGenerationError, RebalanceInProgressError) as error:
                # The partitions went to another member, which reads the records again: nothing is noted twice.
                self._log.info("offsets not committed", reason=str(error))

    async def _note(self, records: Sequence[ConsumerRecord]) -> bool:
        noticed = [one for record in records if (one := await self._notice(record)) is not None]
        if noticed:
            await self._agenda.note(noticed)
            self._wake.set()
        return True

    async def _notice(self, record: ConsumerRecord) -> Noticed | None:
        headers = {
            name: value.decode(errors="replace") for name, value in record.headers if value is not None
        }
        try:
            if (headers.get("ce_type") or await self._decoder.type_of(record.value)) not in self._types:
                return None
            event = await self._decoder.decode(record.value)
        except DecodeError as error:
            # Dead letters are the bridge's to keep; the outside world only says what it could not read.
            place = f"{record.topic}[{record.partition}]@{record.offset}"
            self._log.warning("record passed over", record=place, reason=str(error))
            return None
        intents = self._role.react(event, self._simulation)
        return Noticed(intents, headers.get("ce_flow", DIRECT), headers.get("ce_id")) if intents else None

    async def _report(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            self._wake.clear()
            if await self._until_it_works(stop, self._agenda.report_due):
                continue
            due = await self._until_it_works(stop, self._agenda.next_due)
            wait = _LOOK_AT_LEAST_EVERY
            if due is not None:
                # Not zero: what is due but cannot be reported yet must not turn this into a busy loop.
                wait = min(max((due - utc_now()).total_seconds(), 0.01), wait)
            await self._pause(stop, wait)

    async def _until_it_works(
        self, stop: asyncio.Event, work: Callable[[], Awaitable[Result]]
    ) -> Result | None:
        """The result of ``work``, tried again while a server is away; ``None`` when told to stop."""
        while not stop.is_set():
            try:
                return await work()
            except (DBAPIError, OSError, UnavailableError) as error:
                self._log.warning("trying again", seconds=_TRY_AGAIN_AFTER, reason=str(error))
                await self._pause(stop, _TRY_AGAIN_AFTER, wakes=False)
        return None

    async def _pause(self, stop: asyncio.Event, seconds: float, *, wakes: bool = True) -> None:
        """Wait for ``seconds``, for ``stop``, or for something new on the agenda where that ``wakes``."""
        waits = [asyncio.ensure_future(stop.wait())]
        if wakes:
            waits.append(asyncio.ensure_future(self._wake.wait()))
        await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
        await asyncio.gather(*waits, return_exceptions=True)
