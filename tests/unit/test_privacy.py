"""What an event may hold of a person: a reference. The rules, by field and by form."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.ids import is_word
from schemas.errors import EncodeError, PersonalDataError
from schemas.events import (
    EVENTS,
    OrderCancelRequested,
    OrderFailed,
    OrderSubmitted,
    PickCompleted,
)
from schemas.events.oms_orders import OrderLine
from schemas.privacy import (
    REFERENCES,
    REMOVED,
    TEXTS,
    holds_contacts,
    publishable,
    require_references,
    without_contacts,
    without_texts,
)

NOW = datetime(2026, 11, 21, tzinfo=UTC)
PERSONAL = ("jane.canary@example.com", "Jane Canary", "+49 170 1234567", "Jane\nCanary", "jane canary")
ORDER = OrderSubmitted(
    order_id="2f6d7a0c-0456-7890-1234-56789012abcd",
    request_id="r-1",
    customer_id="customer-1",
    currency="EUR",
    ordered_at=NOW,
    lines=(OrderLine(sku="Bolt M8 x 20", quantity=1, unit_price=Decimal("1.00"), discount=Decimal(0)),),
)


def with_field(field: str, text: str) -> OrderSubmitted:
    """The order with another value in one field."""
    changes: dict[str, Any] = {field: text}
    return replace(ORDER, **changes)


@pytest.mark.parametrize("text", PERSONAL)
@pytest.mark.parametrize("field", ["order_id", "request_id", "customer_id"])
def test_a_reference_that_is_personal_data_is_refused(field: str, text: str) -> None:
    """The field is named, the value is not shown, and the caller's transaction ends as for any event that does not
    fit."""
    with pytest.raises(PersonalDataError) as refused:
        publishable(with_field(field, text))
    assert isinstance(refused.value, EncodeError)
    assert f"OrderSubmitted.{field}" in str(refused.value)
    assert text not in str(refused.value)


@pytest.mark.parametrize("text", ["bolt for jane.canary@example.com", "call +49 170 1234567"])
def test_an_address_in_any_other_field_is_refused(text: str) -> None:
    """Also inside the lines of an order."""
    line = replace(ORDER.lines[0], sku=text)
    with pytest.raises(PersonalDataError, match=r"OrderSubmitted\.lines\[1\]\.sku") as refused:
        publishable(replace(ORDER, lines=(ORDER.lines[0], line)))
    assert text not in str(refused.value)


def test_what_is_in_order_passes_unchanged() -> None:
    """References, names of goods with spaces, ids of digits: none of it looks like a person."""
    assert publishable(ORDER) is ORDER
    publishable(PickCompleted(order_id="00112233-0170-1234-5678-000000000000", wave_id=None, picked_at=NOW))


@given(st.uuids())
def test_every_id_of_ours_is_a_reference(one: Any) -> None:
    """No derived id is ever taken for a telephone number."""
    require_references(PickCompleted(order_id=str(one), wave_id=str(one), picked_at=NOW))


def test_our_own_sentences_lose_addresses_and_numbers() -> None:
    """What somebody has put into an error comes out of the sentence; the sentence stays."""
    failed = OrderFailed(
        order_id="o-1",
        code="LABEL",
        reason="no label for jane@example.com, +49 170 1234567, today",
        failed_at=NOW,
    )
    assert publishable(failed).reason == f"no label for {REMOVED} {REMOVED}, today"


def test_sentences_from_outside_are_taken_out() -> None:
    """A code stays, a sentence goes, and nothing else changes."""
    cancel = OrderCancelRequested(
        order_id="o-1", requested_by="support", reason="it is for Jane", requested_at=NOW
    )
    assert without_texts(cancel.to_json()) == {**cancel.to_json(), "reason": REMOVED}
    coded = replace(cancel, reason="customer-request")
    assert without_texts(coded.to_json()) == coded.to_json()
    nothing = replace(cancel, reason=None)
    assert without_texts(nothing.to_json()) == nothing.to_json()


@given(text=st.text("a@.+0159 /()-é", max_size=24) | st.sampled_from(PERSONAL))
def test_a_contact_is_found_exactly_where_one_is_taken_out(text: str) -> None:
    """The quick look at a text, which most texts end with, misses nothing that the thorough one would find."""
    assert holds_contacts(text) is (without_contacts(text) != text)


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("customer-1", True), ("urn:shop:4711", True), ("tok_visa~1", True), ("a" * 200, True),
        ("a" * 201, False), ("", False), ("Zoë", False), *((text, False) for text in PERSONAL),
    ],
)  # fmt: skip
def test_a_word(text: str, answer: bool) -> None:
    """One word of letters, digits and a few signs."""
    assert is_word(text) is answer


def test_every_text_field_of_every_schema_is_known_to_the_rules() -> None:
    """A new field that speaks of a customer, a reviewer or a sentence has to be named in the rules, or this fails."""
    known = REFERENCES | TEXTS
    for event in EVENTS:
        for field in fields(event):  # type: ignore[arg-type]
            words = set(field.name.split("_"))
            if words & {"customer", "reviewer", "requested", "payment", "token", "name", "email", "phone",
                        "address", "note", "comment", "text", "message", "remark", "reason"}:  # fmt: skip
                harmless = field.name.endswith(("_at", "_code")) or field.name == "payment_id"
                assert harmless or field.name in known, f"{event.__name__}.{field.name}"
