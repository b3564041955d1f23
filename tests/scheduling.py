"""Which worker runs which tests, where there are several: whole files, and all whole loops one after the other.

A loop is a stack with a dozen processes, as much as two cores can do; two at once take longer than one after the
other. Most other tests wait for a server rather than work, so they pass the time beside one.
"""

from __future__ import annotations

from typing import Any, Final

from xdist.scheduler.loadfile import LoadFileScheduling

WHOLE_LOOPS: Final = (
    "tests/faults/test_loop_kill_nine.py",
    "tests/acceptance/test_demo_command.py",
    "tests/acceptance/test_loop_faulty_world.py",
    "tests/acceptance/test_paid_orders.py",
    "tests/acceptance/test_loop_by_hand.py",
    "tests/acceptance/test_carts_returns_commands.py",
)
"""What takes longest stands first: it begins while there is something to run beside it."""


def longest_first(path: str) -> int:
    """The place of a file in the order of files: loops, then all that starts or stops servers, then the others."""
    if path in WHOLE_LOOPS:
        return WHOLE_LOOPS.index(path)
    return len(WHOLE_LOOPS) + (not path.startswith("tests/faults/"))


class OneLoopAtATime(LoadFileScheduling):  # type: ignore[misc]  # pytest-xdist has no types
    """Files as they come, with those of :data:`WHOLE_LOOPS` as one."""

    def _split_scope(self, nodeid: str) -> Any:
        path = super()._split_scope(nodeid)
        return "whole loops" if path in WHOLE_LOOPS else path
