"""The rules that a submission must keep to become an order, whoever submits it: OMS and checkouts hold them."""

from __future__ import annotations

import hashlib
import re
from decimal import Decimal

from infra.ids import is_word, order_id_of
from services.orders import OrderLine, OrderSubmission

_CURRENCY = re.compile(r"[A-Z]{3}")
_CENT = Decimal("0.01")
_LARGEST_AMOUNT = Decimal(10) ** 16
_LONGEST_NAME = 200
_MOST_LINES = 1000
_MOST_REASONS = 50
_LARGEST_QUANTITY = 2**31 - 1


def reasons_against(submission: OrderSubmission) -> tuple[str, ...]:
    """Why ``submission`` can never be an order, one sentence a reason; empty where it can.

    Structure only: whether an item exists is for IMS to say (design §7, "Shortage").
    """
    reasons = [
        *reasons_against_reference("request_id", submission.request_id),
        *reasons_against_reference("customer_id", submission.customer_id),
    ]
    if submission.order_id != order_id_of(submission.request_id):
        reasons.append(f"order_id {storable(submission.order_id)} is not the one of this request_id")
    if not _CURRENCY.fullmatch(submission.currency):
        reasons.append(f"currency {submission.currency!r} is not three capital letters")
    if submission.ordered_at.tzinfo is None:
        reasons.append("ordered_at has no time zone")
    if not submission.lines:
        reasons.append("the order has no lines")
    if len(submission.lines) > _MOST_LINES:
        reasons.append(f"the order has {len(submission.lines)} lines; at most {_MOST_LINES} are taken")
    for number, line in enumerate(submission.lines):
        reasons.extend(f"lines[{number}].{reason}" for reason in reasons_against_line(line))
    if len(reasons) > _MOST_REASONS:
        reasons[_MOST_REASONS:] = [f"and {len(reasons) - _MOST_REASONS} more reasons"]
    return tuple(reasons)


def storable(name: str) -> str:
    """``name`` as it can be stored and published: itself where it is a reference, else ``unfit-`` and a digest of it.

    Only a rejected submission is ever written with another name than its own. The digest is the same for the same
    name, and shows nothing of one that is an address (000, "Security").
    """
    if is_word(name):
        return name
    return f"unfit-{hashlib.sha256(name.encode('utf-8', 'replace')).hexdigest()[:32]}"


def _reasons_against_name(field: str, value: str) -> list[str]:
    if not value.strip():
        return [f"{field} is empty"]
    if len(value) > _LONGEST_NAME:
        return [f"{field} is longer than {_LONGEST_NAME} characters"]
    return [] if value.isprintable() else [f"{field} holds a character that cannot be printed"]


def reasons_against_reference(field: str, value: str) -> list[str]:
    """Why ``value`` can be no reference; each reason begins with ``field`` and repeats nothing of the value."""
    reasons = _reasons_against_name(field, value)
    if not reasons and not is_word(value):
        # Without the value: it may be an address or a name, and reasons are published (000, "Security").
        return [f"{field} is no reference: one word of letters, digits and . _ : / ~ -"]
    return reasons


def reasons_against_line(line: OrderLine) -> list[str]:
    """Why ``line`` can never be one of an order; each reason begins with the field."""
    reasons = _reasons_against_name("sku", line.sku)
    if not 1 <= line.quantity <= _LARGEST_QUANTITY:
        reasons.append(f"quantity must be from 1 to {_LARGEST_QUANTITY}, is {line.quantity}")
    if not line.unit_price.is_finite() or not 0 <= line.unit_price < _LARGEST_AMOUNT:
        reasons.append(f"unit_price must be from 0 to below 10^16, is {line.unit_price}")
    elif line.unit_price != line.unit_price.quantize(_CENT):
        reasons.append(f"unit_price has more than 2 decimals: {line.unit_price}")
    elif line.quantity >= 1 and line.quantity * line.unit_price >= _LARGEST_AMOUNT:
        reasons.append("quantity times unit_price is 10^16 or more")
    if not line.discount.is_finite() or not 0 <= line.discount <= 1:
        reasons.append(f"discount must be a fraction from 0 to 1, is {line.discount}")
    elif line.discount != line.discount.quantize(Decimal("0.0001")):
        reasons.append(f"discount has more than 4 decimals: {line.discount}")
    return reasons
