"""Temporal's time-skipping test server, for ``WorkflowEnvironment.start_time_skipping``.

It is Java here, because the SDK's own download is a prebuilt binary that not every network lets through.
"""

from __future__ import annotations

import shlex
import zlib
from pathlib import Path

from infra.local.aot import with_archive
from infra.local.cache import Report, build_once
from infra.local.jars import class_path, fetch_jars, java_command
from infra.local.probes import temporal_answers
from infra.local.process import free_ports

_HEAP = 256  # megabytes
_MAIN = "io.temporal.testserver.TestServer"
_ENDS_WITH_ITS_PARENT = (
    "(while kill -0 $PPID && kill -0 $$; do sleep 2; done; kill $$) </dev/null >/dev/null 2>&1 &"
)
"""The SDK starts the server without our guard, and a parent that is killed cannot end it."""


def time_skipping_server(report: Report) -> Path:
    """An executable to pass as ``test_server_existing_path``; its jars are fetched the first time (blocking).

    The SDK starts and ends it; nothing of it is part of a stack.
    """
    jars = fetch_jars("temporal-test-server", report)
    java, *options = java_command(
        _HEAP, "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp", class_path(jars)
    )
    [port] = free_ports(1)
    archive = with_archive(
        jars, lambda _: [java, *options, _MAIN, str(port)], lambda: temporal_answers(port), report
    )
    words = ["env", "-u", "JAVA_TOOL_OPTIONS", java, *archive, *options, _MAIN]
    script = f'#!/bin/sh\n{_ENDS_WITH_ITS_PARENT}\nexec {shlex.join(words)} "$@"\n'

    def build(folder: Path) -> None:
        launcher = folder / "temporal-test-server"
        launcher.write_text(script)
        launcher.chmod(0o755)

    name = f"{jars.name}-launcher-{zlib.crc32(script.encode()):08x}"
    return build_once(jars.with_name(name), build, report) / "temporal-test-server"
