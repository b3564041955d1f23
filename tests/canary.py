"""Looking for a text everywhere that a run leaves something: topics, Temporal, logs, metrics."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import (
    GetWorkflowExecutionHistoryRequest,
    ListWorkflowExecutionsRequest,
)

from infra.clients.kafka import aiokafka_options
from infra.clients.temporal import connect
from infra.settings import KafkaSettings, Settings, TemporalSettings

Place = tuple[str, int, int]
"""Topic, partition, offset."""


async def places_of(settings: Settings, needle: str, *, but: Collection[Place] = ()) -> list[str]:
    """Where ``needle`` stands in clear.

    Looked at: value, key and headers of every record but those at ``but``; histories, workflow ids and search
    attributes; the logs of the processes.
    """
    return [
        *await _in_topics(settings.kafka, needle.encode(), set(but)),
        *await _in_temporal(settings.temporal, needle.encode()),
        *_in_logs(settings.home / "logs", needle.encode()),
    ]


async def _in_topics(settings: KafkaSettings, needle: bytes, but: set[Place]) -> list[str]:
    options = aiokafka_options(settings)
    admin = AIOKafkaAdminClient(**options)
    await admin.start()
    try:
        names = sorted(await admin.list_topics())
    finally:
        await admin.close()
    consumer: Any = AIOKafkaConsumer(**options, auto_offset_reset="earliest")
    await consumer.start()
    found = []
    try:
        places = [
            TopicPartition(name, number)
            for name in names
            for number in sorted(await _partitions(consumer, name))
        ]
        consumer.assign(places)
        await consumer.seek_to_beginning(*places)
        ends = await consumer.end_offsets(places)
        for place in places:
            while await consumer.position(place) < ends[place]:
                for records in (await consumer.getmany(place, timeout_ms=500)).values():
                    for record in records:
                        where = (record.topic, record.partition, record.offset)
                        parts = {"key": record.key, "value": record.value, **dict(record.headers)}
                        found += [
                            f"topic {where} {part}"
                            for part, content in parts.items()
                            if content is not None and needle in content and where not in but
                        ]
    finally:
        await consumer.stop()
    return found


async def _partitions(consumer: Any, topic: str) -> set[int]:
    await consumer._client._wait_on_metadata(topic)
    return consumer.partitions_for_topic(topic) or set()


async def _in_temporal(settings: TemporalSettings, needle: bytes) -> list[str]:
    client = await connect(settings)
    service = client.workflow_service
    found = []
    page = b""
    while True:
        answer = await service.list_workflow_executions(
            ListWorkflowExecutionsRequest(namespace=client.namespace, page_size=200, next_page_token=page)
        )
        for workflow in answer.executions:
            name = workflow.execution.workflow_id
            if needle in workflow.SerializeToString():
                found.append(f"the list entry of workflow {name}")
            found += [
                f"history of {name}, event {event.event_id}"
                for event in await _history(client, workflow.execution)
                if needle in event.SerializeToString()
            ]
        page = answer.next_page_token
        if not page:
            return found


async def _history(client: Any, execution: WorkflowExecution) -> list[Any]:
    events: list[Any] = []
    page = b""
    while True:
        answer = await client.workflow_service.get_workflow_execution_history(
            GetWorkflowExecutionHistoryRequest(
                namespace=client.namespace, execution=execution, next_page_token=page
            )
        )
        events += answer.history.events
        page = answer.next_page_token
        if not page:
            return events


def _in_logs(folder: Path, needle: bytes) -> list[str]:
    return [
        f"log {path.name}, line {number}"
        for path in sorted(folder.glob("*.log"))
        for number, line in enumerate(path.read_bytes().splitlines(), 1)
        if needle in line
    ]
