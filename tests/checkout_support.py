"""Checkouts for the tests of their workflow: a request, its workflow, decisions, and what it says of itself."""

from __future__ import annotations

from typing import Any

from temporalio.client import WorkflowHandle
from temporalio.common import RawValue, WorkflowIDReusePolicy

from infra.ids import order_id_of
from tests.waiting import until
from tests.workflow_support import World
from workflows.contracts.checkout import (
    CHECKOUT,
    FRAUD_DECISION,
    GET_SNAPSHOT,
    MANUAL_REVIEW_DECISION,
    CheckoutRequest,
    CheckoutSnapshot,
)
from workflows.contracts.orders import OrderLineInput

Handle = WorkflowHandle[Any, str]

FORWARD = ["ValidateCheckout", "AuthorizePayment", "CreateOrder", "EmitOrderEvent", "RequestFraudCheck"]
"""What a checkout asks for before it waits for a decision."""

UNDONE = ["WithdrawOrder", "VoidAuthorization"]
"""What undoes it, last step first."""


def checkout_request(checkout_id: str) -> CheckoutRequest:
    """A checkout of two lines, worth 3.17."""
    request_id = f"request-of-{checkout_id}"
    return CheckoutRequest(
        checkout_id=checkout_id,
        order_id=order_id_of(request_id),
        request_id=request_id,
        customer_id="customer-1",
        currency="EUR",
        payment_token="token-1",
        requested_at="2026-11-21T10:00:00Z",
        lines=(OrderLineInput("bolt", 2, "1.50"), OrderLineInput("nut", 1, "0.20", "0.15")),
    )


def order_of(checkout_id: str) -> str:
    """The order that a checkout is for."""
    return checkout_request(checkout_id).order_id


async def check_out(
    world: World, checkout_id: str, request: CheckoutRequest | RawValue | None = None
) -> Handle:
    """Start the checkout, as the bridge does."""
    return await world.client.start_workflow(
        CHECKOUT.name,
        request or checkout_request(checkout_id),
        id=CHECKOUT.workflow_id(checkout_id=checkout_id),
        task_queue=CHECKOUT.queue,
        id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
        result_type=str,
    )


async def snapshot_of(handle: Handle) -> CheckoutSnapshot:
    """What ``getSnapshot`` answers."""
    found: CheckoutSnapshot = await handle.query(GET_SNAPSHOT, result_type=CheckoutSnapshot)
    return found


async def at(handle: Handle, state: str) -> CheckoutSnapshot:
    """Return once the checkout is in ``state``: its snapshot."""

    async def is_there() -> bool:
        return (await snapshot_of(handle)).state == state

    await until(is_there, what=f"{handle.id} is {state}")
    return await snapshot_of(handle)


async def decide(handle: Handle, decision: str, **more: Any) -> None:
    """Fraud detection decides."""
    checkout_id = handle.id.removeprefix("checkout-")
    await handle.signal(FRAUD_DECISION.name, {"checkout_id": checkout_id, "decision": decision, **more})


async def review(handle: Handle, decision: str, **more: Any) -> None:
    """A reviewer decides."""
    checkout_id = handle.id.removeprefix("checkout-")
    payload = {"checkout_id": checkout_id, "decision": decision, "reviewer_id": "reviewer-1", **more}
    await handle.signal(MANUAL_REVIEW_DECISION.name, payload)
