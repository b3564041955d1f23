"""Checkouts from a file, from the generator, and as fraud detection judges them: pure decisions."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from infra.errors import InvalidInputError
from schemas.events import FraudCheckRequested, FraudDecided, ManualReviewDecided
from services.checkouts.rules import reasons_against_checkout
from services.checkouts.states import CHECKOUT, CheckoutState
from services.errors import IllegalTransitionError
from services.upstream import Simulation, fraud
from services.upstream.checkout_file import parse_checkouts
from services.upstream.generator import generate_checkouts
from services.upstream.role import Task

_NOW = datetime(2026, 11, 21, tzinfo=UTC)
_LINE = {
    "request_id": "r-1",
    "customer_id": "c-7",
    "currency": "EUR",
    "ordered_at": "2026-11-21T10:00:00Z",
    "payment_token": "tok_visa",
    "lines": [{"sku": "DESK", "quantity": 2, "unit_price": "1.50", "discount": "0.15"}],
}


def parsed(*lines: dict[str, Any]) -> Any:
    """What a file of these lines holds."""
    return parse_checkouts(json.dumps(line).encode() for line in lines)


def test_a_line_is_a_checkout() -> None:
    """Order, token and amount; the checkout's id is derived where none is given, and is always the same."""
    (checkout,) = parsed(_LINE).submissions
    assert (checkout.payment_token, checkout.amount, checkout.order.request_id) == (
        "tok_visa",
        Decimal("2.55"),
        "r-1",
    )
    assert parsed(_LINE).submissions[0].checkout_id == checkout.checkout_id
    assert parsed({**_LINE, "checkout_id": "mine"}).submissions[0].checkout_id == "mine"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"payment_token": None}, "payment_token"),
        ({"payment_token": ""}, "payment_token"),
        ({"payment_token": "4111 1111 1111 1111"}, "payment_token"),
        ({"payment_token": "4111-1111-1111-1111"}, "payment_token"),
        ({"payment_token": "4111111111111111"}, "payment_token"),
        ({"checkout_id": 7}, "checkout_id"),
        ({"customer_id": "jane.doe@example.org"}, "customer_id"),
        ({"lines": [{"sku": "DESK", "quantity": 1, "unit_price": "0.00"}]}, "lines"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_a_bad_line_is_named(change: dict[str, Any], field: str) -> None:
    """With its number and the field, and without repeating a token or an address; good lines are read all the same."""
    found = parsed(_LINE, {**_LINE, "request_id": "r-2", **change})
    assert len(found.submissions) == 1
    (bad,) = found.bad
    assert (bad.line, bad.field) == (2, field)
    assert "4111" not in bad.reason
    assert "jane" not in bad.reason


def test_a_line_without_a_token_is_an_order_and_no_checkout() -> None:
    """The field is missing, and that is said."""
    line = {name: value for name, value in _LINE.items() if name != "payment_token"}
    assert str(parsed(line).bad[0]) == "1: payment_token: is missing"


def test_what_is_generated_is_valid_and_the_same_for_a_seed() -> None:
    """Two runs of a seed make the same checkouts, each with an amount to pay."""
    first = generate_checkouts(50, 7, ordered_at=_NOW)
    assert first == generate_checkouts(50, 7, ordered_at=_NOW)
    assert [reasons_against_checkout(checkout) for checkout in first] == [()] * 50
    assert len({checkout.checkout_id for checkout in first}) == 50


def test_reasons_against_a_checkout() -> None:
    """The order's own rules, a token that is a reference, and an amount."""
    (good,) = parsed(_LINE).submissions
    assert reasons_against_checkout(good) == ()
    assert reasons_against_checkout(replace(good, payment_token=" "))[0].startswith("payment_token")
    (reason,) = reasons_against_checkout(replace(good, payment_token="4111111111111111"))
    assert "number of a card" in reason
    free = replace(good.order, lines=tuple(replace(line, discount=Decimal(1)) for line in good.order.lines))
    assert "amount" in reasons_against_checkout(replace(good, order=free))[0]
    assert reasons_against_checkout(replace(good, order=replace(good.order, lines=())))


@pytest.mark.parametrize("ended", [CheckoutState.COMPLETED, CheckoutState.REJECTED, CheckoutState.EXPIRED])
def test_what_has_ended_stays_as_it_ended(ended: CheckoutState) -> None:
    """Its own ending again is a repeat; every other is illegal; a late request for a decision asks for nothing."""
    endings = {
        "complete": CheckoutState.COMPLETED,
        "reject": CheckoutState.REJECTED,
        "expire": CheckoutState.EXPIRED,
    }
    assert CHECKOUT.step("request_fraud_check", ended, "c") is None
    for operation, end in endings.items():
        if end is ended:
            assert CHECKOUT.step(operation, ended, "c") is None
        else:
            with pytest.raises(IllegalTransitionError):
                CHECKOUT.step(operation, ended, "c")


def asked(checkout_id: str) -> FraudCheckRequested:
    """A checkout that asks for a decision."""
    return FraudCheckRequested(
        checkout_id=checkout_id,
        order_id="o",
        customer_id="c",
        amount=Decimal("1.00"),
        currency="EUR",
        requested_at=_NOW,
    )


def test_fraud_detection_decides_by_seed_and_in_the_shares_asked_for() -> None:
    """The same checkout has the same decision; shares come out; a review is followed by a decision by hand."""
    world = Simulation(seed=3, delay_seconds=1.0, fraud_rejected=0.2, fraud_review=0.3, review_rejected=0.5)
    checkouts = [f"c-{number}" for number in range(2000)]
    judged = Counter(fraud.judged(one, world) for one in checkouts)
    assert 300 < judged["rejected"] < 500
    assert 480 < judged["review"] < 720
    by_hand: Counter[str | None] = Counter()
    for one in checkouts:
        tasks = [task for task in fraud.react(asked(one), world) if isinstance(task, Task)]
        assert tasks[0].reference == fraud.judged(one, world)
        assert [task.kind for task in tasks] == ["FraudDecided", "ManualReviewDecided"][: len(tasks)]
        assert (len(tasks) == 2) == (tasks[0].reference == "review")
        if len(tasks) == 2:
            assert tasks[1].after > tasks[0].after
            by_hand[tasks[1].reference] += 1
    assert 0.35 < by_hand["rejected"] / judged["review"] < 0.65
    left = replace(world, review_left=1.0)
    assert all(len(fraud.react(asked(one), left)) == 1 for one in checkouts[:50])


def test_decisions_come_twice_where_the_simulation_wants_it() -> None:
    """The same event again, and the same fact under a new event id."""
    world = Simulation(duplicate=1.0, duplicate_fact=1.0)
    tasks = [task for task in fraud.react(asked("c"), world) if isinstance(task, Task)]
    assert [str(task.occurrence) for task in tasks] == ["first", "again", "renamed"]


def test_what_fraud_detection_reports() -> None:
    """The events of both kinds of decision; anything else is a mistake."""
    by_rule = fraud.report("FraudDecided", "c", "review", _NOW)
    assert isinstance(by_rule, FraudDecided)
    assert by_rule.decision == "review"
    by_hand = fraud.report("ManualReviewDecided", "c", "approved", _NOW)
    assert isinstance(by_hand, ManualReviewDecided)
    assert (by_hand.decision, by_hand.reason) == ("approved", None)
    with pytest.raises(ValueError, match="decisions on checkouts"):
        fraud.report("PickCompleted", "c", "approved", _NOW)


def test_shares_of_decisions_are_shares_of_one_whole() -> None:
    """More than everything cannot be rejected or reviewed."""
    with pytest.raises(InvalidInputError, match="one whole"):
        Simulation(fraud_rejected=0.7, fraud_review=0.7)
