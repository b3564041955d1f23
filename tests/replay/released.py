"""Histories that were released stay as they are: ``python -m tests.replay.released`` writes down what they hold.

Run it at a release, for the folders that the release adds. From then on a history in them that is changed, added
or taken away fails a test: it stands for workflows that may still run.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Final

HISTORIES: Final = Path(__file__).parent / "histories"
RELEASED: Final = HISTORIES / "released.json"


def digest(folder: Path) -> str:
    """What a folder's histories hold, as SHA-256 over names and bytes."""
    whole = hashlib.sha256()
    for path in sorted(folder.glob("*.json")):
        whole.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return whole.hexdigest()


def folders() -> list[str]:
    """Every ``<workflow>/<version>`` that has histories."""
    return sorted({str(path.parent.relative_to(HISTORIES)) for path in HISTORIES.glob("*/*/*.json")})


def released() -> dict[str, str]:
    """The digest of each released folder, by ``<workflow>/<version>``."""
    known: dict[str, str] = json.loads(RELEASED.read_text())
    return known


def main(names: list[str]) -> None:
    """Write down the folders ``names``, and leave those that are written down already."""
    known = released() if RELEASED.exists() else {}
    for name in names:
        known.setdefault(name, digest(HISTORIES / name))
    RELEASED.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    import sys

    main(sys.argv[1:] or folders())
