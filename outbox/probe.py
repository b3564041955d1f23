"""The points that a page passes on its way, for whoever must be told of them."""

from __future__ import annotations

from enum import StrEnum


class Point(StrEnum):
    """Where a page is. A relay that dies between two of them must lose nothing."""

    WINDOW_READ = "window read"
    """Rows were read and made ready; nothing of them has gone out."""
    SENT = "sent"
    """Records went out. `idempotent`: not yet acknowledged; `transactional`: not yet committed."""
    ACKNOWLEDGED = "acknowledged"
    """Kafka has the page. `idempotent`: acknowledged; `transactional`: committed, with the cursor."""
    CURSOR_STORED = "cursor stored"
    """The database has the cursor behind the page."""


class Probe:
    """Hears of every point and does nothing. A test puts in its place one that stops the relay there, or kills it."""

    async def reached(self, point: Point) -> None:
        """A page is at ``point``; it goes on when this returns."""
