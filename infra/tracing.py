"""Traces of every process, through OpenTelemetry: off unless a collector is named, and then nearly free.

Code asks for a :func:`tracer` and gets None where nothing is traced, so that it pays for a look at None and for
nothing else. The SDK and its exporter are loaded only by a process that exports.

What leaves a process names things (topics, routes, workflow ids) and repeats nothing that was said: of an exception
its type goes out, not its message, which may repeat what a person typed.

Source: issue "The best bridge from Kafka into Temporal", point 8; docs/decisions/0016.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING, Final

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import ProxyTracerProvider, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from infra.settings import Settings

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter

_W3C: Final = TraceContextTextMapPropagator()
_ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_EXPORT_TIMEOUT: Final = 5.0
"""Seconds that one batch may take to be taken; a process that ends while its collector is away waits no longer."""


def configure_tracing(settings: Settings, process: str) -> None:
    """Send this process's spans to the collector that ``settings`` or the environment names, as ``tidegate-<process>``.

    Does nothing where neither names one, or where OTEL_SDK_DISABLED is true. The other OTEL_* variables count as the
    SDK documents them: sampling, headers of requests, attributes of the resource. Called once, by a command.
    """
    endpoint = settings.telemetry.otlp_endpoint
    if os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return
    if endpoint is None and not any(os.environ.get(name) for name in _ENDPOINTS):
        return
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    exporter = OTLPSpanExporter(
        endpoint=f"{endpoint.rstrip('/')}/v1/traces" if endpoint else None, timeout=_EXPORT_TIMEOUT
    )
    trace.set_tracer_provider(provider_of(exporter, process))


def provider_of(exporter: SpanExporter, process: str) -> TracerProvider:
    """A provider whose spans go to ``exporter`` in batches, without what an exception said."""
    from opentelemetry.sdk.resources import SERVICE_NAME, Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    from infra.discreet_spans import DiscreetExporter

    named = {"service.namespace": "tidegate", "service.version": version("tidegate")}
    if not os.environ.get("OTEL_SERVICE_NAME"):
        named[SERVICE_NAME] = f"tidegate-{process}"
    provider = TracerProvider(resource=Resource.create(named))
    provider.add_span_processor(BatchSpanProcessor(DiscreetExporter(exporter)))
    return provider


def tracer(name: str) -> Tracer | None:
    """The tracer called ``name``; None where this process traces nothing."""
    if isinstance(trace.get_tracer_provider(), ProxyTracerProvider):
        return None
    return trace.get_tracer(name)


def context_of(traceparent: str | None) -> Context:
    """The context whose current span is the one that a W3C ``traceparent`` names; an empty one without it."""
    return _W3C.extract({"traceparent": traceparent} if traceparent else {}, context=Context())


def carrier() -> dict[str, str]:
    """The current span as W3C headers; empty where there is none."""
    named: dict[str, str] = {}
    _W3C.inject(named)
    return named


@contextmanager
def spanned(
    spans: Tracer | None, name: str, attributes: Mapping[str, str | int] | None = None
) -> Iterator[None]:
    """Run the block inside a span of ``spans``, or just so where it is None."""
    if spans is None:
        yield
        return
    with spans.start_as_current_span(name, attributes=attributes):
        yield
