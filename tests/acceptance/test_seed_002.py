"""Seed 002, "Temporal Workflows Architecture", heading by heading: orders and payments.

Each test names the heading that it holds the code to. ``SecurityScanWorkflow`` belongs to the platform and has its
row when that has its workflow. How payments behave in time stands in ``tests/integration/test_payment_*.py``.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from temporalio import workflow as temporal_workflow
from temporalio.exceptions import ApplicationError

from infra.settings import Settings
from services.payments.breaker import GuardedProvider
from tests.order_support import AFTER, BEFORE, PaidOrder
from tests.waiting import until
from tests.workflow_support import World, asked, real_world
from tidegate.wiring.payments import opened_provider
from workflows.activities.contracts import order as order_activities
from workflows.activities.contracts import payment as payment_activities
from workflows.activities.contracts.base import ActivityContract
from workflows.contracts.order import ORDER
from workflows.contracts.payment import PAYMENT
from workflows.counting import STARTED
from workflows.order import OrderWorkflow
from workflows.patches import PATCHES, PAYMENT_V2
from workflows.payment import PaymentWorkflow
from workflows.policies import PAYMENT_V1, STANDARD
from workflows.queues import queue_named
from workflows.worker import WORKFLOWS, worker_identity

HISTORIES = Path(__file__).parents[1] / "replay" / "histories" / "PaymentWorkflow"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def world(temporal_address: str) -> AsyncIterator[World]:
    """Workflows and fakes on a real server."""
    async with real_world(temporal_address) as running:
        yield running


def definition_of(workflow: type) -> Any:
    """What Temporal knows of a workflow class."""
    return temporal_workflow._Definition.must_from_class(workflow)


# --- Workflow Inventory -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("workflow", "name", "queue"),
    [
        (OrderWorkflow, "OrderWorkflow", "order-processing"),
        (PaymentWorkflow, "PaymentWorkflow", "payment-processing"),
    ],
)
def test_workflow_inventory(workflow: type, name: str, queue: str) -> None:
    """ "Workflow Inventory": the name on the wire, and the task queue that runs it."""
    assert definition_of(workflow).name == name
    assert workflow in WORKFLOWS[queue]
    assert {contract.name: contract.queue for contract in (ORDER, PAYMENT)}[name] == queue


async def test_end_to_end_order_fulfillment(world: World, unique: str) -> None:
    """ "Workflow Inventory: OrderWorkflow": end to end, from a created order to its delivery."""
    order = PaidOrder(world, unique)
    assert await (await order.begin()).result() == "DELIVERED"
    order.add_up()


async def test_payment_processing_with_fraud_detection(world: World, unique: str) -> None:
    """ "Workflow Inventory: PaymentWorkflow": nothing is taken that was not looked at for fraud."""
    order = PaidOrder(world, unique)
    assert await (await order.begin()).result() == "DELIVERED"
    effects = world.contexts.effects(unique)
    assert effects.index("CheckFraudV2") < effects.index("CapturePayment")


# --- Retry Policies -----------------------------------------------------------------------------------


def test_standard_configuration() -> None:
    """ "Retry Policies: Standard Configuration": 1 s, doubled, at most a minute, three attempts."""
    assert STANDARD.initial_interval == timedelta(seconds=1)
    assert STANDARD.backoff_coefficient == 2.0
    assert STANDARD.maximum_interval == timedelta(minutes=1)
    assert STANDARD.maximum_attempts == 3


@pytest.mark.parametrize(
    "contract",
    [
        order_activities.MARK_ORDER_CONFIRMED,
        order_activities.MARK_ORDER_DELIVERED,
        order_activities.SEND_CONFIRMATION,
        payment_activities.CHECK_FRAUD_V2,
        payment_activities.VALIDATE_CARD,
        payment_activities.CAPTURE_PAYMENT,
    ],
    ids=lambda contract: contract.name,
)
def test_all_workflows_use_the_standard_policy(contract: ActivityContract[Any, Any]) -> None:
    """ "Retry Policies: Standard Configuration": orders and payments, unless otherwise specified. Compensations
    are: they are tried until they have succeeded."""
    assert contract.retry is STANDARD
    for compensation in (payment_activities.VOID_AUTHORIZATION, payment_activities.REFUND_PAYMENT):
        assert compensation.retry.maximum_attempts == 0


@pytest.mark.parametrize(
    ("kind", "contract"),
    [
        ("FraudDetectedError", payment_activities.CHECK_FRAUD_V2),
        ("InsufficientFundsError", payment_activities.CAPTURE_PAYMENT),
    ],
)
async def test_errors_that_are_not_retried(
    world: World, unique: str, kind: str, contract: ActivityContract[Any, Any]
) -> None:
    """ "Retry Policies: Payment-Specific Retries": FraudDetectedError and InsufficientFundsError end it at once."""
    order = PaidOrder(world, unique)

    def refuse(_: object) -> None:
        raise ApplicationError("no", type=kind, non_retryable=True)

    world.contexts.answer(unique, contract, refuse)
    assert await (await order.begin()).result() == "FAILED"
    assert order.attempts(contract) == 1
    order.add_up()


async def test_payment_attempts(world: World, unique: str) -> None:
    """ "Retry Policies: Payment-Specific Retries": at most three attempts, the first again after 1 second."""
    order = PaidOrder(world, unique)
    order.faults["CapturePayment"] = [BEFORE] * 9
    assert await (await order.begin()).result() == "FAILED"
    assert order.attempts(payment_activities.CAPTURE_PAYMENT) == 3
    order.add_up()


async def test_payment_retries_make_no_duplicate_charges(world: World, unique: str) -> None:
    """ "Retry Policies: Payment-Specific Retries", IMPORTANT: a charge whose answer is lost is made once. That the
    provider sees one charge too, property tests and ``test_payment_commands.py`` show."""
    order = PaidOrder(world, unique)
    order.faults["CapturePayment"] = [AFTER, AFTER]
    assert await (await order.begin()).result() == "DELIVERED"
    assert order.attempts(payment_activities.CAPTURE_PAYMENT) == 3
    order.add_up()


# --- Task Queues --------------------------------------------------------------------------------------


def test_worker_configuration() -> None:
    """ "Task Queues: Worker Configuration": each queue has its own workers, and each worker an id."""
    assert worker_identity("order-processing", 1) == "order-processing-worker-1"
    assert not {*WORKFLOWS["order-processing"]} & {*WORKFLOWS["payment-processing"]}


@pytest.mark.parametrize(("queue", "replicas"), [("order-processing", 3), ("payment-processing", 2)])
def test_scaling_considerations(queue: str, replicas: int) -> None:
    """ "Task Queues: Scaling Considerations": three order workers, two payment workers are recommended."""
    assert queue_named(queue).recommended == replicas


def test_security_workers() -> None:
    """ "Task Queues: Scaling Considerations": security workers have five concurrent activities."""
    assert queue_named("security-scanning").concurrent_activities == 5


async def test_payment_workers_have_a_circuit_breaker() -> None:
    """ "Task Queues: Scaling Considerations": the provider of a payment worker stands behind a circuit breaker."""
    async with opened_provider(Settings()) as provider:
        assert isinstance(provider, GuardedProvider)


# --- Activity Patterns --------------------------------------------------------------------------------


async def test_fire_and_forget(world: World, unique: str) -> None:
    """ "Activity Patterns: Fire-and-Forget": SendConfirmation is started, and the order does not wait for it."""
    order = PaidOrder(world, unique)
    let_go = order.hold(order_activities.SEND_CONFIRMATION)
    assert await (await order.begin()).result() == "DELIVERED"
    await asked(world.contexts, unique, order_activities.SEND_CONFIRMATION)
    assert order.confirmations == 0
    let_go.set()
    await until(lambda: order.confirmations == 1)


async def test_child_workflows(world: World, unique: str) -> None:
    """ "Activity Patterns: Child Workflows": the payment is a child of the order, ``payment-{orderID}``, and its
    result is awaited."""
    order = PaidOrder(world, unique)
    take = order.hold(payment_activities.CAPTURE_PAYMENT)
    handle = await order.begin()
    await asked(world.contexts, unique, payment_activities.CAPTURE_PAYMENT)
    payment = world.client.get_workflow_handle(f"payment-{unique}")
    started = (await payment.fetch_history()).events[0].workflow_execution_started_event_attributes
    assert started.workflow_type.name == "PaymentWorkflow"
    assert started.parent_workflow_execution.workflow_id == f"order-{unique}"
    assert order.attempts(order_activities.MARK_ORDER_CONFIRMED) == 0
    take.set()
    assert await handle.result() == "DELIVERED"
    assert await payment.result() == "CAPTURED"


# --- Monitoring ---------------------------------------------------------------------------------------


def test_metrics() -> None:
    """ "Monitoring: Metrics": the one that the SDK lacks is counted under the seed's name; that all three are served
    under theirs, ``test_worker_metrics.py`` scrapes."""
    assert f"{STARTED}_total" == "temporal_workflow_started_total"


# --- Migration Notes ----------------------------------------------------------------------------------


async def test_v2_checks_fraud_and_card_at_once(world: World, unique: str) -> None:
    """ "Migration Notes: From v1 to v2": CheckFraudV2, and ValidateCard in parallel to it."""
    order = PaidOrder(world, unique)
    both = asyncio.Barrier(2)

    async def meet(_: object) -> None:
        await both.wait()

    for contract in (payment_activities.CHECK_FRAUD_V2, payment_activities.VALIDATE_CARD):
        world.contexts.answer(unique, contract, meet)
    assert await (await order.begin()).result() == "DELIVERED"
    assert "CheckFraud" not in world.contexts.effects(unique)


def test_v1_and_v2_both_live() -> None:
    """ "Migration Notes: From v1 to v2": MaxAttempts 5 → 3; histories of v1 are stored, replay (``tests/replay``), and
    name CheckFraud and five attempts."""
    assert (PAYMENT_V1.maximum_attempts, STANDARD.maximum_attempts) == (5, 3)
    assert PAYMENT_V2 in PATCHES
    v1 = json.loads((HISTORIES / "v1" / "captured.json").read_text())
    scheduled = [
        event["activityTaskScheduledEventAttributes"]
        for event in v1["events"]
        if "activityTaskScheduledEventAttributes" in event
    ]
    assert [activity["activityType"]["name"] for activity in scheduled] == ["CheckFraud", "CapturePayment"]
    assert {activity["retryPolicy"]["maximumAttempts"] for activity in scheduled} == {5}
