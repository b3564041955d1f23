"""The migration runner: each room owns its revisions, each schema keeps its own version.

A room offers a :class:`MigrationRoom`; its folder holds plain alembic revision files in one chain.
The revisions of a room touch only the room's own PostgreSQL schema, so rooms migrate independently.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from infra.errors import UnavailableError

if TYPE_CHECKING:
    from alembic.config import Config

_ENVIRONMENT = Path(__file__).parent / "alembic"
_ONE_AT_A_TIME = threading.Lock()
"""alembic keeps the migration under way in module globals: two threads would write into each other's."""


@dataclass(frozen=True, slots=True)
class MigrationRoom:
    """Revisions in ``folder`` that make and change the PostgreSQL schema ``schema``."""

    schema: str
    folder: Path


def migrate(dsn: str, rooms: Sequence[MigrationRoom], options: Mapping[str, str] | None = None) -> None:
    """Bring each room's schema in the database at ``dsn`` to its newest revision, in the order given.

    Safe to run at any time and from several processes: an advisory lock lets one run at a time, and a
    schema that is current is left as it is. ``options`` are libpq's, above those in the address: how TLS is spoken.
    Raises :class:`UnavailableError` where the database does not answer. Blocking; call it from a thread.
    """
    from alembic import command  # here, because it takes a second that most commands need not pay
    from sqlalchemy.exc import OperationalError

    try:
        with _ONE_AT_A_TIME:
            for room in rooms:
                command.upgrade(_config(dsn, room, options or {}), "head")
    except OperationalError as error:
        reason = " ".join(str(error.orig).split())
        raise UnavailableError(f"PostgreSQL does not answer: {reason}") from error


def _config(dsn: str, room: MigrationRoom, options: Mapping[str, str]) -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_ENVIRONMENT))
    config.set_main_option("version_locations", str(room.folder))
    config.set_main_option("path_separator", "newline")
    config.attributes["dsn"] = dsn
    config.attributes["options"] = options
    config.attributes["schema"] = room.schema
    return config
