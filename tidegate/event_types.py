"""The names of events as people type them after ``--type``."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from tidegate.console import note


def event_types(given: Iterable[str] | None) -> frozenset[str]:
    """The names given, full or last part; none given selects every event.

    A name that no schema here describes is kept, for a topic may hold events of others, and pointed out on standard
    error with the name that it is most like: a slip of the pen would otherwise select nothing without a word.
    """
    from schemas.events import EVENTS

    names = frozenset(given or ())
    if names:
        known = {name for event in EVENTS for name in (event.TYPE, event.TYPE.rpartition(".")[2])}
        for unknown in sorted(names - known):
            like = difflib.get_close_matches(unknown, known, n=1)
            hint = f"; did you mean {like[0]}?" if like else ""
            note(f"--type {unknown}: no schema here describes such an event{hint}")
    return names
