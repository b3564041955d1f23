"""One trace from the writer's transaction to the event that comes of it, through real servers."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import asyncpg
import pytest_asyncio
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, Tracer
from temporalio import activity
from temporalio.client import Client
from temporalio.contrib.opentelemetry import TracingInterceptor
from temporalio.worker import Worker

import outbox
from consumers.bridge.route import on, park, record
from consumers.replay.selection import Selection
from consumers.replay.source import KafkaSource
from consumers.runtime.record import ConsumedRecord
from infra.discreet_spans import DiscreetExporter
from infra.migrations import migrate
from infra.tracing import context_of
from outbox import Outbox
from schemas.event import Event
from schemas.events import OrderConfirmed, OrderLine, OrderSubmitted, PickCompleted
from tests.bridge_support import NOW, World, picked
from tests.outbox_support import relay_to_kafka, running
from tests.traced_workflow import PICKED, Traced, traced
from tests.waiting import until
from workflows.dedupe import DedupeSignals
from workflows.worker import sandbox


class Walk:
    """Everything that a trace goes through, and the spans that it left."""

    def __init__(self, world: World, dsn: str) -> None:
        self.world = world
        self.dsn = dsn
        self._exporter = InMemorySpanExporter()
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(DiscreetExporter(self._exporter)))
        self.tracer: Tracer = provider.get_tracer("tests")
        self._outbox = Outbox(world.codec)

    async def write(self, event: Event) -> None:
        """Append ``event`` in a transaction, as the services do, for the topic of the test."""
        connection = await asyncpg.connect(self.dsn)
        try:
            async with connection.transaction():
                event_id = await self._outbox.append(connection, event, source="/tests", version=None)
                await connection.execute(
                    "UPDATE outbox.events SET topic = $1 WHERE event_id = $2", self.world.topic, event_id
                )
        finally:
            await connection.close()

    @activity.defn(name="publish")
    async def publish(self, order_id: str) -> None:
        """What the emit activities do."""
        await self.write(OrderConfirmed(order_id=order_id, confirmed_at=NOW))

    async def record_of(self, event: type[Event]) -> ConsumedRecord:
        """The record of ``event`` in the topic, once it is there."""
        found: list[ConsumedRecord] = []

        async def there() -> bool:
            source = KafkaSource(self.world.settings.kafka)
            async for batch in source.read(Selection(topic=self.world.topic)):
                found.extend(record for record in batch if record.header("ce_type") == event.TYPE)
            return bool(found)

        await until(there)
        return found[0]

    def spans(self) -> list[ReadableSpan]:
        """What was traced so far, in the order of their ends."""
        return list(self._exporter.get_finished_spans())

    def span(self, name: str) -> ReadableSpan:
        """The one span of this name."""
        (found,) = [span for span in self.spans() if span.name == name]
        return found

    def ancestors(self, span: ReadableSpan) -> list[str]:
        """The names from ``span`` up to where its trace began."""
        by_id = {identity_of(each)[1]: each for each in self.spans()}
        names = [span.name]
        while span.parent is not None:
            span = by_id[span.parent.span_id]
            names.append(span.name)
        return names


def identity_of(span: ReadableSpan) -> tuple[int, int]:
    """The ids of its trace and of itself."""
    assert span.context is not None
    return span.context.trace_id, span.context.span_id


def traceparent_of(span: ReadableSpan) -> str:
    """What a record says that was written inside ``span``."""
    assert span.context is not None
    trace_id, span_id = identity_of(span)
    return f"00-{trace_id:032x}-{span_id:016x}-{span.context.trace_flags:02x}"


@pytest_asyncio.fixture(loop_scope="session")
async def walk(bridge_surroundings: World, postgres_dsn: str) -> Walk:
    """A world with an outbox in its database."""
    await asyncio.to_thread(migrate, postgres_dsn, [outbox.MIGRATIONS])
    return Walk(bridge_surroundings, postgres_dsn)


def submitted(order_id: str) -> OrderSubmitted:
    """An order of one line."""
    line = OrderLine(sku="A-1", quantity=1, unit_price=Decimal("1.00"), discount=Decimal(0))
    return OrderSubmitted(
        order_id=order_id,
        request_id=order_id,
        customer_id="c-1",
        currency="EUR",
        ordered_at=NOW,
        lines=(line,),
    )


async def test_one_trace_from_the_writer_to_the_event_that_comes_of_it(
    walk: Walk, bootstrap_servers: str, temporal_address: str, unique: str
) -> None:
    """Writer, relay, Kafka, bridge, start, activity, outbox, relay: each the child of the one before. A signal goes on
    from its own writer, who goes on from the record; the workflow's span of it links to the bridge's."""
    world, order_id = walk.world, f"o-{unique}"
    routes = [
        on(OrderSubmitted).start(traced(unique)),
        on(PickCompleted).signal(PICKED).to("traced-{order_id}", early=park(minutes=5), late=record),
    ]
    client = await Client.connect(temporal_address, interceptors=[TracingInterceptor(walk.tracer)])
    async with (
        running(relay_to_kafka([walk.dsn], bootstrap_servers)),
        world.bridge(routes, spans=walk.tracer),
        Worker(
            client,
            task_queue=unique,
            workflows=[Traced],
            activities=[walk.publish],
            plugins=[DedupeSignals()],
            workflow_runner=sandbox(strict=True),
        ),
    ):
        with walk.tracer.start_as_current_span("submit"):
            await walk.write(submitted(order_id))
        first = await walk.record_of(OrderSubmitted)
        with walk.tracer.start_as_current_span("pick", context=context_of(first.header("traceparent"))):
            await walk.write(picked(order_id))
        await until(lambda: any(span.name == "SignalWorkflow:PickCompleted" for span in walk.spans()))
        await client.get_workflow_handle(f"traced-{order_id}").result()
        emitted = await walk.record_of(OrderConfirmed)
        signalled = await walk.record_of(PickCompleted)
        await until(lambda: "CompleteWorkflow:Traced" in [span.name for span in walk.spans()])

    submit, pick, run = walk.span("submit"), walk.span("pick"), walk.span("RunActivity:publish")
    process = f"process {world.topic}"
    assert first.header("traceparent") == traceparent_of(submit)
    assert signalled.header("traceparent") == traceparent_of(pick)
    assert emitted.header("traceparent") == traceparent_of(run)
    assert walk.ancestors(run) == [
        "RunActivity:publish",
        "StartActivity:publish",
        "StartWorkflow:Traced",
        process,
        "submit",
    ]
    sent, handled = walk.span("SignalWorkflow:PickCompleted"), walk.span("HandleSignal:PickCompleted")
    assert walk.ancestors(sent) == ["SignalWorkflow:PickCompleted", process, "pick", "submit"]
    assert [link.context.span_id for link in handled.links] == [identity_of(sent)[1]]
    assert {identity_of(span)[0] for span in walk.spans()} == {identity_of(submit)[0]}

    processed = [span for span in walk.spans() if span.name == process]
    assert [span.kind for span in processed] == [SpanKind.CONSUMER] * 2
    assert dict(processed[1].attributes or {}) == {
        "messaging.system": "kafka",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.name": world.topic,
        "messaging.destination.partition.id": "0",
        "messaging.kafka.offset": signalled.offset,
        "cloudevents.event_type": PickCompleted.TYPE,
    }
    assert dict(sent.attributes or {})["tidegate.answer"] == "accepted"
