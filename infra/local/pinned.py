"""Pins: files of a Maven repository, each held to its SHA-256 sum.

A set of pins is a text file in ``pins/``, one ``coordinate sha256`` a line, written by ``python -m infra.local.pin``
(``make lock``).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

PINS: Final = Path(__file__).parent / "pins"


@dataclass(frozen=True, slots=True)
class Pin:
    """One file of a Maven repository and the SHA-256 that it must have."""

    group: str
    artifact: str
    version: str
    packaging: str
    classifier: str
    sha256: str

    @classmethod
    def parse(cls, line: str) -> Pin:
        """Read ``group:artifact:version[:packaging:classifier] sha256``."""
        coordinate, sha256 = line.split()
        group, artifact, version, *rest = coordinate.split(":")
        packaging, classifier = rest or ("jar", "")
        return cls(group, artifact, version, packaging, classifier, sha256)

    @property
    def coordinate(self) -> str:
        """What :meth:`parse` reads, without the sum."""
        tail = f":{self.packaging}:{self.classifier}" if self.classifier else ""
        return f"{self.group}:{self.artifact}:{self.version}{tail}"


def read_pins(name: str) -> list[Pin]:
    """The pins in ``pins/<name>.txt``, in the order of the class path."""
    lines = (PINS / f"{name}.txt").read_text().splitlines()
    return [Pin.parse(line) for line in lines if line and not line.startswith("#")]


def pinned_version(name: str, artifact: str) -> str:
    """The version of ``artifact`` in the set ``name``."""
    return next(pin.version for pin in read_pins(name) if pin.artifact == artifact)
