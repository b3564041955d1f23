"""`make bench-relay`: this relay beside Debezium's outbox event router, on the same PostgreSQL and Kafka.

Both publish the same rows with the same headers (300 bytes of value, 1,000 keys, 12 partitions), each from a table in
its own layout, in turn. What a relay published is read again and compared with what was committed: a run that lost,
repeated or turned a row gives no figure. About ten minutes; ``--quick`` takes one and says little about speed.
How it is measured and why so: docs/decisions/0020.
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import pytest

from tests.benchmarks.command import benchmark_options, run_benchmark
from tests.benchmarks.delays import Delays
from tests.benchmarks.processes import answer, ours, python
from tests.benchmarks.relay.contenders import PROMPT, THROUGHPUT, Contender, Debezium, Tidegate, fill
from tests.benchmarks.relay.draining import PARTITIONS, Drain, arrived, drained
from tests.benchmarks.relay.servers import SQL, Ground, beside, free_disk_gb, ground, vacuumed
from tests.benchmarks.relay.writing import delays, held_back, pgbench, until_it_publishes
from tests.benchmarks.reporting import Bars, Report, Table, Wanted, reason_of
from tests.outbox_support import make_topic

KEYS: Final = (
    *("drain_ratio_start", "drain_ratio_first", "p50_ratio", "p99_ratio"),
    *("transactional_ratio", "history_ratio", "dead_tuples", "peak_mb"),
)
WANTED: Final[Mapping[str, Wanted]] = {
    "drain_ratio_start": Wanted(at_least=4),
    "p50_ratio": Wanted(at_most=0.1),
    "p99_ratio": Wanted(at_most=0.1),
    "transactional_ratio": Wanted(at_least=0.6),
    "history_ratio": Wanted(at_least=0.9),
    "dead_tuples": Wanted(at_most=0),
    "peak_mb": Wanted(at_most=200),
}
"""Source: issue "The best outbox relay there is"; design §10."""

OURS: Final = Tidegate()
BESIDE: Final = Tidegate(database="upstream")
TRANSACTIONAL: Final = Tidegate(profile="transactional")
TUNED: Final = Debezium(", tuned for throughput", THROUGHPUT)
DEFAULT: Final = Debezium("")
QUICKER: Final = Debezium(", poll every 5 ms", PROMPT)

_STEPS: Final = (
    ("PostgreSQL: find the page and format it (its own process, at the same time)", "postgres"),
    ("relay: rows from PostgreSQL's protocol", "read"),
    ("relay: partition, headers, record batches", "batches"),
    ("relay: checksum, send, acknowledge", "send"),
)
_GB_OF_A_ROW: Final = 3e-6
"""Disk that one row takes in table, indexes, WAL and topic, generously."""


@dataclass(frozen=True, slots=True)
class Scale:
    """How much is measured."""

    rows: int = 200_000
    rounds: int = 3
    seconds: float = 15.0
    warm: float = 5.0
    write_seconds: float = 5.0
    history: int = 5_000_000
    long_transaction: float = 15.0
    rates: Sequence[int] = (500, 2_000)


QUICK: Final = Scale(20_000, 1, 3.0, 2.0, 2.0, 60_000, 3.0, (500,))


class RelayBenchmark:
    """One run on one set of servers."""

    def __init__(self, ground: Ground, scale: Scale, report: Report) -> None:
        self._ground = ground
        self._scale = scale
        self._report = report
        self._drains: dict[str, list[Drain]] = {}
        self._delays: dict[tuple[int, str], Delays] = {}
        self._headers: dict[str, frozenset[str]] = {}
        self._topics = 0

    async def run(self) -> None:
        """Every part, one after the other."""
        part = self._report.part
        await part("backlogs", self._backlogs, patience=400)
        await part("one row", self._one_row, patience=90)
        for rate in self._scale.rates:
            for contender in (OURS, DEFAULT, QUICKER):
                await part(
                    f"latency of {contender.name} at {rate}/s",
                    functools.partial(self._latency, rate, contender),
                    patience=150,
                )
        await part("writers", self._writers, patience=240)
        await part(
            "an open transaction", self._open_transaction, patience=120 + 3 * self._scale.long_transaction
        )
        await self._ground.connection.execute(SQL["drop_slot"])  # or it would keep the WAL of what follows
        if self._scale.history:
            await part("history", self._history, patience=600)
        await part("dead tuples", self._dead_tuples, patience=60)
        self._sum_up()

    # --- backlogs -------------------------------------------------------------------------------------------

    async def _backlogs(self) -> None:
        """Each relay in turn, several rounds: what a round's neighbours do to it, they do to all."""
        contenders: list[Contender] = [OURS, TRANSACTIONAL, TUNED]
        failed: dict[str, str] = {}
        for _ in range(self._scale.rounds):
            for contender in contenders:
                if contender.name in failed:
                    continue
                try:
                    drain = await self._backlog(contender)
                    self._drains.setdefault(contender.name, []).append(drain)
                except Exception as error:
                    failed[contender.name] = reason_of(error)
        self._report.failures |= {f"backlog of {name}": why for name, why in failed.items()}
        self._compare_headers()

    async def _backlog(self, contender: Contender, ground: Ground | None = None) -> Drain:
        """Fill, drain, and see that what arrived is what was committed."""
        rows, ground = self._scale.rows, ground or self._ground
        topic = await self._topic()
        await contender.make_ready(ground)
        await fill(ground, contender.layout, topic, rows)
        drain = await drained(ground, contender, topic, rows, patience=120)
        found = await arrived(ground, topic, isolation=contender.isolation)
        if (found.records, found.distinct, found.inversions) != (rows, rows, 0):
            raise RuntimeError(f"of {rows} rows {found} arrived")
        self._headers[contender.name] = found.headers
        return drain

    def _compare_headers(self) -> None:
        every = frozenset[str]().union(*self._headers.values())
        missing = {name: sorted(every - names) for name, names in self._headers.items() if every - names}
        if missing:
            raise RuntimeError(f"the relays do not send the same headers; these lack: {missing}")

    async def _one_row(self) -> None:
        """Where the time of a row goes, on the rows that the backlogs left."""
        ground = self._ground
        command = python("tests.benchmarks.relay.anatomy", ground.dsn, ground.brokers, str(self._scale.rows))
        found = await answer("anatomy", command, ground.home, ours({}), patience=80)
        rows = [(what, found[step]) for what, step in _STEPS]
        own = sum(found[step] for step in ("read", "batches", "send"))
        self._report.figures["row_us"] = round(own, 1)
        title = f"Where the time of one row goes, µs of CPU (of {found['rows']:,.0f} rows)"
        self._report.tables.append(Table(title, ("step", "µs"), [*rows, ("the relay, together", own)]))

    # --- while rows are written -----------------------------------------------------------------------------

    async def _latency(self, rate: int, contender: Contender) -> None:
        scale = self._scale
        self._delays[rate, contender.name] = await delays(
            self._ground,
            contender,
            await self._topic(),
            per_second=rate,
            seconds=scale.seconds,
            warm=scale.warm,
        )

    async def _writers(self) -> None:
        """Commits a second of eight writers, without a relay and beside one; the median of the rounds."""
        rows = []
        for contender in (OURS, DEFAULT):
            alone, beside = [], []
            for _ in range(max(1, self._scale.rounds - 1)):
                alone.append(await self._commits(contender))
                beside.append(await self._commits_beside(contender))
            kept = statistics.median(beside) / statistics.median(alone)
            rows.append((contender.name, statistics.median(alone), statistics.median(beside), kept))
            self._report.figures[f"writers_kept_{contender.layout}"] = round(kept, 3)
        self._report.tables.append(
            Table(
                "Commits a second of eight writers that append as fast as they can",
                ("beside", "alone", "with the relay", "ratio"),
                rows,
            )
        )

    async def _commits(self, contender: Contender) -> float:
        await self._ground.connection.execute(SQL["drop_slot"])
        topic = await self._topic()
        return await pgbench(self._ground, contender.layout, topic, seconds=self._scale.write_seconds)

    async def _commits_beside(self, contender: Contender) -> float:
        topic = await self._topic()
        await contender.make_ready(self._ground)
        async with contender.running(self._ground) as running:
            await until_it_publishes(self._ground, contender, topic)
            commits = await pgbench(self._ground, contender.layout, topic, seconds=self._scale.write_seconds)
            running.check()
        return commits

    async def _open_transaction(self) -> None:
        held = await held_back(
            self._ground, OURS, await self._topic(), per_second=500, seconds=self._scale.long_transaction
        )
        self._report.figures["open_transaction_p99_ms"] = round(held.beside.p99, 1)
        self._report.figures["open_transaction_own_ms"] = round(held.own, 1)
        rows = [
            ("before it", held.without.p50, held.without.p99, held.without.longest),
            (f"while it is open ({self._scale.long_transaction:g} s)", *held.beside.three),
            ("its own row, from its commit", held.own, None, None),
        ]
        self._report.tables.append(
            Table(
                "A transaction that has written and stays open: delays of other rows at 500/s, ms",
                ("", "p50", "p99", "max"),
                [[cell if cell is not None else "" for cell in row] for row in rows],
            )
        )

    # --- size -----------------------------------------------------------------------------------------------

    async def _history(self) -> None:
        """A large backlog is drained, and then a small one behind which the large one lies published."""
        scale = self._scale
        need = scale.history * _GB_OF_A_ROW
        if (free := free_disk_gb(self._ground.home)) < need:
            raise RuntimeError(f"{scale.history:,} rows need {need:.0f} GB of disk, and {free:.0f} are free")
        topic = await self._topic()
        await fill(self._ground, OURS.layout, topic, scale.history, step=10_000)
        large = await drained(self._ground, OURS, topic, scale.history, patience=300)
        await vacuumed(self._ground, patience=60)
        small, before = [], []
        async with beside(self._ground) as other:
            for _ in range(scale.rounds):  # in turn: an hour's noise is then in both
                small.append(await self._backlog(OURS))
                before.append(await self._backlog(BESIDE, other))
        fresh, behind = _first(before), _first(small)
        self._report.figures |= {
            "history_rows": scale.history,
            "history_ratio": round(min(behind, large.from_first) / fresh, 3),
            "history_behind_ratio": round(behind / fresh, 3),
            "history_backlog_ratio": round(large.from_first / fresh, 3),
            "peak_mb": round(max(large.peak_mb, *map(_peak, (before, small, self._drains[OURS.name]))), 1),
        }
        self._report.tables.append(
            Table(
                "Size: rows a second from the first record",
                ("", "rows/s", "ratio", "peak MB"),
                [
                    (
                        f"{scale.rows:,} rows, in turn with the last line, the outbox empty but for them",
                        fresh,
                        1.0,
                        _peak(before),
                    ),
                    (
                        f"a backlog of {scale.history:,} rows",
                        large.from_first,
                        large.from_first / fresh,
                        large.peak_mb,
                    ),
                    (
                        f"{scale.rows:,} rows behind {scale.history:,} published ones",
                        behind,
                        behind / fresh,
                        _peak(small),
                    ),
                ],
            )
        )

    async def _dead_tuples(self) -> None:
        await self._ground.connection.execute("SELECT pg_stat_force_next_flush()")
        await asyncio.sleep(1.5)  # other sessions report within a second
        self._report.figures["dead_tuples"] = await self._ground.connection.fetchval(SQL["dead"])

    # --- in the end -----------------------------------------------------------------------------------------

    def _sum_up(self) -> None:
        figures, drains = self._report.figures, self._drains
        ours, theirs = drains.get(OURS.name), drains.get(TUNED.name)
        if ours and theirs:
            figures["drain_ratio_start"] = round(_start(ours) / _start(theirs), 2)
            figures["drain_ratio_first"] = round(_first(ours) / _first(theirs), 2)
        if ours and (transactional := drains.get(TRANSACTIONAL.name)):
            figures["transactional_ratio"] = round(_first(transactional) / _first(ours), 3)
        if ours:
            figures.setdefault("peak_mb", round(_peak(ours), 1))
            figures["rows_per_second_from_start"] = round(_start(ours))
            figures["rows_per_second_from_first"] = round(_first(ours))
        for rate in self._scale.rates:
            self._compare_delays(rate)
        rows = [
            (
                name,
                _start(found),
                _first(found),
                statistics.median(one.start_seconds - one.first_seconds for one in found),
                statistics.median(one.cpu_seconds for one in found),
                statistics.median(one.postgres_cpu_seconds for one in found),
                statistics.median(one.kafka_cpu_seconds for one in found),
                _peak(found),
            )
            for name, found in drains.items()
        ]
        columns = ("relay", "rows/s from start", "from the first record", "s to the first record", "CPU s")
        more = ("CPU s of PostgreSQL", "CPU s of Kafka", "peak MB")
        title = f"Draining {self._scale.rows:,} rows, the median of {self._scale.rounds}"
        self._report.tables.insert(0, Table(title, (*columns, *more), rows))
        delays = [(f"{rate}/s", name, *found.three) for (rate, name), found in self._delays.items()]
        self._report.tables.insert(
            1, Table("Row committed → record readable, ms", ("rate", "relay", "p50", "p99", "max"), delays)
        )
        self._report.charts += [
            Bars(
                "Draining a backlog, from the start of the process",
                "rows/s",
                [(row[0], row[1]) for row in rows],
            ),
            Bars("Draining a backlog, from the first record", "rows/s", [(row[0], row[2]) for row in rows]),
            *(
                Bars(f"Commit → readable at {rate} rows/s, p99", "ms", bars)
                for rate in self._scale.rates
                if (bars := [(name, found.p99) for (at, name), found in self._delays.items() if at == rate])
            ),
        ]

    def _compare_delays(self, rate: int) -> None:
        """The ratios that are wanted are those at 500/s to Debezium as it comes; the others stand beside."""
        ours = self._delays.get((rate, OURS.name))
        suffix = "" if rate == 500 else f"_{rate}"
        for contender, kind in ((DEFAULT, ""), (QUICKER, "_poll_5ms")):
            theirs = self._delays.get((rate, contender.name))
            if ours and theirs:
                self._report.figures[f"p50_ratio{kind}{suffix}"] = round(ours.p50 / theirs.p50, 4)
                self._report.figures[f"p99_ratio{kind}{suffix}"] = round(ours.p99 / theirs.p99, 4)
        if ours:
            self._report.figures[f"p50_ms{suffix}"] = round(ours.p50, 2)
            self._report.figures[f"p99_ms{suffix}"] = round(ours.p99, 2)

    async def _topic(self) -> str:
        self._topics += 1
        name = f"bench-{self._topics}"
        await make_topic(self._ground.brokers, name, partitions=PARTITIONS)
        return name


def _start(drains: Sequence[Drain]) -> float:
    return statistics.median(drain.from_start for drain in drains)


def _first(drains: Sequence[Drain]) -> float:
    return statistics.median(drain.from_first for drain in drains)


def _peak(drains: Sequence[Drain]) -> float:
    return max(drain.peak_mb for drain in drains)


async def measure(scale: Scale) -> Report:
    """One whole run."""
    report = Report("bench-relay", KEYS, WANTED)
    async with ground() as servers:
        await RelayBenchmark(servers, scale, report).run()
    return report


@pytest.mark.benchmark
async def test_relay(capsys: pytest.CaptureFixture[str]) -> None:
    """Both relays publish what was committed, and say how fast."""
    with capsys.disabled():
        report = await measure(QUICK)
        report.show()
    assert report.figures["dead_tuples"] == 0


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    made = benchmark_options("bench-relay", __doc__, rounds="how often each backlog is drained (3)")
    made.add_argument("--rows", type=int, help="rows of a backlog (200,000)")
    made.add_argument(
        "--history", type=int, help="published rows behind the cursor, and the large backlog (5,000,000)"
    )
    made.add_argument(
        "--long-transaction", type=float, metavar="SECONDS", help="a transaction stays open (15)"
    )
    return made


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    run_benchmark(parser(), arguments, measure, quick=QUICK, full=Scale())


if __name__ == "__main__":
    main()
