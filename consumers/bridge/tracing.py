"""The bridge's part of a trace: from the span that an event's record names to the workflow that it reaches.

A record's span is the child of the one in which its event was written: the relay has carried that one's ``traceparent``
unchanged. The call to Temporal is a span below it, and goes on in the header from which Temporal's own interceptor
(``temporalio.contrib.opentelemetry``) takes it up; that interceptor knows nothing of raw requests, so the header is
written here in its form. Names and attributes follow OpenTelemetry's conventions for messaging and CloudEvents, and
those of that interceptor. None of them is personal.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Final
from uuid import UUID

from opentelemetry.trace import SpanKind, Tracer, get_current_span
from temporalio.api.common.v1 import Payload
from temporalio.converter import PayloadConverter

from consumers.bridge.route import Route
from consumers.runtime.record import ConsumedRecord
from infra.tracing import carrier, context_of

TRACER_HEADER: Final = "_tracer-data"
"""Where Temporal's interceptor looks for the span that a start or a signal came from."""

_NO_SPAN: Final = nullcontext()
_VERBS: Final = {
    "start": "StartWorkflow",
    "signal": "SignalWorkflow",
    "signal_with_start": "SignalWithStartWorkflow",
    "cancel": "CancelWorkflow",
}


class BridgeTracing:
    """Spans of a bridge, by ``tracer``; without one nothing is done, and it costs nothing."""

    def __init__(self, tracer: Tracer | None = None) -> None:
        self._tracer = tracer

    def processing(self, record: ConsumedRecord) -> AbstractContextManager[object]:
        """The span of handling ``record``, below the one in which its event was written."""
        if self._tracer is None:
            return _NO_SPAN
        return self._tracer.start_as_current_span(
            f"process {record.topic}",
            context=context_of(record.header("traceparent")),
            kind=SpanKind.CONSUMER,
            attributes={
                "messaging.system": "kafka",
                "messaging.operation.name": "process",
                "messaging.operation.type": "process",
                "messaging.destination.name": record.topic,
                "messaging.destination.partition.id": str(record.partition),
                "messaging.kafka.offset": record.offset,
                "cloudevents.event_type": record.header("ce_type") or "",
            },
        )

    def delivering(self, route: Route, workflow_id: str, event_id: UUID) -> AbstractContextManager[object]:
        """The span of one call to Temporal."""
        if self._tracer is None:
            return _NO_SPAN
        return self._tracer.start_as_current_span(
            f"{_VERBS[route.action]}:{route.target}",
            kind=SpanKind.CLIENT,
            attributes={
                "temporalWorkflowID": workflow_id,
                "tidegate.route": route.name,
                "cloudevents.event_id": str(event_id),
            },
        )

    def answered(self, answer: str) -> None:
        """Note on the span of the call what came of it."""
        if self._tracer is not None:
            get_current_span().set_attribute("tidegate.answer", answer)

    def headers(self) -> Mapping[str, Payload]:
        """What a request to Temporal says of the current span."""
        if self._tracer is None:
            return {}
        current = carrier()
        return {TRACER_HEADER: PayloadConverter.default.to_payload(current)} if current else {}
