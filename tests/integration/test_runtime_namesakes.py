"""Two processes of one member's name are told apart from a group whose members come and go."""

from __future__ import annotations

import asyncio

from structlog.testing import capture_logs

from consumers.runtime.namesakes import Namesakes
from consumers.runtime.record import ConsumedRecord
from tests.runtime_support import runtime_world
from tests.waiting import until

HINT = "is there another process of this member's name?"


class Clock:
    """Moved by hand."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_only_what_comes_one_after_the_other_is_suspicious() -> None:
    """Six times within a minute; without a name, or slower, it is a group like others."""
    clock = Clock()
    for member, pause, warnings in ((None, 1.0, 0), ("a", 15.0, 0), ("a", 10.0, 2)):
        watch = Namesakes(member, clock)
        with capture_logs() as logs:
            for _ in range(12):
                watch.assigned()
                clock.now += pause
        assert [HINT in log["event"] for log in logs] == [True] * warnings


async def test_a_second_process_of_a_name_is_pointed_out(bootstrap_servers: str, unique: str) -> None:
    """Both go on throwing each other out, and say what it may be."""

    async def handle(_: ConsumedRecord) -> None:
        await asyncio.sleep(0)

    async with runtime_world(bootstrap_servers, unique) as world:
        with capture_logs() as logs:
            async with world.consuming(handle, member="same"), world.consuming(handle, member="same"):
                await until(lambda: any(HINT in log["event"] for log in logs))
    [hint, *_] = [log for log in logs if HINT in log["event"]]
    assert hint["member"] == "same"
