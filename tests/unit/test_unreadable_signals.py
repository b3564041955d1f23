"""What is said of a payload that cannot be read: which field, and nothing of what was sent."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import Any

import pytest
from temporalio import workflow
from temporalio.common import RawValue
from temporalio.converter import DataConverter

from workflows.contracts import SIGNALS, WORKFLOWS
from workflows.contracts.orders import OrderIntakeRequest, PickReport
from workflows.signals import UnreadableError, read

CANARY = "jane.canary@example.com"
CONVERTER = DataConverter.default.payload_converter
TYPES = sorted(
    {one.payload for one in SIGNALS} | {one.input for one in WORKFLOWS}, key=lambda kind: str(kind.__name__)
)


@pytest.fixture(autouse=True)
def _outside_a_workflow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workflow, "payload_converter", lambda: CONVERTER)


def reason(kind: type, value: Any) -> str:
    """Why ``value`` is no ``kind``, with everything that hangs on the error; empty where it is one."""
    refused: UnreadableError | None = None
    try:
        read(kind, RawValue(CONVERTER.to_payload(value)))
    except UnreadableError as error:
        refused = error
    if refused is None:
        return ""
    assert refused.__cause__ is None
    assert refused.__suppress_context__
    return str(refused)


@pytest.mark.parametrize("kind", TYPES, ids=lambda kind: kind.__name__)
def test_nothing_that_was_sent_is_repeated(kind: type) -> None:
    """Every type that comes from outside, every field of it, filled with personal data of a wrong form."""
    assert is_dataclass(kind)
    unreadable = 0
    for junk in (CANARY, [CANARY], {"x": CANARY}, {CANARY: 1}, [[CANARY]]):
        for value in (junk, *({field.name: junk} for field in fields(kind))):
            said = reason(kind, value)
            unreadable += bool(said)
            assert CANARY not in said
            assert len(said) < 300
    assert unreadable


def test_the_field_is_named() -> None:
    """By the path of the names that our types declare."""
    line = {"sku": 1, "quantity": 1, "unit_price": "1"}
    order = {"order_id": "o", "request_id": "r", "customer_id": "c", "currency": "EUR", "ordered_at": "now"}
    assert reason(PickReport, {}) == "not a valid PickReport: order_id is missing"
    assert reason(PickReport, {"order_id": 5}) == "not a valid PickReport: order_id: TypeError"
    assert (
        reason(OrderIntakeRequest, {**order, "lines": [line]})
        == "not a valid OrderIntakeRequest: lines.sku: TypeError"
    )
