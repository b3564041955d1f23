"""SQL kept in ``.sql`` files: each query has a name and a comment that says what it is for.

A file holds blocks that begin with ``-- name: <name>``; the comment lines that follow belong to the block.
"""

from __future__ import annotations

import re
from pathlib import Path

_HEADING = re.compile(r"^-- name: (?P<name>[a-z][a-z0-9_]*)\s*$", re.MULTILINE)


class Queries:
    """The queries of one ``.sql`` file, by name. An unknown name raises ``KeyError``."""

    def __init__(self, text: str) -> None:
        parts = _HEADING.split(text)
        self._by_name: dict[str, str] = dict(
            zip(parts[1::2], (body.strip() for body in parts[2::2]), strict=True)
        )

    def __getitem__(self, name: str) -> str:
        return self._by_name[name]


def load(module_file: str, name: str, **shared: str) -> Queries:
    """The queries in ``name`` beside the module: ``load(__file__, "relay.sql")``.

    ``shared`` stands for what several queries have in common: ``row="id, key"`` replaces ``{row}``.
    """
    text = Path(module_file).with_name(name).read_text(encoding="utf-8")
    for word, meaning in shared.items():
        text = text.replace(f"{{{word}}}", meaning)
    return Queries(text)
