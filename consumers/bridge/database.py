"""What a failing PostgreSQL means for a record: that it must be handled again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import asyncpg

from consumers.errors import DownstreamUnavailableError

_AWAY: Final = (
    OSError,
    TimeoutError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # what asyncpg says of a connection that went away inside a transaction
)


@contextmanager
def bridge_database() -> Iterator[None]:
    """Turn every failure of the bridge's own tables into :class:`DownstreamUnavailableError`.

    The bridge's statements are fixed, so a statement that fails says that the database is away, overloaded or
    not migrated; never that the event is bad.
    """
    try:
        yield
    except _AWAY as error:
        raise DownstreamUnavailableError(
            f"the bridge's tables cannot be reached: {error or type(error).__name__}"
        ) from error
