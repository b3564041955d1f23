"""What a process says of itself over HTTP."""

from __future__ import annotations

import json
import socket

import httpx
import pytest
from prometheus_client import CollectorRegistry, Counter

from infra.errors import MisuseError
from infra.health import serve_health


async def asked(port: int, path: str) -> httpx.Response:
    async with httpx.AsyncClient(trust_env=False) as http:
        return await http.get(f"http://127.0.0.1:{port}{path}")


async def test_problems_are_told_and_gone_when_they_are_over() -> None:
    """Liveness and readiness answer each for themselves, each time anew: 503 with sentences, or 200."""
    slow, away = list[str](), list[str]()
    registry = CollectorRegistry()
    counter = Counter("things_total", "Things.", registry=registry)
    async with serve_health(0, registry, alive=lambda: slow, ready=lambda: away) as port:
        for path in ("/healthz", "/readyz"):
            answer = await asked(port, path)
            assert (answer.status_code, answer.json()) == (200, {"status": "ok"})

        away.append("no partition is assigned")
        answer = await asked(port, "/readyz")
        assert answer.status_code == 503
        assert answer.json() == {"status": "failing", "problems": ["no partition is assigned"]}
        assert (await asked(port, "/healthz")).status_code == 200

        away.clear()
        slow.append("nothing was polled for 61 s")
        assert (await asked(port, "/readyz")).status_code == 200
        assert (await asked(port, "/healthz")).status_code == 503

        counter.inc(3)
        figures = await asked(port, "/metrics")
        assert figures.headers["content-type"].startswith("text/plain; version=")
        assert "things_total 3.0" in figures.text
        assert (await asked(port, "/")).status_code == 404


async def test_a_check_that_fails_is_a_problem() -> None:
    """A check that raises does not pass for health."""

    def broken() -> list[str]:
        raise ZeroDivisionError("by nothing")

    async with serve_health(0, CollectorRegistry(), alive=broken) as port:
        answer = await asked(port, "/healthz")
    assert answer.status_code == 503
    assert "ZeroDivisionError by nothing" in json.dumps(answer.json())


async def test_the_port_is_given_back_and_a_taken_one_is_named() -> None:
    """After the block nobody listens there any more; a port that somebody else has is misuse, in one sentence."""
    async with serve_health(0, CollectorRegistry()) as port:
        pass
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", port))
        other.listen()
        with pytest.raises(MisuseError, match=f"port {port} of 127.0.0.1 cannot be served"):
            async with serve_health(port, CollectorRegistry()):
                pass
