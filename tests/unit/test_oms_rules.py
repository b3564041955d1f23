"""The rules that a submission must keep, and the table of an order's life."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import datetime
from decimal import Decimal

import pytest

from services.errors import IllegalTransitionError
from services.oms.states import ORDER, CancellationStatus, OrderState, answer_to_cancellation
from services.order_rules import reasons_against, storable
from services.orders import OrderLine
from services.transitions import Rule
from tests.services_support import submission


def test_a_valid_submission_has_nothing_against_it() -> None:
    """A submission that keeps every rule is accepted."""
    assert reasons_against(submission()) == ()


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (OrderLine("A", -2, Decimal(1)), "lines[0].quantity must be from 1"),
        (OrderLine("A", 0, Decimal(1)), "lines[0].quantity must be from 1"),
        (OrderLine("A", 2**31, Decimal(1)), "lines[0].quantity must be from 1"),
        (OrderLine("", 1, Decimal(1)), "lines[0].sku is empty"),
        (OrderLine("A\x00", 1, Decimal(1)), "lines[0].sku holds a character"),
        (OrderLine("A", 1, Decimal("-0.01")), "lines[0].unit_price must be from 0"),
        (OrderLine("A", 1, Decimal("0.001")), "lines[0].unit_price has more than 2 decimals"),
        (OrderLine("A", 1, Decimal("NaN")), "lines[0].unit_price must be from 0"),
        (OrderLine("A", 1, Decimal("1e16")), "lines[0].unit_price must be from 0"),
        (OrderLine("A", 2**31 - 1, Decimal(10**15)), "lines[0].quantity times unit_price"),
        (OrderLine("A", 1, Decimal(1), Decimal("1.01")), "lines[0].discount must be a fraction"),
        (OrderLine("A", 1, Decimal(1), Decimal("0.12345")), "lines[0].discount has more than 4 decimals"),
    ],
)
def test_a_line_that_breaks_a_rule_is_named(line: OrderLine, reason: str) -> None:
    """Each broken rule is one reason, with the line and the field."""
    (found,) = reasons_against(submission(lines=[line]))
    assert found.startswith(reason)


def test_what_is_wrong_with_the_whole_order_is_named() -> None:
    """All reasons are given at once."""
    bad = replace(
        submission(),
        order_id="someone-else",
        customer_id=" ",
        currency="eur",
        ordered_at=datetime(2026, 1, 1),
        lines=(),
    )
    assert reasons_against(bad) == (
        "customer_id is empty",
        "order_id someone-else is not the one of this request_id",
        "currency 'eur' is not three capital letters",
        "ordered_at has no time zone",
        "the order has no lines",
    )


def test_an_order_without_end_has_few_reasons() -> None:
    """However much is wrong, the rejection fits into an event."""
    reasons = reasons_against(submission(lines=[OrderLine("", -1, Decimal(-1))] * 20_000))
    assert "the order has 20000 lines; at most 1000 are taken" in reasons
    assert (len(reasons), reasons[-1]) == (51, "and 59951 more reasons")


def test_names_are_cut_and_cleaned_before_they_are_stored() -> None:
    """A rejected submission can be recorded whatever its request_id holds."""
    assert storable("r-1") == "r-1"
    for unfit in ("a\x00b", "x" * 5000, "jane@example.com", "\ud800"):
        assert re.fullmatch("unfit-[0-9a-f]{32}", storable(unfit))
        assert storable(unfit) == storable(unfit) != storable(f"{unfit}.")


@pytest.mark.parametrize(
    ("quantity", "price", "discount", "net"),
    [
        (1, "0.05", "0.5", "0.02"),  # 0.025 goes to the even cent
        (3, "0.05", "0.5", "0.08"),  # 0.075 goes to the even cent
        (3, "19.99", "0.15", "50.97"),
        (2, "10.00", "1", "0.00"),
    ],
)
def test_net_is_rounded_half_even(quantity: int, price: str, discount: str, net: str) -> None:
    """Net is rounded half-even to the cent, for each line."""
    assert OrderLine("A", quantity, Decimal(price), Decimal(discount)).net == Decimal(net)


_LEGAL = {
    ("mark_order_reserved", "CREATED"): "RESERVED",
    ("mark_order_confirmed", "RESERVED"): "CONFIRMED",
    ("mark_order_shipped", "RESERVED"): "SHIPPED",
    ("mark_order_shipped", "CONFIRMED"): "SHIPPED",
    ("mark_order_delivered", "SHIPPED"): "DELIVERED",
    **{("mark_order_failed", state): "FAILED" for state in ("CREATED", "RESERVED", "CONFIRMED")},
    **{("mark_order_cancelled", state): "CANCELLED" for state in ("CREATED", "RESERVED", "CONFIRMED")},
}
_THERE_ALREADY = {
    "mark_order_reserved": {"RESERVED", "CONFIRMED", "SHIPPED", "DELIVERED"},
    "mark_order_confirmed": {"CONFIRMED", "SHIPPED", "DELIVERED"},
    "mark_order_shipped": {"SHIPPED", "DELIVERED"},
    "mark_order_delivered": {"DELIVERED"},
    "mark_order_failed": {"FAILED"},
    "mark_order_cancelled": {"CANCELLED"},
}


@pytest.mark.parametrize("state", list(OrderState))
@pytest.mark.parametrize("operation", sorted(ORDER.rules))
def test_the_table_of_an_order(operation: str, state: OrderState) -> None:
    """Every operation in every state leads on, is a repeat, or is illegal, and nothing else."""
    if (operation, state) in _LEGAL:
        assert ORDER.step(operation, state, "o") == _LEGAL[operation, state]
    elif state in _THERE_ALREADY[operation]:
        assert ORDER.step(operation, state, "o") is None
    else:
        with pytest.raises(IllegalTransitionError, match=f"order o is {state}"):
            ORDER.step(operation, state, "o")


def test_a_rule_cannot_both_lead_on_and_be_done() -> None:
    """A table that contradicts itself cannot be written."""
    with pytest.raises(ValueError, match="both lead on and are done"):
        Rule({OrderState.CREATED: OrderState.FAILED}, done=frozenset({OrderState.CREATED}))


def test_only_an_open_order_can_still_be_cancelled() -> None:
    """A request to cancel is refused once the order has shipped or failed."""
    answers = {state: answer_to_cancellation(state) for state in OrderState}
    assert {state for state, answer in answers.items() if answer is CancellationStatus.REQUESTED} == {
        "CREATED",
        "RESERVED",
        "CONFIRMED",
    }
    assert answers[OrderState.CANCELLED] is CancellationStatus.CANCELLED
