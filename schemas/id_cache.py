"""Schema ids on disk, so that a registry that is down stops nobody who has started once.

One file for each registry, named by a hash of its address (an address may hold a password). An id is valid
for one subject and one fingerprint of the schema: a changed schema finds nothing.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from schemas.catalog import EventSchema, Schema, fingerprint

_FORGOTTEN_AFTER: Final = 90 * 86_400.0
"""Seconds after which the file of a registry that was not asked again is dropped."""


@dataclass(frozen=True, slots=True)
class CachedIds:
    """What one registry has answered before."""

    ids: Mapping[str, int] = field(default_factory=dict)
    """``<subject> <fingerprint of the schema>`` to id."""
    writers: Mapping[int, Schema] = field(default_factory=dict)
    """Id to the writer's schema behind it."""

    def of(self, event: EventSchema) -> int | None:
        """The id of the current schema of ``event``; None when it was never resolved."""
        return self.ids.get(entry(event))


@dataclass(frozen=True, slots=True)
class IdCache:
    """The ids of the registry at ``url``, kept in ``folder``. A file that is not readable counts as empty."""

    folder: Path
    url: str

    @property
    def path(self) -> Path:
        """The file."""
        return self.folder / f"{hashlib.sha256(self.url.rstrip('/').encode()).hexdigest()[:16]}.json"

    def load(self) -> CachedIds:
        """What is kept; empty when nothing is."""
        try:
            data: Any = json.loads(self.path.read_text("utf-8"))
            ids = {str(name): int(number) for name, number in data["ids"].items()}
            return CachedIds(ids, {int(number): schema for number, schema in data["writers"].items()})
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return CachedIds()

    def save(self, cached: CachedIds) -> None:
        """Keep ``cached``, in one step: a reader sees the old file or the new one.

        A disk that is full or read-only is no reason to stop: the next start asks the registry again.
        """
        text = json.dumps({"ids": dict(cached.ids), "writers": dict(cached.writers)})
        with suppress(OSError):
            self.folder.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=self.folder, suffix=".tmp")
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
            Path(name).replace(self.path)
            self._forget_old()

    def _forget_old(self) -> None:
        """Drop what was kept of registries that nobody has used for long, such as those of tests."""
        oldest = time.time() - _FORGOTTEN_AFTER
        for path in self.folder.glob("*.json"):
            with suppress(OSError):
                if path.stat().st_mtime < oldest:
                    path.unlink()


def entry(event: EventSchema) -> str:
    """What the id of the current schema of ``event`` is kept under."""
    return f"{event.subject} {fingerprint(event.schema)}"


def default_folder() -> Path:
    """``$XDG_CACHE_HOME/tidegate/schemas``, or the same under ``~/.cache``."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "tidegate" / "schemas"
