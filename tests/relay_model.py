"""A database, a broker and two relays as values, step by step: what the relay does, without waiting for anybody.

The parts that decide are the real ones: snapshots, cursors, windows, what ended between two snapshots, and which of two
cursors counts. The parts that are modelled are PostgreSQL's numbering of transactions, also after a crash, the two
statements that read a window, and Kafka's transactions.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from uuid import UUID, uuid5

from outbox.cursor import Cursor, Window
from outbox.identity import ClusterIdentity
from outbox.position import Position, newer
from outbox.snapshot import Snapshot, ended_between

HERE = ClusterIdentity(1, 1, 1, UUID(int=0))


@dataclass(frozen=True, slots=True)
class ModelRow:
    """A row of the outbox."""

    xid: int
    id: int
    key: str
    version: int


@dataclass(slots=True)
class Database:
    """PostgreSQL: numbers, snapshots, row locks, and what of it a crash leaves."""

    next_xid: int = 10
    newest_ended: int = 9
    durable_xid: int = 9
    last_id: int = 0
    running: dict[int, list[ModelRow]] = field(default_factory=dict)
    committed: list[ModelRow] = field(default_factory=list)
    versions: dict[str, int] = field(default_factory=dict)
    epoch: int = 0
    stored: Cursor = field(default_factory=Cursor)

    def begin(self) -> int:
        """A transaction that draws its number."""
        xid, self.next_xid = self.next_xid, self.next_xid + 1
        self.running[xid] = []
        return xid

    def locked(self, key: str) -> int | None:
        """Who holds the lock of ``key``."""
        return next((xid for xid, rows in self.running.items() if any(row.key == key for row in rows)), None)

    def append(self, xid: int, key: str) -> None:
        """Append a row, holding the lock of its key."""
        self.last_id += 1
        own = sum(row.key == key for row in self.running[xid])
        self.running[xid].append(ModelRow(xid, self.last_id, key, self.versions.get(key, 0) + own + 1))

    def end(self, xid: int, *, commit: bool, writes: bool = False) -> None:
        """End a transaction; a commit that has written is on disk, and with it that its number was drawn."""
        rows = self.running.pop(xid)
        self.newest_ended = max(self.newest_ended, xid)
        if commit:
            self.committed += rows
            for row in rows:
                self.versions[row.key] = max(self.versions.get(row.key, 0), row.version)
            if rows or writes:
                self.durable_xid = max(self.durable_xid, xid)

    def crash(self) -> None:
        """What was under way is gone, and numbers that left no trace on disk are given out again."""
        self.running.clear()
        self.next_xid = self.durable_xid + 1
        self.newest_ended = self.durable_xid

    def look(self) -> Window:
        """The snapshot now, and the sequence's value after it."""
        xmax = self.newest_ended + 1
        xip = sorted(xid for xid in self.running if xid < xmax)
        text = f"{xip[0] if xip else xmax}:{xmax}:{','.join(map(str, xip))}"
        return Window(Snapshot.parse(text), self.last_id)

    def page(self, cursor: Cursor, limit: int) -> list[ModelRow]:
        """What the statements of ``window.sql`` read: stragglers below the floor, then what lies above it."""
        window = cursor.window
        assert window is not None
        ended = set(ended_between(cursor.snapshot, window.end))
        late = [row for row in self.committed if row.xid in ended and cursor.after < row.id <= cursor.floor]
        after = max(cursor.after, cursor.floor)
        rest = [
            row
            for row in self.committed
            if after < row.id <= window.ceiling
            and window.end.sees(row.xid)
            and not cursor.snapshot.sees(row.xid)
        ]
        return sorted(late + rest, key=lambda row: row.id)[:limit]

    def store(self, cursor: Cursor, epoch: int | None) -> bool:
        """Store the cursor in a transaction of its own, unless somebody else owns the group; whether it is stored."""
        if epoch is not None and epoch != self.epoch:
            return False
        self.end(self.begin(), commit=True, writes=True)
        self.stored = cursor
        return True


@dataclass(slots=True)
class Broker:
    """Kafka: one log as readers of committed records see it, one transactional id, one position."""

    log: list[tuple[str, int]] = field(default_factory=list)
    producer_epoch: int = 0
    position: Position | None = None

    def fence(self) -> int:
        """A producer that shuts out those before it."""
        self.producer_epoch += 1
        return self.producer_epoch

    def commit(self, producer_epoch: int | None, rows: list[ModelRow], position: Position) -> bool:
        """Commit a transaction, unless its producer is shut out; whether it counts."""
        if producer_epoch is not None and producer_epoch != self.producer_epoch:
            return False
        self.write(rows)
        self.position = position
        return True

    def write(self, rows: list[ModelRow]) -> None:
        """Append to the log."""
        self.log += [(row.key, row.version) for row in rows]


class Restart(Exception):  # noqa: N818 - not an error
    """The relay's session ended: it begins again from what is stored."""


@dataclass(frozen=True, slots=True)
class Guards:
    """What keeps the relay right; a mutation takes one away."""

    snapshot: bool = True
    epoch: bool = True
    fence: bool = True
    acknowledged_first: bool = True
    proven_floor: bool = True
    named_first: bool = True


PAGE = 2


class ModelRelay:
    """One relay's session after the other; ``step`` goes on to the next point where it may die or freeze."""

    def __init__(self, database: Database, broker: Broker, guards: Guards, *, transactional: bool) -> None:
        self._database = database
        self._broker = broker
        self._guards = guards
        self._transactional = transactional
        self._names = 0
        self._steps: Iterator[None] = iter(())
        self.alive = False
        self.begun = 0
        """Sessions so far."""

    def die(self) -> None:
        """All that was in memory is gone."""
        self.alive = False

    def step(self) -> None:
        """Take the group over, if it is not running; then do what comes next."""
        if not self.alive:
            self._steps, self.alive = self._session(), True
            self.begun += 1
        try:
            next(self._steps)
        except Restart:
            self.alive = False

    def _session(self) -> Iterator[None]:
        database, broker, guards = self._database, self._broker, self._guards
        database.epoch += 1
        epoch = database.epoch if guards.epoch else None
        yield
        cursor = database.stored
        producer = broker.fence() if self._transactional else None
        if self._transactional:
            position = broker.position
            if not guards.named_first and position is not None and cursor.window is not None:
                position = replace(position, window_name=cursor.window.name)
            cursor = newer(cursor, position)
        mark = 0
        while True:
            yield
            floor, reached = mark, cursor.floor
            looked = database.look()
            if cursor.window is None:
                cursor = cursor.opened(replace(looked, name=self._name()))
                reached = max(floor, cursor.floor) if guards.proven_floor else looked.ceiling
            elif cursor.window.name is None and self._transactional:
                cursor = replace(cursor, window=replace(cursor.window, name=self._name()))
            yield
            named = database.stored.window == cursor.window
            while rows := self._read(cursor):
                yield
                after = cursor.advanced(rows[-1].id)
                if self._transactional:
                    if not named and guards.named_first:
                        mark = self._store(cursor, epoch, looked, mark)
                        named = True
                    yield
                    fence = producer if guards.fence else None
                    if not broker.commit(fence, rows, Position.of(HERE, after)):
                        raise Restart
                    yield
                    mark = self._store(after, epoch, looked, mark)
                elif guards.acknowledged_first:
                    broker.write(rows)
                    yield
                    mark = self._store(after, epoch, looked, mark)
                else:
                    mark = self._store(after, epoch, looked, mark)
                    yield
                    broker.write(rows)
                cursor = after
                yield
            cursor = cursor.closed(reached)
            yield
            mark = self._store(cursor, epoch, looked, mark)

    def _read(self, cursor: Cursor) -> list[ModelRow]:
        if self._guards.snapshot:
            return self._database.page(cursor, PAGE)
        rows = [row for row in self._database.committed if row.id > max(cursor.after, cursor.floor)]
        return sorted(rows, key=lambda row: row.id)[:PAGE]

    def _store(self, cursor: Cursor, epoch: int | None, looked: Window, mark: int) -> int:
        if not self._database.store(cursor, epoch):
            raise Restart
        return max(mark, looked.ceiling)

    def _name(self) -> UUID:
        self._names += 1
        return uuid5(UUID(int=id(self)), str(self._names))
