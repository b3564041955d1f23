"""A relay in a process of its own that kills or freezes itself at a named point: ``python -m`` words in order are
database, brokers, profile, point, turn, signal."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from dataclasses import replace

from outbox.options import Profile, RelayOptions
from outbox.probe import Point
from tests.outbox_support import QUICK, relay_to_kafka
from tests.relay_probes import AtPoint

PAGE = 40
SMALL = replace(
    QUICK,
    page_rows=PAGE,
    transaction_rows=PAGE,
    store_every=0.0,
    lease=1.0,
    pause_longest=0.2,
    transaction_backoff_ms=100,
)
"""Pages so small that a window has many, and short pauses."""


def options_of(profile: Profile) -> RelayOptions:
    """How such a relay runs."""
    return replace(SMALL, profile=profile)


def main() -> None:
    """Relay until told to stop by SIGTERM."""
    dsn, brokers, profile, point, turn, number = sys.argv[1:]

    async def strike() -> None:
        os.kill(os.getpid(), int(number))

    async def serve() -> None:
        stop = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
        probe = AtPoint(Point(point), strike, turn=int(turn))
        await relay_to_kafka([dsn], brokers, options=options_of(Profile(profile)), probe=probe).run(stop)

    asyncio.run(serve())
