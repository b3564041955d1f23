"""Seed 000, "Durable Workflows with Temporal", heading by heading: names, ids, queues, signals, retries, clocks.

Each test names the heading that it holds the code to; where the seed gives no name, design §7 does. How a checkout
behaves in time stands in ``tests/integration/test_checkout_*.py``, under faults in
``tests/faults/test_checkout_faults.py``; how each partial state is found and resumed, in
``tests/integration/test_reconciliation_scans.py``.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import fields
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from pydantic import BaseModel
from temporalio import workflow as temporal_workflow
from temporalio.client import ScheduleOverlapPolicy
from temporalio.exceptions import WorkflowAlreadyStartedError

import services.reconciliation
from consumers.bridge.routes import ROUTES
from infra.secrets import sources
from infra.settings import (
    CostsSettings,
    KafkaSettings,
    PostgresSettings,
    RegistrySettings,
    TemporalSettings,
)
from schemas.events import (
    CheckoutRequested,
    CostAlert,
    FraudDecided,
    ManualReviewDecided,
    ReconciliationAlert,
    ReturnInspected,
    ReturnReceived,
    ReturnRequested,
)
from services.reconciliation import GRACE, Kind
from tests.checkout_support import FORWARD, UNDONE, at, check_out, decide, order_of, review, snapshot_of
from tests.return_support import begin_return, inspected, parcel_came, return_reached
from tests.workflow_support import World, every_activity, real_world
from tidegate import schedules
from workflows import policies
from workflows.activities.contracts import checkout as activities
from workflows.activities.contracts import payment as payments
from workflows.activities.contracts import reconciliation as reconciliations
from workflows.activities.contracts import returns as return_activities
from workflows.checkout import CheckoutWorkflow
from workflows.contracts.base import ORDER_PROCESSING_QUEUE
from workflows.contracts.checkout import (
    CHECKOUT,
    FRAUD_DECISION,
    GET_SNAPSHOT,
    MANUAL_REVIEW_DECISION,
    CheckoutRequest,
    CheckoutSnapshot,
)
from workflows.contracts.order import ORDER
from workflows.contracts.reconciliation import COST_WATCH, RECONCILIATION
from workflows.contracts.returns import RETURN
from workflows.determinism import check_source
from workflows.reconciliation import CostWatchWorkflow, ReconciliationWorkflow
from workflows.returns import ReturnWorkflow
from workflows.worker import WORKFLOWS, Deployment

ROOT = Path(__file__).parents[2]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def world(temporal_address: str) -> AsyncIterator[World]:
    """Workflows and fakes on a real server."""
    async with real_world(temporal_address) as running:
        yield running


def definition_of(workflow: type) -> Any:
    """What Temporal knows of a workflow class."""
    return temporal_workflow._Definition.must_from_class(workflow)


CHECKOUT_STEPS = (
    activities.VALIDATE_CHECKOUT,
    payments.AUTHORIZE_PAYMENT,
    activities.CREATE_ORDER,
    activities.EMIT_ORDER_EVENT,
    activities.REQUEST_FRAUD_CHECK,
)
"""What a checkout asks for on its way forward."""


# --- Requirements, Decision -----------------------------------------------------------------------------


def test_checkout_identity() -> None:
    """ "Architecture": checkoutWorkflow; id and queue as design §7 says."""
    assert definition_of(CheckoutWorkflow).name == CHECKOUT.name == "CheckoutWorkflow"
    assert CHECKOUT.workflow_id(checkout_id="c-1") == "checkout-c-1"
    assert CHECKOUT.queue == ORDER_PROCESSING_QUEUE == "order-processing"
    assert CheckoutWorkflow in WORKFLOWS["order-processing"]


def test_signals_for_async_gates() -> None:
    """ "Requirements 3": signals for the gates: ``fraudDecision`` and, for a review, ``manualReviewDecision``."""
    assert (FRAUD_DECISION.name, MANUAL_REVIEW_DECISION.name) == ("fraudDecision", "manualReviewDecision")
    assert set(definition_of(CheckoutWorkflow).signals) == {"fraudDecision", "manualReviewDecision"}


def test_gates_are_passed_through_kafka() -> None:
    """ "Architecture": started and signalled from outside: by events, each to the one workflow of its checkout."""
    routes = {route.event: route for route in ROUTES}
    start = routes[CheckoutRequested.TYPE]
    assert (start.action, start.target, start.template) == (
        "start",
        "CheckoutWorkflow",
        "checkout-{checkout_id}",
    )
    for event, signal in ((FraudDecided, "fraudDecision"), (ManualReviewDecided, "manualReviewDecision")):
        route = routes[event.TYPE]
        assert (route.action, route.target, route.template) == ("signal", signal, "checkout-{checkout_id}")
        assert route.early is not None
        assert route.early.patience == timedelta(hours=1)


# --- Architecture ---------------------------------------------------------------------------------------


async def test_checkout_steps(world: World, unique: str) -> None:
    """ "Architecture": validate, authorize, createOrder; signal(fraudDecision); the order begins on approval."""
    handle = await check_out(world, unique)
    assert (await at(handle, "AWAITING_FRAUD_DECISION")).step == "Wait for Fraud Decision"
    order_id = order_of(unique)
    assert world.contexts.effects(order_id) == FORWARD == [contract.name for contract in CHECKOUT_STEPS]
    order = world.client.get_workflow_handle(ORDER.workflow_id(order_id=order_id))
    await decide(handle, "approved")
    assert await handle.result() == "COMPLETED"
    started = (await order.fetch_history()).events[0].workflow_execution_started_event_attributes
    assert started.workflow_type.name == "OrderWorkflow"
    assert started.parent_workflow_execution.workflow_id == handle.id


async def test_nothing_begins_before_the_approval(world: World, unique: str) -> None:
    """ "Architecture": fulfillment *on approval*: a rejection voids the authorisation and cancels the order."""
    handle = await check_out(world, unique)
    await decide(handle, "review")
    await at(handle, "AWAITING_MANUAL_REVIEW")
    await review(handle, "rejected")
    assert await handle.result() == "REJECTED"
    assert world.contexts.effects(order_of(unique)) == [*FORWARD, *UNDONE, "RejectCheckout"]


@pytest.mark.parametrize(
    ("name", "queue"),
    [
        ("ValidateCheckout", "oms"),
        ("AuthorizePayment", "payments"),
        ("CreateOrder", "oms"),
        ("EmitOrderEvent", "oms"),
        ("RequestFraudCheck", "oms"),
        ("CompleteCheckout", "oms"),
        ("RejectCheckout", "oms"),
        ("ExpireCheckout", "oms"),
        ("WithdrawOrder", "oms"),
        ("VoidAuthorization", "payments"),
    ],
)
def test_checkout_activities(name: str, queue: str) -> None:
    """ "Architecture": each activity on the queue of the context that owns its data."""
    assert every_activity()[name].queue == queue


# --- Implementation Details -----------------------------------------------------------------------------


def test_retries() -> None:
    """ "Implementation Details": retries 200 ms → 30 s, max 7, for every step forward."""
    policy = policies.CHECKOUT
    assert (policy.initial_interval, policy.maximum_interval) == (
        timedelta(milliseconds=200),
        timedelta(seconds=30),
    )
    assert (policy.backoff_coefficient, policy.maximum_attempts) == (2.0, 7)
    for contract in CHECKOUT_STEPS:
        assert contract.retry is policy, contract.name


def test_what_undoes_is_tried_until_it_has_succeeded() -> None:
    """ "Metrics & SLOs": no charge of a checkout that came to nothing: compensations have no last attempt."""
    for contract in (
        payments.VOID_AUTHORIZATION,
        activities.WITHDRAW_ORDER,
        activities.REJECT_CHECKOUT,
        activities.EXPIRE_CHECKOUT,
        activities.COMPLETE_CHECKOUT,
    ):
        assert contract.retry.maximum_attempts == 0, contract.name


@pytest.mark.parametrize(
    "kind", ["InvalidOrderError", "IllegalTransitionError", "CardDeclinedError", "InsufficientFundsError"]
)
def test_errors_that_are_not_retried(kind: str) -> None:
    """ "Implementation Details": what no retry can mend is not retried: an invalid checkout, a declined card."""
    assert kind in (policies.CHECKOUT.non_retryable_error_types or ())


@pytest.mark.parametrize("name", sorted(every_activity()))
def test_activity_timeouts(name: str) -> None:
    """ "Implementation Details": timeouts of activities are 5 to 60 s."""
    assert timedelta(seconds=5) <= every_activity()[name].start_to_close <= timedelta(seconds=60)


def test_workflow_timeout() -> None:
    """ "Implementation Details": workflow ≈ 15 m, a timer inside; a manual review has 24 h of its own (design §7)."""
    assert timedelta(minutes=15) == policies.CHECKOUT_CLOCK
    assert timedelta(hours=24) == policies.REVIEW_CLOCK


async def test_queries_for_snapshots(world: World, unique: str) -> None:
    """ "Implementation Details": queries for snapshots: ``getSnapshot``, while it runs and after it has ended."""
    assert GET_SNAPSHOT == "getSnapshot"
    assert set(definition_of(CheckoutWorkflow).queries) == {"getSnapshot"}
    handle = await check_out(world, unique)
    waiting = await at(handle, "AWAITING_FRAUD_DECISION")
    assert (waiting.checkout_id, waiting.order_id) == (unique, order_of(unique))
    await decide(handle, "approved")
    await handle.result()
    ended = await snapshot_of(handle)
    assert (ended.state, ended.fraud_decision, ended.deadline) == ("COMPLETED", "approved", None)


def test_determinism_rules_documented_and_checked_by_ci() -> None:
    """ "Implementation Details": determinism rules documented; CI checker: part of ``make check``, and it can fail.
    That it follows every workflow's imports: ``test_determinism_static.py``."""
    assert "\n## Rules of determinism\n" in (ROOT / "docs/workflows.md").read_text()
    check = (ROOT / "Makefile").read_text().partition("\ncheck:")[2].partition("\n\n")[0]
    assert "-m workflows.determinism" in check
    assert check_source("import random\n") != []


# --- Metrics & SLOs -------------------------------------------------------------------------------------


async def test_no_duplicate_orders(world: World, unique: str) -> None:
    """ "Metrics & SLOs": no duplicate charges or orders: one checkout, one workflow, one of each step."""
    handle = await check_out(world, unique)
    with pytest.raises(WorkflowAlreadyStartedError):
        await check_out(world, unique)
    for _ in range(3):
        await decide(handle, "approved")
    assert await handle.result() == "COMPLETED"
    with pytest.raises(WorkflowAlreadyStartedError):
        await check_out(world, unique)
    effects = world.contexts.effects(order_of(unique))
    for name in ("AuthorizePayment", "CreateOrder", "CompleteCheckout"):
        assert effects.count(name) == 1, name


# --- Security -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [CheckoutRequest, CheckoutSnapshot])
def test_no_personal_data_in_payloads(kind: Any) -> None:
    """ "Security": PII not stored in payloads: references only, and the token of a card instead of its number."""
    names = {each.name for each in fields(kind)}
    assert not names & {"name", "email", "address", "phone", "card_number", "iban", "cvc"}
    assert "payment_token" not in {each.name for each in fields(CheckoutSnapshot)}


@pytest.mark.parametrize(
    ("place", "name"),
    [
        (PostgresSettings, "dsn"),
        (KafkaSettings, "sasl_password"),
        (RegistrySettings, "password"),
        (TemporalSettings, "api_key"),
        (TemporalSettings, "payload_keys"),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_worker_credentials_via_key_vault(place: type[BaseModel], name: str) -> None:
    """ "Security": worker credentials via Key Vault: each is a reference that a vault answers, and is not shown."""
    credential = getattr(place.model_validate({name: "keyvault:of-the-worker"}), name)

    class Vault:
        def read(self, of: str) -> str:
            return f"what stands under {of}"

    credential.find_in({**sources("https://vault.example"), "keyvault": Vault})
    assert credential.get_secret_value() == "what stands under of-the-worker"
    assert "of-the-worker" not in repr(credential)


# --- Title: Returns -------------------------------------------------------------------------------------


def test_return_identity() -> None:
    """ "Checkout/Fulfillment/Returns": a workflow of its own; id, queue, signals as design §7 says."""
    assert definition_of(ReturnWorkflow).name == RETURN.name == "ReturnWorkflow"
    assert RETURN.workflow_id(return_id="r-1") == "return-r-1"
    assert RETURN.queue == "order-processing"
    assert ReturnWorkflow in WORKFLOWS["order-processing"]
    assert set(definition_of(ReturnWorkflow).signals) == {"ReturnReceived", "ReturnInspected"}
    assert set(definition_of(ReturnWorkflow).queries) == {"getSnapshot"}


def test_a_return_is_started_and_told_through_kafka() -> None:
    """ "Architecture": started and signalled from outside: by events, each to the one workflow of its return."""
    routes = {route.event: route for route in ROUTES}
    start = routes[ReturnRequested.TYPE]
    assert (start.action, start.target, start.template) == ("start", "ReturnWorkflow", "return-{return_id}")
    for event, signal in ((ReturnReceived, "ReturnReceived"), (ReturnInspected, "ReturnInspected")):
        route = routes[event.TYPE]
        assert (route.action, route.target, route.template) == ("signal", signal, "return-{return_id}")
        assert route.early is not None
        assert route.early.patience == timedelta(hours=24)


async def test_return_steps(world: World, unique: str) -> None:
    """ "Checkout/Fulfillment/Returns": policy, label, parcel, inspection, refund, restock, in this order."""
    handle = await begin_return(world, unique)
    await return_reached(handle, "WAITING_FOR_PARCEL")
    assert world.contexts.effects(unique) == ["CheckReturnPolicy", "GenerateReturnLabel", "ApproveReturn"]
    await parcel_came(world, handle, unique)
    await return_reached(handle, "WAITING_FOR_INSPECTION")
    await inspected(world, handle, unique)
    assert await handle.result() == "COMPLETED"
    assert world.contexts.effects(unique)[3:] == [
        *("AssessReturn", "RefundPayment", "RestockReturn", "CompleteReturn"),
    ]


def test_return_retries_and_clocks() -> None:
    """ "Implementation Details": retries as a checkout, activities 5-60 s; design §7: 30 days, every 7 days, 72 h."""
    for contract in (
        return_activities.CHECK_RETURN_POLICY,
        return_activities.GENERATE_RETURN_LABEL,
        return_activities.APPROVE_RETURN,
        return_activities.ASSESS_RETURN,
        return_activities.RESTOCK_RETURN,
        return_activities.SEND_RETURN_REMINDER,
    ):
        assert contract.retry == policies.CHECKOUT, contract.name
        assert timedelta(seconds=5) <= contract.start_to_close <= timedelta(seconds=60), contract.name
    for last in (*return_activities.COMPENSATIONS, return_activities.REJECT_RETURN):
        assert last.retry.maximum_attempts == 0, last.name
    assert timedelta(days=30) == policies.RECEIPT_CLOCK
    assert timedelta(days=7) == policies.RECEIPT_REMINDER
    assert timedelta(hours=72) == policies.INSPECTION_CLOCK


# --- Operation: reconciliation and cost alerts ----------------------------------------------------------


def name_of(workflow: type) -> str | None:
    """The workflow's name on the wire."""
    definition: Any = temporal_workflow._Definition.must_from_class(workflow)
    name: str | None = definition.name
    return name


def test_reconciliation_job() -> None:
    """ "Requirements" 4, "Reconciliation job for stuck business entities": scheduled every minute, one at once."""
    assert name_of(ReconciliationWorkflow) == RECONCILIATION.name == "ReconciliationWorkflow"
    assert (RECONCILIATION.id_template, RECONCILIATION.queue) == ("reconciliation", "order-processing")
    assert schedules.SCHEDULES["reconciliation"] is RECONCILIATION
    made = schedules._schedule(RECONCILIATION)
    assert [interval.every for interval in made.spec.intervals] == [timedelta(minutes=1)]
    assert made.policy.overlap is ScheduleOverlapPolicy.SKIP


@pytest.mark.parametrize("kind", list(Kind), ids=str)
def test_sql_scans_for_partial_states(kind: Kind) -> None:
    """ "Implementation Details", "Reconciliation SQL scans for partial states": one named query for each."""
    sql = (Path(services.reconciliation.__file__).parent / "scans.sql").read_text()
    assert re.search(rf"^-- name: {kind.value}\n-- \w", sql, re.MULTILINE)
    assert kind.value in reconciliations.KINDS


def test_resume_or_alert() -> None:
    """ "Implementation Details", "then resume or alert": owners undo; an alert names subject, kind and finding."""
    assert set(reconciliations.OWNERS) == {"ReleaseInventory", "CancelShipment", "VoidAuthorization"}
    assert {"subject", "kind", "detail"} <= set(ReconciliationAlert.__dataclass_fields__)
    assert ReconciliationAlert.TOPIC == CostAlert.TOPIC == "tidegate.alerts"


def test_retries_and_timeouts() -> None:
    """ "Implementation Details", "Retries: 200ms→30s, max 7; timeouts: 5-60s activities": those of a checkout."""
    for contract in (
        reconciliations.RECONCILE,
        reconciliations.RECORD_RECONCILED,
        reconciliations.WATCH_COSTS,
    ):
        assert contract.retry == policies.CHECKOUT
        assert contract.queue == "oms"
        assert timedelta(seconds=5) <= contract.start_to_close <= timedelta(seconds=60)


def test_mean_reconciliation() -> None:
    """ "Metrics & SLOs", "Mean reconciliation <5m": grace, schedule and patience leave room for it.

    Measured by ``python -m tests.benchmarks.bench_reconciliation``: docs/benchmarks.md.
    """
    assert max(GRACE.values()) + schedules.EVERY < timedelta(minutes=5)


def test_versioned_workflows_and_playbook() -> None:
    """ "Operations": versioned workflows; backfill/resume playbook: workers say their version, a page says the rest."""
    assert Deployment("tidegate", "b-1").config().use_worker_versioning
    text = (ROOT / "docs/workflows.md").read_text()
    for heading in ("Changing one that is running", "Backfill", "Resuming one that is stuck"):
        assert f"\n## {heading}\n" in text, heading


def test_cost_alerts() -> None:
    """ "Operations", "Cost alerts on workflow count & event volume": two measures, each with a budget in a window."""
    assert name_of(CostWatchWorkflow) == COST_WATCH.name
    assert schedules.SCHEDULES["cost-watch"] is COST_WATCH
    assert {"measure", "value", "budget", "window_seconds"} <= set(CostAlert.__dataclass_fields__)
    assert {"window_seconds", "workflows", "events"} == set(CostsSettings.model_fields)
