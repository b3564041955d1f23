"""Encrypted payloads on a real Temporal server: what it stores, and what happens where keys are missing."""

from __future__ import annotations

import base64
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import pytest
from google.protobuf.duration_pb2 import Duration
from temporalio.api.common.v1 import Payload, WorkflowExecution
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import History
from temporalio.api.workflowservice.v1 import (
    GetWorkflowExecutionHistoryRequest,
    RegisterNamespaceRequest,
)
from temporalio.client import Client, WorkflowFailureError, WorkflowHandle
from temporalio.exceptions import ApplicationError
from temporalio.testing import WorkflowEnvironment

from consumers.bridge.routes import ROUTES
from consumers.bridge.temporal import Delivery, TemporalGateway
from infra.clients.codec import ENCODING, KEY_ID
from infra.clients.search_attributes import ensure_search_attributes
from infra.clients.temporal import connect
from infra.errors import PayloadRefusedError
from infra.secrets import Secret
from infra.settings import TemporalSettings
from tests.waiting import until
from tests.workflow_support import World, reached, running_world, status_of
from workflows.activities.contracts import orders as contracts
from workflows.visibility import SEARCH_ATTRIBUTES

CANARY = "jane.canary@example.com"
OLD = "old=" + base64.b64encode(b"o" * 32).decode()
NEW = "new=" + base64.b64encode(b"n" * 32).decode()


async def settings_of(address: str) -> TemporalSettings:
    """A new namespace, and no keys yet."""
    settings = TemporalSettings(address=address, namespace=f"sealed-{secrets.token_hex(4)}")
    client = await connect(TemporalSettings(address=address))
    await client.workflow_service.register_namespace(
        RegisterNamespaceRequest(
            namespace=settings.namespace, workflow_execution_retention_period=Duration(seconds=24 * 3600)
        )
    )
    await ensure_search_attributes(await connect(settings), SEARCH_ATTRIBUTES)
    return settings


def with_keys(settings: TemporalSettings, *keys: str, accept_plaintext: bool = False) -> TemporalSettings:
    """The same place with these keys."""
    return settings.model_copy(
        update={"payload_keys": Secret(",".join(keys)), "payload_accept_plaintext": accept_plaintext}
    )


@asynccontextmanager
async def world_of(settings: TemporalSettings) -> AsyncIterator[World]:
    """Workers as ``settings`` say, with fakes for the contexts."""
    client = await connect(settings)
    async with running_world(client, WorkflowEnvironment.from_client(client)) as world:
        yield world


async def history_of(client: Client, workflow_id: str) -> History:
    """The history as the server has it, nothing decoded."""
    answer = await client.workflow_service.get_workflow_execution_history(
        GetWorkflowExecutionHistoryRequest(
            namespace=client.namespace, execution=WorkflowExecution(workflow_id=workflow_id)
        )
    )
    return answer.history


def payloads_in(message: Any) -> list[Payload]:
    """Every payload anywhere in ``message``, but for headers and the SDK's own markers."""
    found: list[Payload] = []
    for field, value in message.ListFields():
        if field.message_type is None or field.name in {"header", "search_attributes"}:
            continue
        if (
            message.DESCRIPTOR.name == "MarkerRecordedEventAttributes"
        ):  # the name of a patch, written by the SDK's core
            continue
        repeated = value.values() if hasattr(value, "values") else value
        for part in repeated if field.is_repeated or hasattr(value, "values") else [value]:
            if isinstance(part, Payload):
                found.append(part)
            elif hasattr(part, "ListFields"):
                found += payloads_in(part)
    return found


def delivery(event: str, workflow_id: str, **argument: Any) -> Delivery:
    """What the bridge makes of the first route of ``event``."""
    route = next(route for route in ROUTES if route.event.endswith(f".{event}"))
    return Delivery(uuid4(), route, workflow_id, argument)


async def tasks_failed(client: Client, handle: WorkflowHandle[Any, Any]) -> bool:
    """Whether a task of the workflow has failed."""
    history = await history_of(client, handle.id)
    return any(
        event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED
        and "PayloadRefusedError" in str(event.workflow_task_failed_event_attributes.failure)
        for event in history.events
    )


async def test_temporal_stores_nothing_that_can_be_read(temporal_address: str, unique: str) -> None:
    """Started and signalled by the bridge, answered by activities, failed with a message: every payload in the history
    is sealed with the newest key, and the clear text is in none of its bytes; who has the key reads all of it."""
    settings = with_keys(await settings_of(temporal_address), NEW, OLD)
    async with world_of(settings) as world:
        told = [ApplicationError(f"no label for {CANARY}")]

        def label(_: Any) -> str:
            if told:
                raise told.pop()
            return CANARY

        world.contexts.answer(unique, contracts.GENERATE_SHIPPING_LABEL, label)
        gateway = TemporalGateway(world.client)
        handle = await world.fulfil(unique)
        for event in ("PickCompleted", "PackCompleted"):
            await gateway.deliver(delivery(event, handle.id, order_id=unique, note=CANARY))
        assert await handle.result() == "SHIPPED"
        assert (await status_of(handle)).state == "SHIPPED"
        history = await history_of(world.client, handle.id)
        payloads = payloads_in(history)
        assert len(payloads) > 15
        assert {payload.metadata["encoding"] for payload in payloads} == {ENCODING}
        assert {payload.metadata[KEY_ID] for payload in payloads} == {b"new"}
        assert CANARY.encode() not in history.SerializeToString()


async def test_the_message_of_a_failure_is_sealed(temporal_address: str, unique: str) -> None:
    """A workflow that fails tells the server only the type of its error; a client with the key reads the message."""
    settings = with_keys(await settings_of(temporal_address), NEW)
    async with world_of(settings) as world:

        def refuse(_: Any) -> None:
            raise ApplicationError(f"unknown: {CANARY}", type="InvalidOrderError", non_retryable=True)

        world.contexts.answer(unique, contracts.VALIDATE_ORDER, refuse)
        gateway = TemporalGateway(world.client)
        start = delivery(
            "OrderSubmitted", f"order-intake-{unique}", order_id=unique, request_id=unique, currency="EUR",
            customer_id=CANARY, ordered_at="2026-11-21T10:00:00Z",
            lines=[{"sku": "bolt", "quantity": 1, "unit_price": "1.00", "discount": "0"}],
        )  # fmt: skip
        await gateway.deliver(start)
        handle = world.client.get_workflow_handle(start.workflow_id)
        with pytest.raises(WorkflowFailureError) as failed:
            await handle.result()
        causes = []
        cause: BaseException | None = failed.value
        while cause is not None:
            causes.append(str(cause))
            cause = cause.__cause__
        assert any(CANARY in text for text in causes)
        stored = (await history_of(world.client, handle.id)).SerializeToString()
        assert CANARY.encode() not in stored
        assert b"Encoded failure" in stored
        assert b"InvalidOrderError" in stored


async def test_keys_rotate_under_a_running_workflow(temporal_address: str, unique: str) -> None:
    """A workflow begun under the old key goes on under a ring of both, and what is new is sealed with the new one."""
    settings = await settings_of(temporal_address)
    async with world_of(with_keys(settings, OLD)) as world:
        handle = await world.fulfil(unique)
        await reached(handle, "WAITING_FOR_PICK")
    async with world_of(with_keys(settings, NEW, OLD)) as world:
        after = world.client.get_workflow_handle(handle.id, result_type=str)
        for event in ("PickCompleted", "PackCompleted"):
            await TemporalGateway(world.client).deliver(delivery(event, handle.id, order_id=unique))
        assert await after.result() == "SHIPPED"
        used = [
            payload.metadata[KEY_ID] for payload in payloads_in(await history_of(world.client, handle.id))
        ]
    assert used[0] == b"old"
    assert used[-1] == b"new"


async def test_a_worker_without_the_key_loses_nothing(temporal_address: str, unique: str) -> None:
    """A sealed signal that meets a worker without keys is not dropped as unreadable: the task fails, and a worker that
    has the key goes on with it."""
    settings = await settings_of(temporal_address)
    sealed = with_keys(settings, NEW, accept_plaintext=True)
    async with world_of(settings) as world:
        handle = await world.fulfil(unique)
        await reached(handle, "WAITING_FOR_PICK")
        bridge = TemporalGateway(await connect(sealed))
        await bridge.deliver(delivery("PickCompleted", handle.id, order_id=unique))
        await until(lambda: tasks_failed(world.client, handle))
    async with world_of(sealed) as world:
        with_key = world.client.get_workflow_handle(handle.id, result_type=str)
        await reached(with_key, "WAITING_FOR_PACK")
        assert (await status_of(with_key)).signal_failures == ()


async def test_plaintext_is_refused_until_a_rollover_is_switched_on(
    temporal_address: str, unique: str
) -> None:
    """A workflow begun before there were keys stands still under a worker with keys, and goes on once it accepts
    plaintext; a client with keys refuses a plain result, one without keys a sealed one."""
    settings = await settings_of(temporal_address)
    async with world_of(settings) as world:
        handle = await world.fulfil(unique)
        await reached(handle, "WAITING_FOR_PICK")
    plain = TemporalGateway(await connect(settings))
    async with world_of(with_keys(settings, NEW)) as world:
        await plain.deliver(delivery("PickCompleted", handle.id, order_id=unique))
        await until(lambda: tasks_failed(world.client, handle))
    async with world_of(with_keys(settings, NEW, accept_plaintext=True)) as world:
        await plain.deliver(delivery("PackCompleted", handle.id, order_id=unique))
        assert await world.client.get_workflow_handle(handle.id).result() == "SHIPPED"
    with pytest.raises(PayloadRefusedError, match="has no keys"):
        await (await connect(settings)).get_workflow_handle(handle.id).result()


async def test_who_lacks_the_key_cannot_forge_a_signal(temporal_address: str, unique: str) -> None:
    """Whoever can reach Temporal but has no key cannot make a workflow believe that it was picked."""
    settings = await settings_of(temporal_address)
    stranger = with_keys(settings, "new=" + base64.b64encode(b"w" * 32).decode())
    async with world_of(with_keys(settings, NEW)) as world:
        handle = await world.fulfil(unique)
        await reached(handle, "WAITING_FOR_PICK")
        forged = delivery("PickCompleted", handle.id, order_id=unique)
        await TemporalGateway(await connect(stranger)).deliver(forged)
        await until(lambda: tasks_failed(world.client, handle))
        assert contracts.CONSUME_INVENTORY.name not in world.contexts.effects(unique)
