"""The order file: every rule has its reason, with line and field."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from infra.errors import InvalidInputError
from infra.ids import order_id_of
from services.order_rules import reasons_against
from services.orders import OrderLine, OrderSubmission
from services.upstream.generator import generate_orders
from services.upstream.order_file import parse_orders, read_order_file


def order(**changes: Any) -> dict[str, Any]:
    """A good order as JSON data; a change to ``...`` leaves the field out."""
    line = {"sku": "A", "quantity": 2, "unit_price": "9.99", "discount": "0.15"}
    data: dict[str, Any] = {
        "request_id": "r-1",
        "customer_id": "c-1",
        "currency": "EUR",
        "ordered_at": "2026-11-21T10:00:00+01:00",
        "lines": [line],
    }
    data.update(changes)
    return {name: value for name, value in data.items() if value is not ...}


def line(**changes: Any) -> dict[str, Any]:
    """A good order whose only line has ``changes``."""
    data = {"sku": "A", "quantity": 2, "unit_price": "9.99", "discount": "0.15"} | changes
    return order(lines=[{name: value for name, value in data.items() if value is not ...}])


def parsed(*lines: Any) -> Any:
    """What is found in ``lines``: JSON data, or bytes as they are."""
    return parse_orders([one if isinstance(one, bytes) else json.dumps(one).encode() for one in lines])


def test_a_good_line_is_an_order() -> None:
    """All fields are read; the time is in UTC; a missing discount is none."""
    found = parsed(order(), line(discount=...) | {"request_id": "r-2"})
    assert found.bad == ()
    assert found.submissions[0] == OrderSubmission(
        order_id=order_id_of("r-1"),
        request_id="r-1",
        customer_id="c-1",
        currency="EUR",
        ordered_at=datetime(2026, 11, 21, 9, 0, tzinfo=UTC),
        lines=(OrderLine("A", 2, Decimal("9.99"), Decimal("0.15")),),
    )
    assert found.submissions[1].lines[0].discount == 0


@pytest.mark.parametrize(
    ("data", "field", "reason"),
    [
        (order(request_id=...), "request_id", "is missing"),
        (order(request_id=""), "request_id", "is empty"),
        (order(request_id=7), "request_id", "must be a string, is the number 7"),
        (order(request_id="a\nb"), "request_id", "holds a character that cannot be printed"),
        (order(request_id="x" * 201), "request_id", "is longer than 200 characters"),
        (order(customer_id=None), "customer_id", "must be a string, is null"),
        (order(currency="eur"), "currency", "must be three capital letters, is 'eur'"),
        (order(currency="EURO"), "currency", "must be three capital letters, is 'EURO'"),
        (order(ordered_at="2026-11-21T10:00:00"), "ordered_at", "must be a time with its zone"),
        (order(ordered_at="yesterday"), "ordered_at", "must be a time with its zone"),
        (order(ordered_at=1763719200), "ordered_at", "must be a time with its zone"),
        (order(lines=...), "lines", "is missing"),
        (order(lines=[]), "lines", "is empty"),
        (order(lines=[{}] * 1001), "lines", "holds 1001 lines"),
        (order(lines={}), "lines", "must be a list, is an object"),
        (order(lines=["A"]), "lines[0]", "must be an object, is the string 'A'"),
        (order(customer_name="somebody"), "customer_name", "is no field"),
        (line(sku=...), "lines[0].sku", "is missing"),
        (line(quantity=-2), "lines[0].quantity", "must be from 1 to 2147483647, is -2"),
        (line(quantity=0), "lines[0].quantity", "must be from 1"),
        (line(quantity=1.5), "lines[0].quantity", "must be a whole number, is the number 1.5"),
        (line(quantity="2"), "lines[0].quantity", "must be a whole number, is the string '2'"),
        (line(quantity=True), "lines[0].quantity", "must be a whole number, is true"),
        (line(unit_price=9.99), "lines[0].unit_price", "as a string"),
        (line(unit_price="9.999"), "lines[0].unit_price", "at most 2 decimals"),
        (line(unit_price="-1"), "lines[0].unit_price", "must be an amount"),
        (line(unit_price="1e3"), "lines[0].unit_price", "must be an amount"),
        (line(unit_price="NaN"), "lines[0].unit_price", "must be an amount"),
        (line(unit_price="٣"), "lines[0].unit_price", "must be an amount"),
        (line(discount="1.5"), "lines[0].discount", "a fraction from 0 to 1"),
        (line(discount="15%"), "lines[0].discount", "a fraction from 0 to 1"),
        (line(discount=0.15), "lines[0].discount", "as a string"),
        (line(discout="0.1"), "lines[0].discout", "is no field"),
        (line(quantity=2_000_000_000, unit_price="9999999999999999"), "lines[0]", "10^16 or more"),
        (["not", "an", "order"], "", "must be an object, is a list"),
        (b'{"request_id": "r-1"', "", "is not JSON"),
        (b'{"request_id": "r-1", "request_id": "r-2"}', "request_id", "stands twice"),
        (b'{"request_id": NaN}', "", "is not JSON: NaN"),
        (b"\xff\xfe", "", "is not UTF-8 (byte 1)"),
        (b"[" * 100_000, "", "is not JSON"),
        (b'{"a\\nb": ' + b"1" * 5000 + b"}", "", "is not JSON"),
        (b" " * 1_000_001, "", "is longer than"),
    ],
)
def test_a_bad_line_is_named(data: Any, field: str, reason: str) -> None:
    """The line's number, the field and the reason are given, and the good lines around it are read."""
    found = parsed(order(request_id="before"), data, order(request_id="after"))
    (bad,) = found.bad
    assert (bad.line, bad.field) == (2, field)
    assert reason in bad.reason
    assert "\n" not in str(bad)
    assert [one.request_id for one in found.submissions] == ["before", "after"]


def test_a_request_id_stands_once_in_a_file() -> None:
    """The second line with a request_id is bad, and names the first."""
    found = parsed(order(), b"", order())
    assert [str(bad) for bad in found.bad] == ["3: request_id: stands on line 1 already"]


def test_a_file_without_a_newline_at_its_end_or_with_a_mark_at_its_start_is_read(tmp_path: Path) -> None:
    """A byte order mark and empty lines are no part of an order."""
    path = tmp_path / "orders.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps(order()).encode() + b"\r\n\r\n")
    assert len(read_order_file(path)) == 1


def test_a_file_with_bad_lines_is_refused_as_a_whole(tmp_path: Path) -> None:
    """The message names file, line, field and reason, and how many more there are."""
    path = tmp_path / "orders.jsonl"
    path.write_text(f"{json.dumps(line(quantity=-2))}\nnonsense\n")
    with pytest.raises(
        InvalidInputError, match=r"orders.jsonl:1: lines\[0\].quantity: .*\(and 1 more bad lines\)"
    ):
        read_order_file(path)
    with pytest.raises(InvalidInputError, match="cannot be read"):
        read_order_file(tmp_path / "nothing")


def test_what_the_file_accepts_oms_accepts() -> None:
    """No order that passes the file is rejected by OMS for its form."""
    for submission in [*parsed(order()).submissions, *generate_orders(50, 3)]:
        assert reasons_against(submission) == ()
