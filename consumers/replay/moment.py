"""Points in time as people write them on a command line."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final

from consumers.replay.errors import InvalidSelectionError

_AGO: Final = re.compile(r"(?P<number>\d+)(?P<unit>[smhd])")
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def parse_moment(text: str, *, now: datetime) -> datetime:
    """The UTC time that ``text`` names: ISO 8601 (UTC unless it says otherwise), or ``90s``, ``15m``,
    ``2h``, ``3d`` ago.

    Raises :class:`InvalidSelectionError` for anything else.
    """
    try:
        if ago := _AGO.fullmatch(text):
            return now - timedelta(**{_UNITS[ago["unit"]]: int(ago["number"])})
        moment = datetime.fromisoformat(text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise InvalidSelectionError(
            f"{text!r} is no time: write 2026-05-04T10:00:00Z, or how long ago: 90s, 15m, 2h, 3d"
        ) from None
