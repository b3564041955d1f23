"""The faults that a run goes through, one with each chunk of its events, in an order that a seed draws.

While they last, three dynamic members serve the topic, one of them leaves and joins again every five seconds, and of
all signals and commits a share has its answer lost.
"""

from __future__ import annotations

import asyncio
import random
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Final, Literal

from infra.local import Component, Stack
from tests.faults.bridge_ordeal import Member, Run, bridge_process, joined
from tests.faults.bridge_plan import PlannedRecord, Role
from tests.faults.bridge_wire import Wire, WireFaults
from tests.waiting import until

REBALANCE_EVERY: Final = 5.0
AWAY_SECONDS: Final = 30.0
SELDOM, OFTEN = 0.01, 0.10
_PATIENCE: Final = 45.0
"""Seconds in which a process that was told to stop may try again what was not answered, on a busy machine."""
_BEGUN: Final = 25
"""Signals after which a chunk of events is in the middle of its way."""

Chunk = tuple[PlannedRecord, ...]


@dataclass(slots=True)
class Faults:
    """The faults of one run. ``rebalances`` counts the members that left and joined again, ``drawn`` names the acts."""

    stack: Stack
    run: Run
    members: list[Member]
    wire: Wire
    chance: random.Random
    rebalances: int = 0
    drawn: list[str] = field(default_factory=list)
    sent_twice: list[str] = field(default_factory=list)
    """Event ids whose signals were answered to a process that was told to stop, and to the one after it."""
    _undisturbed: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def happen(self, acts: Sequence[Act]) -> None:
        """Let ``acts`` happen, each with a chunk of the plan, and wait until all is settled."""
        async with self._members_that_come_and_go():
            for number, (act, chunk) in enumerate(zip(acts, self.run.plan.chunks, strict=True)):
                self.drawn.append(act.__name__)
                await self.run.begin_chunk(number)
                await act(self, chunk)
        await self.run.settled()

    async def killed_before_a_signal(self, chunk: Chunk) -> None:
        """A member dies by SIGKILL as it is about to send a signal; the others get its partitions in time."""
        async with self._undisturbed:
            await self._killed("before", chunk)

    async def killed_after_a_signal(self, chunk: Chunk) -> None:
        """A static member dies when Temporal has its signal and Kafka not its commit, and comes back."""
        async with self._undisturbed:
            await self._killed("after", chunk, member="always-me")
            async with bridge_process(self.run.world, WireFaults(), member="always-me") as again:
                await joined(again)

    async def temporal_killed(self, chunk: Chunk) -> None:
        """Temporal dies in the middle of the signals, and is back at once."""
        await self._begin(chunk)
        await self.stack.kill(Component.TEMPORAL)
        await self.stack.start(Component.TEMPORAL)

    async def temporal_away(self, chunk: Chunk) -> None:
        """Temporal dies in the middle of the signals, and is away for half a minute while members come and go."""
        await self._begin(chunk)
        await self.stack.kill(Component.TEMPORAL)
        since = time.monotonic()
        await until(
            lambda: time.monotonic() - since >= AWAY_SECONDS, what="Temporal has been away for long enough"
        )
        await self.stack.start(Component.TEMPORAL)

    async def broker_killed(self, chunk: Chunk) -> None:
        """Kafka dies in the middle of the signals, with commits under way."""
        await self._begin(chunk)
        await self.stack.kill(Component.KAFKA)
        await self.stack.start(Component.KAFKA)

    async def answers_lost_often(self, chunk: Chunk) -> None:
        """One in ten answers is lost, until two members have come and gone."""
        self.wire.share = OFTEN
        rebalances = self.rebalances
        await self._begin(chunk)
        await until(lambda: self.rebalances >= rebalances + 2, what="two rebalances")
        self.wire.share = SELDOM

    async def told_to_stop(self, chunk: Chunk) -> None:
        """A lone process is told to stop in the middle of its work, and ends what it has begun; the next one does the
        rest and nothing again: ``sent_twice`` names what it does again."""
        await self._told_to_stop(chunk, WireFaults())

    async def told_to_stop_unheard(self, chunk: Chunk) -> None:
        """The same while one in ten answers of Temporal is lost, so that some of what it has begun waits for another
        try; it has as long for that as it needs."""
        faults = WireFaults(seed=self.chance.getrandbits(32), lost=OFTEN, loses=["signal"])
        await self._told_to_stop(chunk, faults, drain=_PATIENCE)

    async def _told_to_stop(self, chunk: Chunk, faults: WireFaults, drain: float | None = None) -> None:
        world = self.run.world
        async with self._undisturbed:
            await self.run.passed()
            await asyncio.gather(*(member.leave() for member in self.members))
            async with bridge_process(world, faults, drain=drain) as first:
                await joined(first)
                await self.run.publish(chunk)
                begun = [await first.stdout.readline() for _ in range(_BEGUN)]
                first.terminate()
                ended, said = await first.communicate()
                assert first.returncode == 0, f"it did not finish what it had begun: {said.decode()}"
            async with bridge_process(world, WireFaults()) as second:
                await self.run.passed()
                second.terminate()
                rest, said_next = await second.communicate()
                assert second.returncode == 0, f"it did not finish what it had begun: {said_next.decode()}"
            assert rest, "the process was told to stop when it had done everything"
            for member in self.members:
                member.join()
        records = Counter(
            str(planned.event_id)
            for planned in chunk
            if self.run.plan.roles[planned.event.key] is Role.PLAIN and planned.poison is None
        )
        signals = Counter((b"".join(begun) + ended + rest).decode().split())
        again = [event_id for event_id, times in records.items() if signals[event_id] > times]
        if again:
            print(
                "the process that was told to stop:",
                said.decode(),
                "the next one:",
                said_next.decode(),
                sep="\n",
            )
        self.sent_twice += again

    async def _killed(self, where: Literal["before", "after"], chunk: Chunk, member: str = "") -> None:
        faults = WireFaults(lost=SELDOM, die=where, at=self.chance.randint(2, 8))
        async with bridge_process(self.run.world, faults, member=member) as victim:
            await joined(victim)
            await self.run.publish(chunk)
            await until(lambda: victim.returncode is not None, what="the member is dead")
            assert victim.returncode == -signal.SIGKILL

    async def _begin(self, chunk: Chunk) -> None:
        """Publish ``chunk`` and return in the middle of its signals."""
        before = self.wire.sent
        await self.run.publish(chunk)
        await until(
            lambda: self.wire.sent >= before + _BEGUN, every=0.01, what="the chunk's signals have begun"
        )

    @asynccontextmanager
    async def _members_that_come_and_go(self) -> AsyncIterator[None]:
        for member in self.members:
            member.join()
        over = asyncio.Event()
        coming_and_going = asyncio.create_task(self._come_and_go(over))
        try:
            yield
        finally:
            over.set()
            await coming_and_going

    async def _come_and_go(self, over: asyncio.Event) -> None:
        while not over.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(over.wait(), REBALANCE_EVERY)
            async with self._undisturbed:
                member = self.chance.choice(self.members)
                await member.leave()
                member.join()
                self.rebalances += 1


Act = Callable[[Faults, Chunk], Awaitable[None]]
ACTS: Final[tuple[Act, ...]] = (
    Faults.killed_before_a_signal,
    Faults.killed_after_a_signal,
    Faults.temporal_killed,
    Faults.temporal_away,
    Faults.broker_killed,
    Faults.answers_lost_often,
    Faults.told_to_stop,
    Faults.told_to_stop_unheard,
)
"""Every fault once."""
