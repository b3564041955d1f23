"""Connections to Temporal."""

from __future__ import annotations

import atexit
import functools
import time
from collections.abc import Sequence
from pathlib import Path

from temporalio.client import Client, Interceptor, TLSConfig
from temporalio.runtime import Runtime

from infra.clients.codec import data_converter
from infra.errors import MisuseError, UnavailableError
from infra.settings import TemporalSettings
from infra.tracing import tracer

_REST = 0.1
"""Seconds that a process gives the SDK's threads at its end."""


async def connect(
    settings: TemporalSettings,
    *,
    interceptors: Sequence[Interceptor] = (),
    identity: str | None = None,
    runtime: Runtime | None = None,
) -> Client:
    """A client of the namespace in ``settings``; it encrypts payloads where ``settings`` has keys.

    Every client of tidegate is made here. Raises :class:`MisuseError` where no address was given or a secret
    cannot be had, :class:`UnavailableError` where nothing answers.
    """
    if settings.address is None:
        raise MisuseError(
            "no Temporal address: set TIDEGATE_TEMPORAL__ADDRESS, or start the local stack with `tidegate up`"
        )
    _end_after_the_sdk()
    try:
        return await Client.connect(
            settings.address,
            namespace=settings.namespace,
            api_key=settings.api_key.get_secret_value() if settings.api_key else None,
            tls=_tls(settings),
            data_converter=data_converter(settings),
            interceptors=[*_tracing(), *interceptors],
            identity=identity,
            runtime=runtime,
        )
    except RuntimeError as error:
        raise UnavailableError(f"Temporal at {settings.address} does not answer: {error}") from error


def _tracing() -> Sequence[Interceptor]:
    """What makes spans of calls, and in the workers of a client those of workflows and activities; by Temporal."""
    spans = tracer("tidegate.temporal")
    if spans is None:
        return ()
    from temporalio.contrib.opentelemetry import TracingInterceptor

    return (TracingInterceptor(spans),)


@functools.cache
def _end_after_the_sdk() -> None:
    """Let the SDK's threads come to rest before the interpreter ends.

    A thread of theirs lets go of an answer a moment after it was awaited. Where a short command ends in that
    moment, the interpreter is gone under it and the process aborts: seen in 2 of 25 runs, status 134.
    """
    atexit.register(time.sleep, _REST)


def _tls(settings: TemporalSettings) -> TLSConfig | bool:
    if not (settings.tls_cafile or settings.tls_certfile):
        return settings.tls
    return TLSConfig(
        server_root_ca_cert=_read(settings.tls_cafile),
        client_cert=_read(settings.tls_certfile),
        client_private_key=_read(settings.tls_keyfile),
    )


def _read(path: Path | None) -> bytes | None:
    return path.read_bytes() if path else None
