"""A relay that dies or freezes at any named point of a page loses nothing and keeps the order, in each profile.

`transactional` repeats nothing; `idempotent` repeats the page that was under way.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass

import psutil
import pytest

from outbox.options import Profile
from outbox.probe import Point
from tests.forked import ForkedProcess, fork
from tests.outbox_support import (
    PROFILES,
    TopicReader,
    append_rows,
    make_cursor_topic,
    make_topic,
    relay_to_kafka,
    running,
    shared,
    with_outbox,
)
from tests.relay_checker import pairs, wrongs
from tests.relay_process import PAGE, main, options_of
from tests.stack import fresh_database
from tests.waiting import until

ROWS = 4 * PAGE
SECOND = 2
"""The page at which it happens: one is through, and others follow."""


@dataclass(frozen=True, slots=True)
class Case:
    """An outbox with rows, and the relay that is struck at ``point``."""

    point: Point
    dsn: str
    topic: str
    committed: dict[str, list[int]]
    process: ForkedProcess


@asynccontextmanager
async def struck(
    profile: Profile, number: int, postgres_dsn: str, brokers: str, unique: str
) -> AsyncIterator[list[Case]]:
    """A relay process for each point, which gets the signal ``number`` from itself when it is there."""
    await make_cursor_topic(brokers)
    async with AsyncExitStack() as around:
        yield await asyncio.gather(
            *(_case(around, profile, point, number, postgres_dsn, brokers, unique) for point in Point)
        )


async def _case(
    around: AsyncExitStack,
    profile: Profile,
    point: Point,
    number: int,
    postgres_dsn: str,
    brokers: str,
    unique: str,
) -> Case:
    topic = f"{unique}-{point.name.lower()}"
    dsn = await around.enter_async_context(fresh_database(postgres_dsn))
    await with_outbox(dsn)
    await make_topic(brokers, topic)
    committed = await append_rows(dsn, topic, range(ROWS))
    words = ["relay", dsn, brokers, profile.value, point.value, str(SECOND), str(number)]
    process = await fork(main, words, dict(os.environ))
    around.push_async_callback(_end, process)
    return Case(point, dsn, topic, committed, process)


async def _end(process: ForkedProcess) -> None:
    with suppress(ProcessLookupError):
        process.kill()
    await process.communicate()


@pytest.mark.parametrize("profile", PROFILES)
async def test_kill_nine_at_any_point(
    postgres_dsn: str, bootstrap_servers: str, unique: str, profile: Profile
) -> None:
    """The process is gone in the middle of its second page; the next relay goes on from what is stored."""

    async def survived(case: Case) -> None:
        assert await case.process.wait() == -signal.SIGKILL
        async with (
            TopicReader(bootstrap_servers, case.topic) as reader,
            running(relay_to_kafka([case.dsn], bootstrap_servers, options=options_of(profile))),
        ):
            await until(lambda: reader.has(ROWS))
            await reader.drain()
        _check(case, reader, profile)

    async with struck(profile, signal.SIGKILL, postgres_dsn, bootstrap_servers, unique) as cases:
        await asyncio.gather(*map(survived, cases))


@pytest.mark.parametrize("profile", PROFILES)
async def test_freezing_at_any_point_for_longer_than_the_lease(
    postgres_dsn: str, bootstrap_servers: str, unique: str, profile: Profile
) -> None:
    """Another relay takes over and goes on; then the first one wakes up where it stood, finds that it is replaced, and
    takes its share again."""

    async def survived(case: Case) -> None:
        frozen = psutil.Process(case.process.pid)
        await until(lambda: frozen.status() == psutil.STATUS_STOPPED, what=f"it is frozen at {case.point}")
        async with (
            TopicReader(bootstrap_servers, case.topic) as reader,
            running(relay_to_kafka([case.dsn], bootstrap_servers, options=options_of(profile))),
        ):
            await until(lambda: reader.has(ROWS))
            more = await append_rows(case.dsn, case.topic, range(ROWS, ROWS + PAGE))
            await until(lambda: reader.has(ROWS + PAGE))
            case.process.send_signal(signal.SIGCONT)
            await until(lambda: shared(case.dsn, 4, 4))
            last = await append_rows(case.dsn, case.topic, range(ROWS + PAGE, ROWS + 2 * PAGE))
            await until(lambda: reader.has(ROWS + 2 * PAGE))
            case.process.terminate()
            assert await case.process.wait() == 0
            await reader.drain()
        for part in (more, last):
            for key, versions in part.items():
                case.committed[key] += versions
        _check(case, reader, profile)

    async with struck(profile, signal.SIGSTOP, postgres_dsn, bootstrap_servers, unique) as cases:
        await asyncio.gather(*map(survived, cases))


def _check(case: Case, reader: TopicReader, profile: Profile) -> None:
    repeats = 0 if profile is Profile.TRANSACTIONAL else PAGE
    assert wrongs(case.committed, pairs(reader.records), repeats=repeats) == [], case.point
