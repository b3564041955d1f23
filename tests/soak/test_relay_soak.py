"""Relays struck again and again at random points while writers write; seeded, part of `make soak`."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from contextlib import suppress

import pytest

from outbox.options import Profile
from outbox.probe import Point
from tests.forked import ForkedProcess, fork
from tests.outbox_support import (
    PROFILES,
    TopicReader,
    Writers,
    make_cursor_topic,
    make_topic,
    relay_to_kafka,
    running,
    with_outbox,
)
from tests.relay_checker import pairs, wrongs
from tests.relay_process import PAGE, main, options_of
from tests.waiting import until


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("profile", PROFILES)
async def test_relays_struck_again_and_again(
    postgres_dsn: str, bootstrap_servers: str, unique: str, profile: Profile, seed: int
) -> None:
    """Two relays at a time, each killed or frozen at a random point of a random page and replaced, under 40,000 rows or
    so: published is what was committed, in order; `transactional` repeats nothing."""
    await with_outbox(postgres_dsn)
    await make_topic(bootstrap_servers, unique)
    await make_cursor_topic(bootstrap_servers)
    dice = random.Random(f"{seed}/{profile}")
    wrote = Writers(postgres_dsn, unique, keys=100)
    writing = asyncio.create_task(wrote.run(12, 2_000, seed))
    strikes = 0
    awake: list[ForkedProcess] = []
    try:
        while not writing.done():
            pair = [await _struck(postgres_dsn, bootstrap_servers, profile, dice) for _ in range(2)]
            awake += pair
            strikes += len(pair)
            await asyncio.wait([writing], timeout=dice.uniform(1, 4))
            for process in awake[
                :-2
            ]:  # those that froze earlier wake up, find that they were replaced, and go on
                with suppress(ProcessLookupError):
                    process.send_signal(signal.SIGCONT)
            while len(awake) > 6:
                await _end(awake.pop(0))
        await writing
        for process in awake:
            await _end(process)
        awake.clear()
        async with (
            TopicReader(bootstrap_servers, unique) as reader,
            running(relay_to_kafka([postgres_dsn], bootstrap_servers, options=options_of(profile))),
        ):
            await until(lambda: reader.has(wrote.rows), seconds=600)
            await reader.drain()
    finally:
        for process in awake:
            await _end(process)
    # One that woke up may have sent a page as well before it found out.
    repeats = 0 if profile is Profile.TRANSACTIONAL else 2 * strikes * PAGE
    assert wrongs(wrote.committed, pairs(reader.records), repeats=repeats) == []


async def _struck(dsn: str, brokers: str, profile: Profile, dice: random.Random) -> ForkedProcess:
    point, turn = dice.choice(list(Point)), dice.randint(1, 200)
    number = dice.choice([signal.SIGKILL, signal.SIGSTOP])
    words = ["relay", dsn, brokers, profile.value, point.value, str(turn), str(int(number))]
    return await fork(main, words, dict(os.environ))


async def _end(process: ForkedProcess) -> None:
    with suppress(ProcessLookupError):
        process.kill()
    await process.communicate()
