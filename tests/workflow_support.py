"""The workflows with fakes at the activity boundary: orchestration without the services' own rules.

The services have tests of their own; here it matters what the workflows ask of them, in which order, and what
they do with the answers.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import inspect
import pkgutil
import secrets
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

from google.protobuf.duration_pb2 import Duration
from temporalio import activity
from temporalio.api.common.v1 import Header, Payloads, WorkflowExecution
from temporalio.api.workflowservice.v1 import RegisterNamespaceRequest, SignalWorkflowExecutionRequest
from temporalio.client import Client, WorkflowHandle
from temporalio.common import RawValue, WorkflowIDReusePolicy
from temporalio.exceptions import ApplicationError
from temporalio.testing import WorkflowEnvironment

from infra.clients.search_attributes import ensure_search_attributes
from infra.ids import order_id_of
from tests.skipping import SkippingServers
from tests.waiting import until
from workflows.activities import contracts as package
from workflows.activities.contracts import cart, checkout, payment, returns
from workflows.activities.contracts import orders as contracts
from workflows.activities.contracts.base import ActivityContract
from workflows.activities.contracts.orders import AllocationResult
from workflows.contracts.base import EVENT_ID_HEADER
from workflows.contracts.orders import (
    GET_FULFILLMENT_STATUS,
    ORDER_FULFILLMENT,
    ORDER_INTAKE,
    FulfillmentRequest,
    FulfillmentStatus,
    OrderIntakeRequest,
    OrderLineInput,
)
from workflows.visibility import SEARCH_ATTRIBUTES
from workflows.worker import WORKFLOWS, WorkerLimits, build_worker

Answer = Callable[[Any], Any]

ACTIVITIES: Sequence[ActivityContract[Any, Any]] = [
    value for value in vars(contracts).values() if isinstance(value, ActivityContract)
]
"""The activities of an order's intake and fulfillment."""


def every_activity() -> dict[str, ActivityContract[Any, Any]]:
    """Every activity there is, by its name; one that several processes ask for is there once."""
    modules = (
        importlib.import_module(f"{package.__name__}.{module.name}")
        for module in pkgutil.iter_modules(package.__path__)
    )
    return {
        value.name: value
        for module in modules
        for value in vars(module).values()
        if isinstance(value, ActivityContract)
    }


def illegal() -> ApplicationError:
    """What an activity raises where the service's state machine says no."""
    return ApplicationError("no such transition", type="IllegalTransitionError", non_retryable=True)


class FakeContexts:
    """The contexts as workflows see them: they note what they are asked, and answer as told.

    What is asked is kept by its subject: the order that the argument is about, or where it names none, the
    cart, return or item.
    """

    def __init__(self) -> None:
        self.asked: dict[str, list[str]] = defaultdict(list)
        self.arguments: dict[str, list[Any]] = defaultdict(list)
        self._answers: dict[tuple[str, str], Answer] = {}

    def answer(self, order_id: str, contract: ActivityContract[Any, Any], answer: Answer) -> None:
        """Have ``contract`` give, await or raise what ``answer(argument)`` does, for one order."""
        self._answers[order_id, contract.name] = answer

    def default(self, contract: ActivityContract[Any, Any]) -> Answer | None:
        """What ``contract`` answers where nobody has told it otherwise."""
        return _DEFAULTS.get(contract.name)

    def hold(self, subject: str, contract: ActivityContract[Any, Any]) -> asyncio.Event:
        """Have ``contract`` be under way, for one subject, until the event is set; it then answers as always."""
        may_go_on = asyncio.Event()

        async def answer(argument: Any) -> Any:
            await may_go_on.wait()
            usual = _DEFAULTS.get(contract.name)
            return usual(argument) if usual else None

        self.answer(subject, contract, answer)
        return may_go_on

    def effects(self, order_id: str) -> list[str]:
        """The activities that have succeeded for the order, in order."""
        return self.asked[order_id]

    def implementations(self, queue: str) -> list[Callable[..., Any]]:
        """The activities of one queue."""
        return [
            self._implementation(contract)
            for contract in every_activity().values()
            if contract.queue == queue
        ]

    def _implementation(self, contract: ActivityContract[Any, Any]) -> Callable[..., Any]:
        async def run(argument: Any) -> Any:
            subject = _subject_of(argument)
            self.arguments[subject].append((contract.name, argument))
            answer = self._answers.get((subject, contract.name), _DEFAULTS.get(contract.name))
            result = answer(argument) if answer else None
            if inspect.isawaitable(result):
                result = await result
            self.asked[subject].append(contract.name)
            return result

        run.__annotations__ = {"argument": contract.input, "return": contract.output}
        return activity.defn(name=contract.name)(run)


def _subject_of(argument: Any) -> str:
    for name in ("order_id", "cart_id", "return_id", "sku"):
        if subject := getattr(argument, name, None):
            return str(subject)
    names = (field.name for field in fields(argument)) if is_dataclass(argument) else ()
    return next((str(getattr(argument, name)) for name in names if name.endswith("_id")), "")


_DEFAULTS: dict[str, Answer] = {
    contracts.CREATE_ORDER.name: lambda request: request.order_id,
    contracts.EMIT_ORDER_EVENT.name: lambda _: True,
    contracts.ALLOCATE_INVENTORY.name: lambda _: AllocationResult("ALLOCATED"),
    contracts.CREATE_PICK_WAVE.name: lambda order: f"wave-of-{order.order_id}",
    contracts.CREATE_SHIPMENT.name: lambda order: f"shipment-of-{order.order_id}",
    contracts.GENERATE_SHIPPING_LABEL.name: lambda order: f"label-of-{order.order_id}",
    checkout.VALIDATE_CHECKOUT.name: lambda request: checkout.CheckoutTotal("3.17", request.currency),
    payment.AUTHORIZE_PAYMENT.name: lambda request: f"payment-of-{request.order_id}",
    payment.FAIL_PAYMENT.name: lambda _: "FAILED",
    payment.REFUND_PAYMENT.name: lambda refund: refund.amount or "3.17",
    returns.CHECK_RETURN_POLICY.name: lambda _: returns.PolicyVerdict(accepted=True),
    returns.GENERATE_RETURN_LABEL.name: lambda one: f"label-of-{one.return_id}",
    returns.ASSESS_RETURN.name: lambda _: returns.ReturnSettlement(
        "3.00", 2, (returns.ReturnedPieces("bolt", 2),)
    ),
    cart.HAND_OVER_CART.name: lambda one: f"checkout-of-{one.cart_id}",
    cart.ABANDON_CART.name: lambda _: "ABANDONED",
}


class World:
    """Workflows that run, and the contexts they talk to."""

    def __init__(self, client: Client, contexts: FakeContexts, environment: WorkflowEnvironment) -> None:
        self.client = client
        self.contexts = contexts
        self.environment = environment

    async def fulfil(self, order_id: str) -> WorkflowHandle[Any, str]:
        """Start the fulfillment of an order."""
        return await self.client.start_workflow(
            ORDER_FULFILLMENT.name,
            FulfillmentRequest(order_id),
            id=ORDER_FULFILLMENT.workflow_id(order_id=order_id),
            task_queue=ORDER_FULFILLMENT.queue,
            id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
            result_type=str,
        )

    async def take_in(
        self, request: OrderIntakeRequest | RawValue, request_id: str
    ) -> WorkflowHandle[Any, str]:
        """Start the intake of a submission."""
        return await self.client.start_workflow(
            ORDER_INTAKE.name,
            request,
            id=ORDER_INTAKE.workflow_id(request_id=request_id),
            task_queue=ORDER_INTAKE.queue,
            id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
            result_type=str,
        )


def submission(request_id: str) -> OrderIntakeRequest:
    """A submission of two lines."""
    return OrderIntakeRequest(
        order_id=order_id_of(request_id),
        request_id=request_id,
        customer_id="customer-1",
        currency="EUR",
        ordered_at="2026-11-21T10:00:00Z",
        lines=(OrderLineInput("bolt", 2, "1.50"), OrderLineInput("nut", 1, "0.20", "0.15")),
    )


@contextlib.asynccontextmanager
async def new_namespace(address: str) -> AsyncIterator[World]:
    """A world without workers yet, in a new namespace of a real server.

    A namespace of its own: the queues have the names that the whole loop uses, and a test of that may have
    left workflows behind.
    """
    namespace = f"fakes-{secrets.token_hex(4)}"
    client = await Client.connect(address)
    await client.workflow_service.register_namespace(
        RegisterNamespaceRequest(
            namespace=namespace, workflow_execution_retention_period=Duration(seconds=24 * 3600)
        )
    )
    environment = WorkflowEnvironment.from_client(await Client.connect(address, namespace=namespace))
    await ensure_search_attributes(environment.client, SEARCH_ATTRIBUTES)
    yield World(environment.client, FakeContexts(), environment)


@contextlib.asynccontextmanager
async def real_world(address: str, limits: WorkerLimits | None = None) -> AsyncIterator[World]:
    """All workers, with fakes for the contexts, in a new namespace of a real server."""
    async with (
        new_namespace(address) as empty,
        running_world(empty.client, empty.environment, limits) as world,
    ):
        yield world


@contextlib.asynccontextmanager
async def skipping_world(
    servers: SkippingServers, limits: WorkerLimits | None = None
) -> AsyncIterator[World]:
    """All workers, with fakes for the contexts, on a server whose clock nobody else skips.

    For one test: workflows that are left open on such a server hold its clock.
    """
    async with servers.lend() as clock, running_world(clock.client, clock.environment, limits) as world:
        yield world


@contextlib.asynccontextmanager
async def running_world(
    client: Client, environment: WorkflowEnvironment, limits: WorkerLimits | None = None
) -> AsyncIterator[World]:
    """All workers, with fakes for the contexts, in the namespace of ``client`` on the server of ``environment``."""
    contexts = FakeContexts()
    if not environment.supports_time_skipping:  # that server lists none; `SkippingServers` adds them
        await ensure_search_attributes(client, SEARCH_ATTRIBUTES)
    async with contextlib.AsyncExitStack() as workers:
        for queue in sorted({*WORKFLOWS, *(contract.queue for contract in every_activity().values())}):
            worker = build_worker(
                client,
                queue,
                activities=contexts.implementations(queue),
                limits=limits,
                strict=True,
            )
            await workers.enter_async_context(worker)
        yield World(client, contexts, environment)


async def status_of(handle: WorkflowHandle[Any, Any]) -> FulfillmentStatus:
    """What ``getFulfillmentStatus`` answers."""
    status: FulfillmentStatus = await handle.query(GET_FULFILLMENT_STATUS, result_type=FulfillmentStatus)
    return status


async def reached(handle: WorkflowHandle[Any, Any], state: str) -> None:
    """Return once the fulfillment is in ``state``."""

    async def is_there() -> bool:
        return (await status_of(handle)).state == state

    await until(is_there, what=f"{handle.id} is {state}")


async def asked(
    contexts: FakeContexts, order_id: str, contract: ActivityContract[Any, Any], times: int = 1
) -> None:
    """Return once ``contract`` has been tried ``times`` times for the order, whatever came of it."""

    def tried() -> bool:
        return [name for name, _ in contexts.arguments[order_id]].count(contract.name) >= times

    await until(tried, what=f"{contract.name} tried {times} times")


async def signal_as_event(
    client: Client, workflow_id: str, signal: str, event_id: str, request_id: str, *arguments: Any
) -> None:
    """Signal as the bridge does: the event's id in the header, and a request id of the sender's choice."""
    header = (await client.data_converter.encode([event_id]))[0]
    await client.workflow_service.signal_workflow_execution(
        SignalWorkflowExecutionRequest(
            namespace=client.namespace,
            workflow_execution=WorkflowExecution(workflow_id=workflow_id),
            signal_name=signal,
            input=Payloads(payloads=await client.data_converter.encode(arguments)),
            header=Header(fields={EVENT_ID_HEADER: header}),
            request_id=request_id,
            identity="bridge",
        ),
        retry=True,
    )
