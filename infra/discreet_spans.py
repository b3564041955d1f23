"""Spans as they leave a process: without what an exception said.

Libraries put the message of an exception into the status and the events of a span, and a message may repeat what a
person typed. Its type stays. Loaded only where spans are exported.
"""

from __future__ import annotations

from collections.abc import Sequence

from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.trace import Status

_KEPT = ("exception.type", "exception.escaped")


class DiscreetExporter(SpanExporter):
    """Hands spans on to ``exporter``, without messages and stack traces of exceptions."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Hand on ``spans``."""
        return self._exporter.export([discreet(span) for span in spans])

    def shutdown(self) -> None:
        """End the exporter behind it."""
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Have the exporter behind it send what it holds."""
        return self._exporter.force_flush(timeout_millis)


def discreet(span: ReadableSpan) -> ReadableSpan:
    """``span`` without what an exception said; the same object where none did."""
    if not span.events and not span.status.description:
        return span
    return ReadableSpan(
        name=span.name,
        context=span.context,
        parent=span.parent,
        resource=span.resource,
        attributes=span.attributes,
        events=[_without_words(event) for event in span.events],
        links=span.links,
        kind=span.kind,
        status=Status(span.status.status_code),
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )


def _without_words(event: Event) -> Event:
    kept = {name: value for name, value in (event.attributes or {}).items() if name in _KEPT}
    return Event(event.name, kept, event.timestamp)
