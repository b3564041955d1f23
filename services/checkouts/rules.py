"""The rules that a checkout must keep, beside those of the order that it is for."""

from __future__ import annotations

from decimal import Decimal

from services.order_rules import reasons_against, reasons_against_reference
from services.orders import CheckoutSubmission, is_card_number

_LARGEST_AMOUNT = Decimal(10) ** 16


def reasons_against_checkout(submission: CheckoutSubmission) -> tuple[str, ...]:
    """Why ``submission`` can never be a checkout, one sentence a reason; empty where it can.

    Structure only: whether an item exists is for IMS to say, whether a card is good for the provider. A reason
    names a field and never repeats the payment token.
    """
    reasons = [
        *reasons_against_reference("checkout_id", submission.checkout_id),
        *reasons_against_reference("payment_token", submission.payment_token),
        *reasons_against(submission.order),
    ]
    if is_card_number(submission.payment_token):
        reasons.append("payment_token looks like the number of a card; it must be the provider's reference")
    if not reasons and not 0 < submission.amount < _LARGEST_AMOUNT:
        reasons.append(f"the amount to be paid must be above 0 and below 10^16, is {submission.amount}")
    return tuple(reasons)
