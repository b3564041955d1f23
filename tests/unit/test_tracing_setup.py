"""Tracing costs nothing where it is off, and repeats nothing that a person said where it is on."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

CANARY = "jane.canary@example.com"

QUIET = """
import sys
from infra.settings import Settings
from infra.telemetry import configure_telemetry
from infra.tracing import spanned, tracer

configure_telemetry(Settings(), process="quiet")
assert tracer("x") is None
with spanned(tracer("x"), "nothing"):
    pass
from infra.clients import temporal

assert not temporal._tracing()
print([name for name in sys.modules if name.startswith(("opentelemetry.sdk", "opentelemetry.exporter"))])
"""

TRACED = f"""
import contextlib
from infra.settings import Settings
from infra.telemetry import configure_telemetry
from infra.tracing import spanned, tracer

configure_telemetry(Settings(), process="traced")
from infra.clients import temporal

assert [type(one).__name__ for one in temporal._tracing()] == ["TracingInterceptor"]
with contextlib.suppress(ValueError), spanned(tracer("x"), "a span of ours", {{"tidegate.route": "r"}}):
    raise ValueError("{CANARY}")
"""


class Collector(HTTPServer):
    """Takes what is exported, and keeps it."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.taken: list[tuple[str, bytes]] = []


class _Handler(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        """Keep the path and the body."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.taken.append((self.path, body))
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the library's
        """Say nothing."""


@pytest.fixture
def collector() -> Iterator[Collector]:
    """A collector of OTLP over HTTP."""
    with Collector() as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def run(code: str, **variables: str) -> str:
    """What a process that runs ``code`` prints; of the environment it has nothing that concerns telemetry."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "TIDEGATE_"))}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=plain | variables,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return done.stdout.strip()


def test_a_process_without_a_collector_loads_no_exporter(collector: Collector) -> None:
    """Nothing is traced, nor sent, nor loaded; nor where the standard variable forbids it."""
    assert run(QUIET) == "[]"
    forbidden = {"OTEL_SDK_DISABLED": "true", "OTEL_EXPORTER_OTLP_ENDPOINT": _address(collector)}
    assert run(QUIET, **forbidden) == "[]"
    assert collector.taken == []


@pytest.mark.parametrize("setting", ["TIDEGATE_TELEMETRY__OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"])
def test_spans_reach_the_collector_without_what_an_exception_said(collector: Collector, setting: str) -> None:
    """Also what was still unsent when the process ended; of the exception its type is there."""
    run(TRACED, **{setting: _address(collector)})
    ((path, body),) = collector.taken
    assert path == "/v1/traces"
    for said in (b"a span of ours", b"tidegate-traced", b"tidegate.route", b"exception.type", b"ValueError"):
        assert said in body
    assert CANARY.encode() not in body


def _address(collector: Collector) -> str:
    return f"http://127.0.0.1:{collector.server_address[1]}"
