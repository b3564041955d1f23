"""Every retry, timeout and clock of the workflows, in one place.

Source: 003, "Retry & Timeout Philosophy"; design §7, the table of workflows.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from temporalio.common import RetryPolicy

NOT_RETRIED: Final = (
    "InvalidOrderError",
    "IllegalTransitionError",
    "UnknownOrderError",
    "UnknownItemError",
    "UnknownCheckoutError",
    "UnknownReturnError",
    "InvalidReturnError",
    "FraudDetectedError",
    "InsufficientFundsError",
    "CardDeclinedError",
    "CardInvalidError",
    "RefundRefusedError",
)
"""Types of failure that no retry can mend: validation errors, illegal state transitions (003, "Retry & Timeout
Philosophy"), and what a payment provider says no to (002, "Payment-Specific Retries")."""

UNLIMITED: Final = RetryPolicy(
    initial_interval=timedelta(seconds=1),
    backoff_coefficient=2.0,
    maximum_interval=timedelta(minutes=1),
    maximum_attempts=0,
    non_retryable_error_types=NOT_RETRIED,
)
"""Again after 1 s, 2 s, 4 s … 1 min, for as long as the service is away."""

PAYMENT_V1: Final = RetryPolicy(
    initial_interval=timedelta(seconds=1),
    backoff_coefficient=2.0,
    maximum_interval=timedelta(minutes=1),
    maximum_attempts=5,
    non_retryable_error_types=NOT_RETRIED,
)
"""The policy of payments that began before "payment-v2": five attempts. Source: 002, "From v1 to v2"."""

STANDARD: Final = RetryPolicy(
    initial_interval=timedelta(seconds=1),
    backoff_coefficient=2.0,
    maximum_interval=timedelta(minutes=1),
    maximum_attempts=3,
    non_retryable_error_types=NOT_RETRIED,
)
"""Again after 1 s and 2 s, three attempts in all. Source: 002, "Standard Configuration"."""

CHECKOUT: Final = RetryPolicy(
    initial_interval=timedelta(milliseconds=200),
    backoff_coefficient=2.0,
    maximum_interval=timedelta(seconds=30),
    maximum_attempts=7,
    non_retryable_error_types=NOT_RETRIED,
)
"""Again after 200 ms, 400 ms, 800 ms … 30 s, 7 attempts. Source: 000, "Implementation Details"."""

QUICK: Final = timedelta(seconds=10)
"""How long one attempt of an activity may take that is one database transaction."""

THOROUGH: Final = timedelta(seconds=30)
"""How long one attempt may take that locks many rows: an allocation with its bill of materials."""

PROVIDER: Final = timedelta(seconds=30)
"""How long one attempt may take that asks the payment provider, whose own time limit is shorter."""

CARRIER: Final = timedelta(seconds=60)
"""How long one attempt may take that speaks to a carrier."""

INTAKE_CLOCK: Final = timedelta(days=7)
"""How long an intake may last as a whole. A timer inside: an execution timeout lets nothing be said."""

STOCK_CLOCK: Final = timedelta(hours=72)
"""How long an order waits for stock that is short."""

PICK_CLOCK: Final = timedelta(hours=24)
"""How long an order waits for ``PickCompleted``."""

PACK_CLOCK: Final = timedelta(hours=24)
"""How long an order waits for ``PackCompleted``."""

LABEL_CLOCK: Final = timedelta(hours=1)
"""How long a shipping label is retried before the order fails."""

SUPPLIER_REMINDER: Final = timedelta(hours=24)
"""How often a supplier who has not delivered is reminded. Source: design §7, ReplenishmentWorkflow."""

OWNERS_CLOCK: Final = timedelta(minutes=2)
"""How long reconciliation waits for an owner that is away; the next run asks again."""

PAYMENT_CLOCK: Final = timedelta(hours=24)
"""How long the fulfillment of a paid order waits for ``PaymentCaptured``, its stock reserved."""

DELIVERY_CLOCK: Final = timedelta(days=30)
"""After how long without ``ShipmentDelivered`` a shipped order says that it is overdue; it waits on."""

NEXT_ROUND: Final = timedelta(minutes=1)
"""How long an order waits before it asks again for a record that its retries have not obtained."""

CHECKOUT_CLOCK: Final = timedelta(minutes=15)
"""How long a checkout may take as a whole, a manual review aside. Source: 000, "Implementation Details"."""

REVIEW_CLOCK: Final = timedelta(hours=24)
"""How long a checkout waits for ``manualReviewDecision``, once a review has been asked for."""

CART_IDLE_CLOCK: Final = timedelta(days=7)
"""How long a cart lies untouched before it is given up. Source: design §7."""

RECEIPT_CLOCK: Final = timedelta(days=30)
"""How long a return waits for its parcel before it is rejected. Source: design §7."""

RECEIPT_REMINDER: Final = timedelta(days=7)
"""How often a customer is reminded of a parcel that has not come."""

INSPECTION_CLOCK: Final = timedelta(hours=72)
"""After how long without an inspection the warehouse is told so, each time anew; the return waits on. The goods
are here and the customer has done their part, so a clock alone must not end it (003, "Prefer waiting over failing")."""
