"""Paid orders through everything: storefront, Kafka, bridge, Temporal, services, a provider, and back.

One stack of its own: checkouts that are paid for, declined, fail at their capture or for fraud, and are cancelled in
the middle of it; direct orders beside them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

from services.orders import CheckoutSubmission
from services.upstream.generator import generate_checkouts
from tests.loop_runs import (
    RUN_SECONDS,
    fetch,
    load_ample_stock,
    loop_on_its_own_stack,
    some_orders,
    submit,
    tidegate,
)
from tests.waiting import until
from tidegate.loop import Loop
from tidegate.wiring.services import open_services, open_storefront

PAID, HURRIED, DIRECT = 8, 6, 3

OPEN = ("CREATED", "RESERVED", "CONFIRMED")

FAILURES = {
    "tok_capture_insufficient_funds": "PAYMENT_INSUFFICIENT_FUNDS",
    "tok_fraud": "PAYMENT_FRAUD",
    "tok_invalid_card": "PAYMENT_CARD_INVALID",
}


def checkouts(count: int, name: str, card: str = "tok_visa") -> list[CheckoutSubmission]:
    """Some checkouts, all paid for with ``card``."""
    return [
        replace(checkout, payment_token=card)
        for checkout in generate_checkouts(count, seed=len(name), prefix=name)
    ]


async def cancel_soon(loop: Loop, order_ids: list[str]) -> None:
    """Ask to cancel each as soon as OMS knows it, each a little later in its life than the one before."""
    async with open_services(loop.settings) as services:
        for number, order_id in enumerate(order_ids):
            passed = OPEN[: number % len(OPEN)]

            async def is_far_enough(order_id: str = order_id, passed: Sequence[str] = passed) -> bool:
                order = await services.oms.order(order_id)
                return order is not None and order.state not in passed

            await until(is_far_enough)
            await services.oms.request_cancellation(order_id, "operator", "changed-mind")


async def test_paid_orders_end_as_they_must_and_the_money_adds_up(tmp_path: Path, registry_url: str) -> None:
    """DELIVERED and paid in full, or FAILED or CANCELLED and free of charge; events, ledger and analytics agree."""
    paid, hurried = checkouts(PAID, "paid"), checkouts(HURRIED, "hurried")
    failing = {token: checkouts(1, token.replace("_", "-"), token)[0] for token in FAILURES}
    (declined,) = checkouts(1, "declined", "tok_declined")
    everything = [*paid, *hurried, *failing.values(), declined]
    async with loop_on_its_own_stack(tmp_path, everything=True, registry_url=registry_url) as (loop, _):
        await load_ample_stock(loop.settings)
        async with open_storefront(loop.settings) as storefront:
            await storefront.submit_checkouts(everything)
        await submit(loop.settings, some_orders(DIRECT))
        await cancel_soon(loop, [checkout.order.order_id for checkout in hurried])
        await loop.settle(seconds=RUN_SECONDS)
        result = await loop.result()
        assert [finding.what for finding in result.findings] == []
        assert list(result.analytics_differences) == []

        states = {
            row["order_id"]: row
            for row in await fetch(
                loop.settings,
                """SELECT order_id, o.state, o.failure_code, o.confirmed_at, o.shipped_at, o.delivered_at, p.amount,
                          p.captured, p.refunded, n.kind
                   FROM oms.orders AS o LEFT JOIN payments.payments AS p USING (order_id)
                   LEFT JOIN oms.notifications AS n USING (order_id) WHERE o.flow = 'paid'""",
            )
        }
        for checkout in paid:
            row = states[checkout.order.order_id]
            assert row["state"] == "DELIVERED"
            assert row["confirmed_at"] <= row["shipped_at"] <= row["delivered_at"]
            assert (row["captured"], row["refunded"], row["kind"]) == (checkout.amount, 0, "CONFIRMATION")
        for token, checkout in failing.items():
            row = states[checkout.order.order_id]
            assert (row["state"], row["failure_code"]) == ("FAILED", FAILURES[token])
            assert row["captured"] == 0
        for checkout in hurried:
            row = states[checkout.order.order_id]
            assert row["state"] in ("CANCELLED", "DELIVERED")
            kept = row["captured"] - row["refunded"]
            assert kept == (checkout.amount if row["state"] == "DELIVERED" else Decimal(0))
        assert declined.order.order_id not in states
        direct = await fetch(loop.settings, "SELECT state FROM oms.orders WHERE flow = 'direct'")
        assert [row["state"] for row in direct] == ["SHIPPED"] * DIRECT

        # A direct order's events reach no OrderWorkflow; a paid order's reach one, and carry the flow.
        routes = await fetch(
            loop.settings,
            """SELECT workflow_id FROM bridge.ledger
               WHERE route IN ('OrderReserved:signal:OrderReserved', 'ShipmentDelivered:signal:ShipmentDelivered')""",
        )
        assert {row["workflow_id"] for row in routes} <= {f"order-{order_id}" for order_id in states}

        one = paid[0].order.order_id
        status, output = await tidegate(loop.settings, "orders", one)
        assert status == 0, output
        for said in (
            "order workflow   DELIVERED",
            "payment          CAPTURED",
            "PaymentCaptured",
            "CheckoutRequested",
        ):
            assert said in output, output
