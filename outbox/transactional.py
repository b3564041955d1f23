"""The `transactional` profile: a reader of committed records sees each row exactly once.

The rows of a page are published by one Kafka transaction a group, all at once, and each carries the group's cursor.
A group has one transactional id, so whoever takes the group over shuts the last publisher out
(:mod:`outbox.fencing`), and either a transaction counts whole with its cursor, or nothing of it does.

A row that Kafka refuses spoils its transaction: it is aborted, and its rows are published again in two halves, until
the refused row stands alone and is left out.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Final, NoReturn

from aiokafka import AIOKafkaProducer
from aiokafka import errors as kafka
from aiokafka.client import AIOKafkaClient

from outbox.batches import REFUSED_ROW, REFUSED_TOPIC, BatchWriter, KafkaPage, Lane
from outbox.cursor import Cursor
from outbox.errors import LeaseLostError, PublisherBrokenError
from outbox.fencing import key_of, take_over
from outbox.identity import ClusterIdentity
from outbox.layout import Layout
from outbox.options import RelayOptions
from outbox.position import Position
from outbox.probe import Point, Probe
from outbox.producers import abandon
from outbox.publisher import Advance, Key, Refusal
from outbox.shards import GROUPS, SHARDS, group_of
from outbox.window import Row

_GROUP_OF: Final = [group_of(shard) for shard in range(SHARDS)]


@dataclass(slots=True)
class _Part:
    """Rows of one group that go into one transaction."""

    rows: list[Row]
    page: KafkaPage | None = None
    """Their batches; made anew for every attempt but the first."""


@dataclass(slots=True)
class TransactionalPage:
    """One page: a part for each group that has rows in it."""

    held: frozenset[Key]
    parts: dict[int, _Part] = field(default_factory=dict)
    batches: int = 0
    committed: int = 0
    aborted: int = 0


@dataclass(slots=True)
class _Group:
    """What one group is published through, and what its last transaction said."""

    producer: AIOKafkaProducer
    said: Position | None


class TransactionalPublisher:
    """One transactional producer for each group; their transactions run side by side.

    ``connection`` are aiokafka's options that say where the brokers are.
    """

    keeps_cursor = True

    def __init__(
        self, connection: dict[str, Any], options: RelayOptions, *, probe: Probe | None = None
    ) -> None:
        self._connection = connection
        self._options = options
        self._probe = probe or Probe()
        self._writer = BatchWriter(options, transactional=True)
        self._identity: ClusterIdentity
        self._groups: dict[int, _Group] = {}

    @property
    def layout(self) -> Layout:
        """Over which partitions keys are spread."""
        return self._writer.layout

    async def start(self) -> None:
        """See that a broker answers; raises aiokafka's errors, or TimeoutError, when none does."""
        client = AIOKafkaClient(**self._connection)
        try:
            await asyncio.wait_for(client.bootstrap(), self._options.delivery_timeout)
        finally:
            await client.close()

    async def take(self, identity: ClusterIdentity, cursors: Mapping[int, Cursor]) -> Mapping[int, Position]:
        """Shut out whoever published these groups before, and read how far they came."""
        self._identity = identity
        await self.leave(cursors)
        producers, positions = await take_over(self._connection, self._options, identity, cursors)
        for group, producer in producers.items():
            self._groups[group] = _Group(producer, positions.get(group))
        return positions

    async def leave(self, groups: Iterable[int]) -> None:
        """Close the producers of ``groups``."""
        left = [self._groups.pop(group) for group in list(groups) if group in self._groups]
        await asyncio.gather(*(abandon(group.producer) for group in left))

    async def close(self) -> None:
        """Let go of all producers; what they have not committed is aborted by whoever comes next."""
        await self.leave(self._groups)

    async def prepare(self, rows: Sequence[Row], held: Iterable[Key]) -> TransactionalPage:
        """Put ``rows`` into batches: one a group and partition, in their order."""
        page = TransactionalPage(frozenset(held))
        by_group: list[list[Row]] = [[] for _ in range(GROUPS)]
        for row in rows:
            by_group[_GROUP_OF[row["shard"]]].append(row)
        for group, own in enumerate(by_group):
            if own:
                batches = await self._writer.write(self._owned(group).producer, own, page.held)
                page.parts[group] = _Part(own, batches)
        return page

    async def send(self, page: TransactionalPage, advance: Advance) -> Sequence[Refusal]:
        """Publish every part in a transaction of its own; each counts once it is committed, whatever becomes of the
        others."""
        securing = asyncio.ensure_future(advance.secure(()))
        try:
            outcomes = await asyncio.gather(
                *(self._publish(group, part, page, advance, securing) for group, part in page.parts.items()),
                securing,
                return_exceptions=True,
            )
        finally:
            await _ended(securing)
        _raise_first(outcomes)
        await self._probe.reached(Point.ACKNOWLEDGED)
        return list(chain.from_iterable(outcome for outcome in outcomes if isinstance(outcome, list)))

    async def _publish(
        self,
        group: int,
        part: _Part,
        page: TransactionalPage,
        advance: Advance,
        securing: asyncio.Future[None],
    ) -> list[Refusal]:
        """Publish the group's part; halve it as long as Kafka refuses some of it. What was refused, in the end."""
        refusals: list[Refusal] = []
        settled: list[int] = []
        held = set(page.held)
        parts = deque([part])
        while parts:
            rows, batches = (part := parts.popleft()).rows, part.page
            if batches is None:
                batches = await self._writer.write(self._owned(group).producer, rows, held)
            try:
                if batches.lanes:
                    if advance.settles:
                        settled += batches.ids
                    cursor = advance.cursors[group]
                    at = cursor.advanced(rows[-1]["id"]) if parts else cursor
                    said = Position.of(self._identity, at, tuple(settled))
                    await self._transaction(group, batches, said, securing, advance, refusals)
                    page.committed += 1
                    page.batches += sum(len(lane.chunks) for lane in batches.lanes)
            except (*REFUSED_ROW, _RefusedTopicError) as error:
                page.aborted += 1
                await self._begin_again(group)
                del settled[len(settled) - len(batches.ids) :]
                batches = KafkaPage(frozenset(held))
                parts.extendleft(reversed(_without_refused(rows, batches, error)))
            refusals += batches.refusals
            held |= batches.held
        if refusals:
            await advance.secure(refusals)
        return refusals

    async def _transaction(
        self,
        group: int,
        batches: KafkaPage,
        said: Position,
        securing: asyncio.Future[None],
        advance: Advance,
        refused_before: Sequence[Refusal],
    ) -> None:
        """One transaction: the lanes of ``batches`` and where the group stands then."""
        owned = self._owned(group)
        producer, timeout = owned.producer, self._options.delivery_timeout
        await producer.begin_transaction()
        spoilt = producer._txn_manager.wait_for_transaction_end()  # ends early when it can only be aborted
        sending = asyncio.gather(
            self._say(producer, group, said),
            *(self._send_lane(producer, lane) for lane in batches.lanes),
            return_exceptions=True,
        )
        try:
            await asyncio.wait((sending, spoilt), return_when=asyncio.FIRST_COMPLETED)
            if spoilt.done():
                _raise_spoilt(spoilt)
            _raise_first(sending.result())
        finally:
            await _ended(sending)
        await self._probe.reached(Point.SENT)
        await asyncio.shield(securing)
        if left_out := [*refused_before, *batches.refusals]:
            await advance.secure(left_out)
        await asyncio.wait_for(producer.commit_transaction(), timeout)
        owned.said = said

    async def _say(self, producer: AIOKafkaProducer, group: int, said: Position) -> None:
        topic = self._options.cursor_topic
        record = await producer.send(
            topic, said.to_bytes(), key=key_of(self._identity, group), partition=group
        )
        await asyncio.wait_for(record, self._options.delivery_timeout)

    async def _send_lane(self, producer: AIOKafkaProducer, lane: Lane) -> None:
        """Send the chunks of one partition, each acknowledged before the next."""
        for chunk in lane.chunks:
            try:
                acknowledged = await producer.send_batch(chunk.batch, lane.topic, partition=lane.partition)
                await asyncio.wait_for(acknowledged, self._options.delivery_timeout)
            except REFUSED_TOPIC as error:
                raise _RefusedTopicError([lane.topic]) from error

    async def _begin_again(self, group: int) -> None:
        """Abort the group's transaction by a new producer: a refused batch has spoilt the old one's numbering.

        Raises :class:`LeaseLostError` when somebody else published the group meanwhile: the new producer has shut
        them out, and they will come back and find that the group is theirs.
        """
        before = self._owned(group).said
        positions = await self.take(self._identity, {group: Cursor()})
        if positions.get(group) != before:
            raise LeaseLostError(f"group {group} was published by another relay meanwhile")

    def _owned(self, group: int) -> _Group:
        owned = self._groups.get(group)
        if owned is None:
            raise PublisherBrokenError(f"group {group} is not ours")
        return owned


class _RefusedTopicError(Exception):
    """Kafka takes no record of ``topics``."""

    def __init__(self, topics: Iterable[str]) -> None:
        super().__init__(f"Kafka refuses topic {', '.join(sorted(topics))}")
        self.topics = frozenset(topics)


def _without_refused(rows: list[Row], spoilt: KafkaPage, error: BaseException) -> list[_Part]:
    """What of ``rows`` is to be published after ``error`` spoilt their transaction; what is not, ``spoilt`` refuses."""
    if isinstance(error, _RefusedTopicError):
        for row in rows:
            if row["topic"] in error.topics:
                spoilt.refuse(row, f"{error}: {error.__cause__!r}")
        rest = [row for row in rows if row["topic"] not in error.topics]
        return [_Part(rest)] if rest else []
    if len(rows) == 1:
        spoilt.refuse(rows[0], f"Kafka refuses the record: {error!r}")
        return []
    middle = len(rows) // 2
    return [_Part(rows[:middle]), _Part(rows[middle:])]


def _raise_spoilt(ended: asyncio.Future[None]) -> NoReturn:
    """Raise what ended a transaction before it was committed."""
    error = ended.exception()
    if isinstance(error, kafka.TopicAuthorizationFailedError):
        raise _RefusedTopicError(error.args[0]) from error
    raise PublisherBrokenError(f"the transaction ended by itself: {error!r}") from error


def _raise_first(outcomes: Sequence[object]) -> None:
    """Raise the failure that tells most: what is final before what another attempt may mend, the rest last."""
    failures = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
    for failure in failures:
        if isinstance(failure, kafka.ProducerFenced):
            raise LeaseLostError(
                "shut out by Kafka: another relay has the group's transactional id"
            ) from failure
    for failure in failures:
        if not isinstance(failure, (*REFUSED_ROW, _RefusedTopicError)):
            raise _broken(failure)
    if failures:
        raise failures[0]


def _broken(failure: BaseException) -> BaseException:
    # AssertionError is what aiokafka says of a transaction that is in no state to go on.
    if not isinstance(failure, TimeoutError | kafka.KafkaError | AssertionError):
        return failure
    broken = PublisherBrokenError(f"a transaction failed: {failure!r}")
    broken.__cause__ = failure
    return broken


async def _ended(work: asyncio.Future[Any]) -> None:
    """Wait until ``work`` is over, and end it if it is not."""
    work.cancel()
    await asyncio.gather(work, return_exceptions=True)
