"""How a process says over HTTP whether it lives, whether it does its work, and what its figures are.

``/healthz`` answers whether a restart would help (Kubernetes: liveness), ``/readyz`` whether the process has what it
needs for its work now (readiness), ``/metrics`` the Prometheus text format. All three are computed when they are asked
for, on the process's own event loop: a loop that is blocked does not answer, which is an answer too.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Final

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from infra.errors import MisuseError

Problems = Callable[[], Sequence[str]]
"""What is wrong now, a sentence each; empty where all is well. Asked on the event loop: it must not block."""

_Handler = Callable[[web.Request], Awaitable[web.Response]]

_ADDRESS: Final = "127.0.0.1"
_CLOSE_WITHIN: Final = 1.0
"""Seconds that requests under way have when the server closes."""


def no_problems() -> Sequence[str]:
    """The answer of a process that has nothing to look at: it answers, so it lives."""
    return ()


@asynccontextmanager
async def serve_health(
    port: int, registry: CollectorRegistry, *, alive: Problems = no_problems, ready: Problems = no_problems
) -> AsyncIterator[int]:
    """Serve ``/healthz``, ``/readyz`` and ``/metrics`` on 127.0.0.1 while the block runs; yields the port, which the
    system chooses where ``port`` is 0.

    A path with problems answers 503 ``{"status": "failing", "problems": […]}``, one without 200 ``{"status": "ok"}``.
    A check that raises is itself a problem: health that cannot be found out is not good. ``/metrics`` carries what is
    in ``registry``. Raises :class:`MisuseError` where the port is taken or may not be had.
    """
    application = web.Application()
    application.router.add_get("/healthz", _answering(alive))
    application.router.add_get("/readyz", _answering(ready))
    application.router.add_get("/metrics", _figures(registry))
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=_CLOSE_WITHIN)
    await runner.setup()
    try:
        site = web.TCPSite(runner, _ADDRESS, port)
        try:
            await site.start()
        except OSError as error:
            raise MisuseError(f"port {port} of {_ADDRESS} cannot be served: {error.strerror}") from error
        yield int(runner.addresses[0][1])
    finally:
        await runner.cleanup()


def _answering(check: Problems) -> _Handler:
    async def answer(_: web.Request) -> web.Response:
        try:
            problems = list(check())
        except Exception as error:  # whatever it is, the process cannot say that it is well
            problems = [f"the check itself fails: {type(error).__name__} {error}"]
        if problems:
            return web.json_response({"status": "failing", "problems": problems}, status=503)
        return web.json_response({"status": "ok"})

    return answer


def _figures(registry: CollectorRegistry) -> _Handler:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    return answer
