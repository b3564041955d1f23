"""Records histories for a version that is about to be released: ``python -m tests.replay.record``.

A history that was released is never recorded again: it stands for workflows that may still run. New scenarios
go under the next version, and so do those of a changed workflow.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tomllib
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, Final

from temporalio.client import WorkflowFailureError

from infra.local.skipping import time_skipping_server
from tests.replay.released import HISTORIES, released
from tests.replay.scenarios import FLOOD, SCENARIOS, Handle
from tests.skipping import SkippingServers
from tests.workflow_support import World, skipping_world
from workflows.worker import WorkerLimits

_LOCAL: Final = frozenset({"identity", "stackTrace", "workerVersion", "binaryChecksum"})
"""What a history says of the machine it was recorded on, and no replay needs."""


OpenWorld = Callable[[], AbstractAsyncContextManager[World]]
"""A new world for each scenario, in a namespace of its own: what one leaves in a queue would reach the next."""


async def record(open_world: OpenWorld, release: str, only: str | None = None) -> AsyncIterator[Path]:
    """Record every scenario that ``release`` has no history of, or those of one workflow; the files as written."""
    for workflow_name, scenarios in SCENARIOS.items():
        if only not in (None, workflow_name) or f"{workflow_name}/{release}" in released():
            continue
        folder = HISTORIES / workflow_name / release
        folder.mkdir(parents=True, exist_ok=True)
        for scenario in scenarios:
            target = folder / f"{scenario.__name__}.json"
            if target.exists():
                continue
            async with open_world() as world:
                handle = await scenario(world, scenario.__name__.replace("_", "-"))
                try:
                    await handle.result()
                except WorkflowFailureError as failure:
                    sys.stderr.write(f"{scenario.__name__}: {failure.cause}\n")
                runs = [run async for run in _histories(world, handle)]
            for number, history in enumerate(reversed(runs), 1):
                path = target if number == len(runs) else folder / f"{scenario.__name__}.run{number}.json"
                path.write_text(json.dumps(_without_local(history), indent=1, sort_keys=True) + "\n")
                yield path


async def _histories(world: World, handle: Handle) -> AsyncIterator[dict[str, Any]]:
    """The histories of all runs, the latest first."""
    run_id: str | None = None
    while True:
        history = await world.client.get_workflow_handle(handle.id, run_id=run_id).fetch_history()
        yield json.loads(history.to_json().replace(world.client.namespace, "default"))
        run_id = history.events[0].workflow_execution_started_event_attributes.continued_execution_run_id
        if not run_id:
            return


def _without_local(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_local(part) for name, part in value.items() if name not in _LOCAL}
    if isinstance(value, list):
        return [_without_local(part) for part in value]
    return value


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")


def _version() -> str:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    return str(project["project"]["version"])


async def _main() -> None:
    options = argparse.ArgumentParser(prog="python -m tests.replay.record")
    options.add_argument("--release", default=_version(), help="the version that is about to be released")
    options.add_argument("--workflow", help="only this one")
    chosen = options.parse_args()
    server = await asyncio.to_thread(time_skipping_server, _say)
    limits = WorkerLimits(signals_per_run=FLOOD)
    async with SkippingServers(server) as servers:
        async for path in record(lambda: skipping_world(servers, limits), chosen.release, chosen.workflow):
            sys.stdout.write(f"{path.relative_to(HISTORIES)}\n")


if __name__ == "__main__":
    asyncio.run(_main())
