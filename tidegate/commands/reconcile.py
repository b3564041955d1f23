"""``tidegate reconcile``: look for partial states now, and resume or tell of them."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import Annotated, Any
from uuid import uuid4

import typer

from infra.clients.temporal import connect
from infra.settings import Settings
from infra.telemetry import configure_logging
from tidegate.console import JsonOption, emit_json, emit_table, note, run, say, serve
from tidegate.schedules import EVERY

_KINDS = ("kind", "resumed", "alerted", "mean_seconds", "longest_seconds")

_SLOW = 5.0
"""Seconds after which a run that has not ended says what it may be waiting for."""

_WAITS = "the run waits for its workers, or has much to do: `tidegate run` starts workers of order-processing and oms"


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def reconcile(
        once: Annotated[
            bool, typer.Option("--once", help="One run, and its report, instead of one a minute.")
        ] = False,
        dry_run: Annotated[
            bool,
            typer.Option("--dry-run", help="Say what a run would do now, and do nothing; needs no worker."),
        ] = False,
        json: JsonOption = False,
    ) -> None:
        """Find business entities that are stuck between two states; resume them, or tell people of them.

        Open orders without a workflow, stock reserved for nobody, shipments without label, money held for nobody,
        parked events past half of their time, paid orders whose event was lost. What is in the hands of a running
        workflow, or younger than its grace period, is left alone. A run is done by the workers (`order-processing`,
        `oms` and the owners of what is undone); `tidegate run` has a schedule for it. With --once also: how much was
        reconciled so far, and how long that had stood, by kind.

        Example: `tidegate reconcile --dry-run` and then `tidegate reconcile --once`
        """
        settings = Settings()
        configure_logging(settings, process="reconcile")
        if dry_run:
            found = run(_plan(settings))
            if json:
                emit_json({"would": found})
            else:
                emit_table(f"{len(found)} partial states", found, ("kind", "subject", "since", "would"))
        elif once:
            report, figures = run(_once(settings))
            if json:
                emit_json({**report, "kinds": figures})
            else:
                _print(report)
                emit_table("reconciled so far", figures, _KINDS)
        else:
            serve(lambda stop: _go_on(settings, stop))


async def _plan(settings: Settings) -> list[dict[str, Any]]:
    from services.reconciliation import Kind
    from tidegate.wiring.reconciliation import open_reconciler
    from workflows.reconciling import Leave, spoken

    found = []
    async with open_reconciler(settings) as (reconciler, _):
        for kind in Kind:
            after, begun = "", False
            while after or not begun:
                begun = True
                judged, after = await reconciler.judge(kind, after)
                found += [
                    {
                        "kind": kind.value,
                        "subject": one.candidate.subject,
                        "since": one.candidate.since.isoformat(),
                        "would": spoken(one.decision),
                    }
                    for one in judged
                    if not isinstance(one.decision, Leave)
                ]
    return found


async def _once(settings: Settings) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    from tidegate.wiring.reconciliation import open_reconciler

    report = await _run_now(settings)
    async with open_reconciler(settings) as (_, memory):
        figures = [{**asdict(one), "kind": one.kind.value} for one in await memory.figures()]
    return report, figures


async def _run_now(settings: Settings) -> dict[str, Any]:
    from workflows.contracts.reconciliation import RECONCILIATION, ReconciliationReport

    client = await connect(settings.temporal)
    late = asyncio.get_running_loop().call_later(_SLOW, note, _WAITS)
    try:
        report: ReconciliationReport = await client.execute_workflow(
            RECONCILIATION.name,
            RECONCILIATION.input(),
            id=f"{RECONCILIATION.id_template}-by-hand-{uuid4().hex[:8]}",
            task_queue=RECONCILIATION.queue,
            result_type=ReconciliationReport,
        )
    finally:
        late.cancel()
    return asdict(report)


async def _go_on(settings: Settings, stop: asyncio.Event) -> None:
    note(f"one run every {EVERY.total_seconds():g} s; Ctrl-C ends it")
    while not stop.is_set():
        _print(await _run_now(settings))
        try:
            await asyncio.wait_for(stop.wait(), EVERY.total_seconds())
        except TimeoutError:
            continue


def _print(report: dict[str, Any]) -> None:
    say(
        f"{report['candidates']} candidates looked at, {report['resumed']} resumed, {report['alerted']} alerts"
    )
    for failure in report["failed"]:
        say(f"left for the next run: {failure}")
