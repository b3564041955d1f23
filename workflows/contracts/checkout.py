"""A checkout, as others see it: one attempt of a customer to buy. Source: 000; design §7."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from workflows.contracts.base import ORDER_PROCESSING_QUEUE, SignalContract, SignalFailure, WorkflowContract
from workflows.contracts.orders import OrderIntakeRequest, OrderLineInput

PAID: Final = "paid"
"""The flow of an order that a checkout creates."""


@dataclass(frozen=True, slots=True)
class CheckoutRequest:
    """What a checkout is asked for: the fields of ``CheckoutRequested``. ``requested_at`` is ISO-8601 in UTC.

    ``payment_token`` is the provider's reference to the means of payment, worth nothing elsewhere.
    """

    checkout_id: str
    order_id: str
    request_id: str
    customer_id: str
    currency: str
    payment_token: str
    requested_at: str
    lines: tuple[OrderLineInput, ...]

    def order(self) -> OrderIntakeRequest:
        """The order that the checkout is for, as ``CreateOrder`` takes it."""
        return OrderIntakeRequest(
            order_id=self.order_id,
            request_id=self.request_id,
            customer_id=self.customer_id,
            currency=self.currency,
            ordered_at=self.requested_at,
            lines=self.lines,
            flow=PAID,
        )


CHECKOUT: Final = WorkflowContract(
    "CheckoutWorkflow", ORDER_PROCESSING_QUEUE, "checkout-{checkout_id}", CheckoutRequest
)

# --- Signals ------------------------------------------------------------------------------------------

APPROVED: Final = "approved"
REJECTED: Final = "rejected"
REVIEW: Final = "review"


@dataclass(frozen=True, slots=True)
class FraudDecision:
    """Fraud detection has judged the checkout: ``approved``, ``rejected``, or a person has to ``review`` it."""

    checkout_id: str
    decision: str
    reason: str | None = None
    decided_at: str | None = None


@dataclass(frozen=True, slots=True)
class ManualReviewDecision:
    """A person has judged the checkout: ``approved`` or ``rejected``. ``reviewer_id`` is a reference."""

    checkout_id: str
    decision: str
    reviewer_id: str
    reason: str | None = None
    decided_at: str | None = None


FRAUD_DECISION: Final = SignalContract("fraudDecision", FraudDecision)
MANUAL_REVIEW_DECISION: Final = SignalContract("manualReviewDecision", ManualReviewDecision)

# --- Query --------------------------------------------------------------------------------------------

GET_SNAPSHOT: Final = "getSnapshot"
"""Of a checkout: a :class:`CheckoutSnapshot`."""


@dataclass(frozen=True, slots=True)
class CheckoutSnapshot:
    """Where a checkout stands.

    ``state`` is one of ``RUNNING``, ``AWAITING_FRAUD_DECISION``, ``AWAITING_MANUAL_REVIEW``,
    ``COMPENSATING``, ``COMPLETED``, ``REJECTED`` and ``EXPIRED``. ``step`` is named as in seed 000.
    ``deadline`` (ISO-8601) is that of the clock that runs now. ``fraud_decision`` and ``review_decision`` are
    the decisions that counted. ``code`` and ``reason`` say why it came to nothing. ``compensated`` names the
    compensations that have run, in order; ``refused`` what a service refused for good; ``signal_failures``
    the latest signals that could not be used or came too late to count.
    """

    checkout_id: str
    order_id: str
    state: str
    step: str
    blocking_reason: str | None
    deadline: str | None = None
    fraud_decision: str | None = None
    review_decision: str | None = None
    code: str | None = None
    reason: str | None = None
    compensated: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    signal_failures: tuple[SignalFailure, ...] = ()
