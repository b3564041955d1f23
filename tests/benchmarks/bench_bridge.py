"""`make bench-bridge`: the bridge and the runtime below it, beside FastStream, aiokafka and the bare Temporal client.

Everything in one run on the same servers. Peers take turns for several rounds, and the median counts. About five
minutes; ``--quick`` takes one and says little about speed.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import pytest
from aiokafka import AIOKafkaProducer

from tests.benchmarks.bridge.row_to_signal import RowToSignal, delays_of, processor_of
from tests.benchmarks.bridge.servers import Ground, Message, Recipients, ground, publish, recipients
from tests.benchmarks.bridge.side_by_side import Consumers
from tests.benchmarks.bridge.work import QUICK, TOPIC, Scale, Speeds, pick_reports
from tests.benchmarks.command import benchmark_options, run_benchmark
from tests.benchmarks.delays import Delays
from tests.benchmarks.processes import Running, answer, guarded, python
from tests.benchmarks.reporting import Bars, Report, Table, Wanted

KEYS: Final = ("runtime_ratio", "runtime_per_core", "lanes_seconds", "client_ratio", "p50_ms", "p99_ms")
WANTED: Final[Mapping[str, Wanted]] = {
    "runtime_ratio": Wanted(at_least=10),
    "runtime_per_core": Wanted(at_least=50_000),
    "lanes_seconds": Wanted(at_most=0.5),
    "client_ratio": Wanted(at_least=0.9),
    "p99_ms": Wanted(at_most=100),
    "hostile_ms": Wanted(at_most=50),
    "poison_ratio": Wanted(at_most=2),
}
"""Source: issue "The best bridge from Kafka into Temporal"; design §10."""

_AT_ONCE: Final = 64
"""Calls to Temporal at once, the bridge's own number of workers."""


class BridgeBenchmark:
    """One run on one set of servers."""

    def __init__(self, ground: Ground, scale: Scale, report: Report) -> None:
        self._ground = ground
        self._scale = scale
        self._report = report
        self._sent = 0
        """Signals that were sent to the workflows so far."""
        self._orders = [f"bench-{number:05d}" for number in range(scale.workflows)]

    async def run(self) -> None:
        """Every part, one after the other."""
        part = self._report.part
        consumers = Consumers(self._ground, self._scale, self._report)
        await part("consumers side by side", consumers.side_by_side, patience=420)
        await part("lanes", consumers.lanes, patience=120)
        await part("hostile payloads", consumers.hostile_payloads, patience=120)
        await part("running workflows", self._with_workflows, patience=900)

    async def _with_workflows(self) -> None:
        """What needs workflows that run. Each part may fail for itself."""
        part = self._report.part
        async with (
            recipients(self._ground, self._orders) as listening,
            self._process("bridge", "--workers", str(_AT_ONCE)) as bridge,
        ):
            await part("signals beside the bare client", lambda: self._signals(listening), patience=400)
            await listening.have_handled(self._sent)
            await part("poison", self._poison, patience=180)
            await listening.have_handled(self._sent)
            async with self._process("relay", "--database", "services") as relay:
                pids = {
                    "relay": relay.process.pid,
                    "bridge": bridge.process.pid,
                    "workflows' worker": listening.pid,
                }
                measured = partial(self._row_to_signal, pids, listening.notes)
                await part("outbox row to signal", measured, patience=300)

    async def _signals(self, listening: Recipients) -> None:
        """Events that are there at once, through the bridge; the same number of signals by the client alone; in
        turn, to the same workflows."""
        scale = self._scale
        file = self._ground.home / "orders"
        file.write_text("\n".join(self._orders))
        bridge, bare = Speeds(), Speeds()
        await self._through_bridge(1)  # both sides have met every workflow before it counts
        for number in range(scale.rounds):
            for which in ("bridge", "bare") if number % 2 == 0 else ("bare", "bridge"):
                # Neither begins while the worker is busy with what the other has left it.
                await listening.have_handled(self._sent)
                if which == "bridge":
                    bridge.add(await self._through_bridge(scale.signals))
                else:
                    bare.add(await self._by_client(file))
        self._report.figures["client_ratio"] = round(bridge.rate / bare.rate, 3)
        rows = [("bridge, from Kafka", bridge.rate), ("Temporal client alone", bare.rate)]
        title = f"Signals into {scale.workflows:,} running workflows, {_AT_ONCE} at once"
        self._report.tables.append(Table(title, ("", "signals/s"), rows))
        self._report.charts.append(Bars(title, "signals/s", rows))

    async def _through_bridge(self, rounds: int) -> dict[str, float]:
        count = len(self._orders) * rounds
        messages, ids = _identified(pick_reports(self._ground.codec, self._orders, count))
        await asyncio.to_thread(publish, self._ground.brokers, TOPIC, messages)
        self._sent += count
        times = await self._settled(ids, patience=100)
        return {
            "events": len(times) - 1,
            "seconds": (max(times.values()) - min(times.values())).total_seconds(),
        }

    async def _by_client(self, file: Path) -> dict[str, Any]:
        words = (
            str(self._ground.settings.temporal.address),
            str(_AT_ONCE),
            str(self._scale.signals),
            str(file),
        )
        command = python("tests.benchmarks.bridge.bare_client", *words)
        self._sent += len(self._orders) * self._scale.signals
        return await answer("client", command, self._ground.home, self._ground.environment, patience=100)

    async def _settled(self, ids: Sequence[UUID], *, patience: float) -> dict[UUID, datetime]:
        """When each event was settled, as the ledger says; RuntimeError for an outcome that was not expected."""
        end = time.monotonic() + patience
        # The ledger is written once a second; looking more often takes processor time from what is measured.
        query = "SELECT event_id, outcome, at FROM bridge.ledger WHERE event_id = ANY($1::uuid[])"
        while len(rows := await self._ground.connection.fetch(query, ids)) < len(ids):
            if time.monotonic() > end:
                raise TimeoutError(f"{len(ids) - len(rows)} of {len(ids)} events were not settled")
            await asyncio.sleep(1)
        if odd := {row["outcome"] for row in rows} - {"delivered"}:
            raise RuntimeError(f"events were {', '.join(odd)} instead of delivered")
        return {row["event_id"]: row["at"] for row in rows}

    async def _poison(self) -> None:
        """Sound events at a steady rate, without and with one in a hundred that cannot be decoded, on other keys."""
        without: list[float] = []
        beside: list[float] = []
        for _ in range(max(1, self._scale.rounds - 1)):
            without += await self._steady(poisoned=False)
            beside += await self._steady(poisoned=True)
        clean, dirty = Delays.of(without), Delays.of(beside)
        self._report.figures["poison_ratio"] = round(dirty.p99 / clean.p99, 2)
        self._report.tables.append(
            Table(
                f"Record sent → signal accepted at {self._scale.rate}/s, ms",
                ("", "p50", "p99", "max"),
                [("no poison", *clean.three), ("1 % poison on other keys", *dirty.three)],
            )
        )

    async def _steady(self, *, poisoned: bool) -> list[float]:
        """Seconds from each sound event's sending to its settling."""
        count = int(self._scale.rate * self._scale.seconds)
        sent: dict[UUID, datetime] = {}
        producer: Any = AIOKafkaProducer(bootstrap_servers=self._ground.brokers, enable_idempotence=True)
        await producer.start()
        try:
            begin = time.perf_counter()
            for number, (key, value, headers) in enumerate(
                pick_reports(self._ground.codec, self._orders, count)
            ):
                await asyncio.sleep(max(0.0, begin + number / self._scale.rate - time.perf_counter()))
                if poisoned and number % 100 == 50:
                    bad = f"poison-{number % 7}".encode()
                    await producer.send(TOPIC, value[:5] + b"\xff" * 20, key=bad, headers=list(headers))
                    continue
                sent[_identity(headers)] = datetime.now(UTC)
                await producer.send(TOPIC, value, key=key, headers=list(headers))
            await producer.flush()
        finally:
            await producer.stop()
        self._sent += len(sent)
        settled = await self._settled(list(sent), patience=60)
        return [(settled[one] - at).total_seconds() for one, at in sent.items()]

    async def _row_to_signal(self, processes: Mapping[str, int], notes: Path) -> None:
        """Rows appended as services do, one a transaction; from each commit to the moment at which its workflow had
        the signal. Lower rates first: where one cannot be kept up, they say up to which it is."""
        scale, figures = self._scale, self._report.figures
        measuring = RowToSignal(self._ground, self._orders, notes, processes)
        found = [await measuring.at(rate, scale.seconds) for rate in (*scale.lower_rates, scale.rate)]
        alone = await measuring.of_client(scale.rate, scale.seconds)
        last = found[-1].handled
        held = [one.rate for one in found if WANTED["p99_ms"].met(one.handled.p99)]
        figures |= {"p50_ms": round(last.p50, 1), "p99_ms": round(last.p99, 1)}
        figures |= {"p99_held_at": max(held, default=0), "cores_wanted": round(found[-1].cores, 2)}
        figures |= {"client_p99_ms": round(alone.handled.p99, 1), "client_cores": round(alone.cores, 2)}
        self._report.tables += [delays_of([*found, alone]), processor_of([*found, alone])]
        bars = [("p50", last.p50), ("p99", last.p99)]
        self._report.charts.append(Bars("Outbox row committed → signal handled", "ms", bars))

    @asynccontextmanager
    async def _process(self, *words: str) -> AsyncIterator[Running]:
        command = python("tidegate", *words)
        async with guarded(words[0], command, self._ground.home, self._ground.environment) as running:
            await running.says("ready")
            yield running


def _identified(messages: Iterable[Message]) -> tuple[list[Message], list[UUID]]:
    kept = list(messages)
    return kept, [_identity(headers) for _, _, headers in kept]


def _identity(headers: Iterable[tuple[str, bytes]]) -> UUID:
    return UUID(dict(headers)["ce_id"].decode())


async def measure(scale: Scale) -> Report:
    """One whole run."""
    report = Report("bench-bridge", KEYS, WANTED)
    async with ground() as servers:
        await BridgeBenchmark(servers, scale, report).run()
    return report


@pytest.mark.benchmark
async def test_bridge(capsys: pytest.CaptureFixture[str]) -> None:
    """Every part of the benchmark gives its figures."""
    with capsys.disabled():
        report = await measure(QUICK)
        report.show()
    assert not report.failures


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    return benchmark_options("bench-bridge", __doc__, rounds="how often peers take turns (3)")


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    run_benchmark(parser(), arguments, measure, quick=QUICK, full=Scale())


if __name__ == "__main__":
    main()
