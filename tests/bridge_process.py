"""A bridge as a process of its own that reads one topic, on a wire that may lose answers or end it.

Its words are ``bridge_process TOPIC GROUP FAULTS``, the last as :class:`tests.faults.bridge_wire.WireFaults` writes it.
It prints ``ready`` once it has partitions, and then the event id of each signal that is answered. Addresses come from
``TIDEGATE_…``, ``BRIDGE_MEMBER`` makes its membership static, ``BRIDGE_DRAIN`` is how long it drains at most. Its
status is 0 if it stopped with its work done.
"""

from __future__ import annotations

import asyncio
import os
import sys
from dataclasses import replace

from consumers.runtime.backoff import Backoff
from consumers.runtime.options import RuntimeOptions
from infra.settings import Settings
from infra.telemetry import configure_logging
from tests.faults.bridge_plan import ROUTES
from tests.faults.bridge_wire import WireFaults, faulty_wire
from tidegate.console import say, serve
from tidegate.wiring.bridge import open_bridge


async def work(stop: asyncio.Event, topic: str, group: str, faults: WireFaults) -> None:
    """Serve until told to stop."""
    options = RuntimeOptions(
        group_id=group,
        member=os.environ.get("BRIDGE_MEMBER"),
        workers=16,
        commit_interval=0.5,
        poll_timeout=0.05,
        session_timeout=3.0,
        backoff=Backoff(first=0.05, limit=0.5),
    )
    if drain := os.environ.get("BRIDGE_DRAIN"):
        options = replace(options, drain_timeout=float(drain), stop_timeout=float(drain) + 10)
    settings = Settings()
    configure_logging(settings, process="bridge")
    with faulty_wire(faults, report=say):
        async with open_bridge(settings, routes=ROUTES, look_every=0.2) as bridge:
            drained = await bridge.serve(options, stop, topics=[topic], ready=lambda: say("ready"))
    if not drained:
        raise SystemExit(1)


def main() -> None:
    """Do what ``sys.argv`` says."""
    _, topic, group, faults = sys.argv
    serve(lambda stop: work(stop, topic, group, WireFaults.of(faults)))
