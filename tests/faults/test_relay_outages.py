"""Servers and lines that fail at any named point of a page cost time and nothing else, in each profile."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from sqlalchemy import make_url

from infra.local import Component, running_stack
from outbox.metrics import RelayMetrics
from outbox.options import Profile
from outbox.probe import Point, Probe
from outbox.relay import Relay
from tests.kafka_detour import detours
from tests.outbox_support import (
    PROFILES,
    TopicReader,
    append_rows,
    make_cursor_topic,
    make_topic,
    relay_to_kafka,
    running,
    with_outbox,
)
from tests.relay_checker import pairs, wrongs
from tests.relay_probes import Halt
from tests.relay_process import PAGE, options_of
from tests.stack import TEST_OPTIONS, fresh_database
from tests.tcp_proxy import proxied
from tests.waiting import until

ROWS = 3 * PAGE


@dataclass(slots=True)
class Case:
    """A relay that halts at ``point``, and what it has to publish."""

    profile: Profile
    point: Point
    dsn: str
    topic: str
    probe: Halt
    metrics: RelayMetrics
    relay: Relay
    committed: dict[str, list[int]]

    @property
    def repeats(self) -> int:
        """How many rows it may publish again: the page under way of each session that broke."""
        sessions = int(self.metrics.sessions.labels("source-0")._value.get())
        return 0 if self.profile is Profile.TRANSACTIONAL else (sessions - 1) * PAGE


async def test_a_server_that_is_killed_at_any_point_and_comes_back(tmp_path: Path, unique: str) -> None:
    """Eight relays, one for each profile and point, stand there while the broker is killed and started, and once more
    while PostgreSQL is."""
    wanted = {Component.POSTGRES, Component.KAFKA}
    async with running_stack(tmp_path, wanted, TEST_OPTIONS) as stack, AsyncExitStack() as around:
        dsn, brokers = stack.addresses.postgres_dsn, stack.addresses.bootstrap_servers
        assert dsn is not None
        assert brokers is not None
        await make_cursor_topic(brokers)
        cases = [
            await _case(around, profile, point, dsn, brokers, f"{unique}-{profile}-{point.name}")
            for profile, point in itertools.product(PROFILES, Point)
        ]
        async with AsyncExitStack() as relays:
            for case in cases:
                await relays.enter_async_context(running(case.relay))
            for number, victim in enumerate((Component.KAFKA, Component.POSTGRES)):
                if number:
                    for case in cases:
                        case.probe.arm()
                        await _append(case, range(ROWS, 2 * ROWS))
                await asyncio.gather(*(case.probe.there.wait() for case in cases))
                await stack.kill(victim)
                await stack.start(victim)
                for case in cases:
                    case.probe.go.set()
                await asyncio.gather(*(_has(case, brokers, (number + 1) * ROWS) for case in cases))


async def _case(
    around: AsyncExitStack, profile: Profile, point: Point, postgres_dsn: str, brokers: str, topic: str
) -> Case:
    dsn = await around.enter_async_context(fresh_database(postgres_dsn))
    await with_outbox(dsn)
    await make_topic(brokers, topic)
    probe, metrics = Halt(point, 2), RelayMetrics(CollectorRegistry())
    options = options_of(profile)
    relay = relay_to_kafka([dsn], brokers, options=options, probe=probe, metrics=metrics)
    case = Case(profile, point, dsn, topic, probe, metrics, relay, {})
    await _append(case, range(ROWS))
    return case


async def _append(case: Case, versions: range) -> None:
    for key, more in (await append_rows(case.dsn, case.topic, versions)).items():
        case.committed.setdefault(key, []).extend(more)


async def _has(case: Case, brokers: str, rows: int) -> None:
    async with TopicReader(brokers, case.topic) as reader:
        await until(lambda: reader.has(rows), what=f"{case.profile}, {case.point}: {rows} rows")
        await reader.drain()
    assert wrongs(case.committed, pairs(reader.records), repeats=case.repeats) == [], (
        case.profile,
        case.point,
    )


class _BadLines(Probe):
    """Each of ``faults`` happens once at each point."""

    def __init__(self, *faults: Callable[[], None]) -> None:
        self.left = {point: list(faults) for point in Point}

    async def reached(self, point: Point) -> None:
        if self.left[point]:
            self.left[point].pop()()


@pytest.mark.parametrize("profile", PROFILES)
async def test_lines_that_delay_cut_and_reset_at_any_point(
    postgres_dsn: str, bootstrap_servers: str, unique: str, profile: Profile
) -> None:
    """The lines to the broker and to the database are slow, and each is cut and reset at each point of a page."""
    await with_outbox(postgres_dsn)
    await make_topic(bootstrap_servers, unique)
    await make_cursor_topic(bootstrap_servers)
    url = make_url(postgres_dsn)
    host, _, port = bootstrap_servers.partition(":")
    metrics = RelayMetrics(CollectorRegistry())
    rows = 40 * PAGE
    committed = await append_rows(postgres_dsn, unique, range(rows))
    async with (
        proxied(host, int(port)) as to_broker,
        proxied(url.host or "", url.port or 0) as to_database,
        TopicReader(bootstrap_servers, unique) as reader,
        AsyncExitStack() as around,
    ):
        to_broker.delay = to_database.delay = 0.002
        links = (to_broker, to_database)
        lines = _BadLines(*(line.cut for line in links), *(line.reset for line in links))
        through = url.set(host="127.0.0.1", port=to_database.port).render_as_string(hide_password=False)
        options = replace(options_of(profile), lease=5.0)
        relay = relay_to_kafka([through], bootstrap_servers, options=options, probe=lines, metrics=metrics)
        detour = around.enter_context(detours())
        with detour(int(port), to_broker.port):
            await around.enter_async_context(running(relay))
        await until(lambda: reader.has(rows))
        await reader.drain()
    assert not any(lines.left.values()), "everything happened everywhere"
    sessions = int(metrics.sessions.labels("source-0")._value.get())
    repeats = 0 if profile is Profile.TRANSACTIONAL else (sessions - 1) * PAGE
    assert wrongs(committed, pairs(reader.records), repeats=repeats) == []
