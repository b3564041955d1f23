"""The checkout file: the lines of an order file, with a reference to the means of payment.

    {"request_id": "r-1", "customer_id": "c-7", "currency": "EUR", "ordered_at": "2026-11-21T10:00:00Z",
     "payment_token": "tok_visa", "lines": [{"sku": "DESK", "quantity": 1, "unit_price": "249.00"}]}

``checkout_id`` may be left out: it is then derived from the request's id. A payment token is the provider's
reference to a card; what looks like the number of a card is refused, and no message repeats a token.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from services.orders import CheckoutSubmission, checkout_id_of, is_card_number
from services.upstream.order_file import BadFieldError, BadLine, order_in, read_lines, reference_in


@dataclass(frozen=True, slots=True)
class CheckoutFile:
    """What a file holds: the checkouts in its order, and the lines that are none."""

    submissions: tuple[CheckoutSubmission, ...]
    bad: tuple[BadLine, ...]


def parse_checkouts(lines: Iterable[bytes]) -> CheckoutFile:
    """The checkouts in ``lines``; a line that is none is named and passed over, an empty one is no line at all."""
    submissions, bad = read_lines(lines, _checkout, lambda checkout: checkout.order.request_id)
    return CheckoutFile(submissions, bad)


def _checkout(data: Any) -> CheckoutSubmission:
    order = order_in(data, also=("payment_token",), optional=("checkout_id",))
    token = reference_in(data["payment_token"], "payment_token")
    if is_card_number(token):
        raise BadFieldError(
            "payment_token", "looks like the number of a card; it must be the provider's reference"
        )
    checkout_id = reference_in(data.get("checkout_id", checkout_id_of(order.request_id)), "checkout_id")
    checkout = CheckoutSubmission(checkout_id, token, order)
    if checkout.amount <= 0:
        raise BadFieldError("lines", f"there is nothing to pay: the amount is {checkout.amount}")
    return checkout
