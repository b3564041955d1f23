"""The order file: JSON Lines, one order a line, amounts as strings.

    {"request_id": "r-1", "customer_id": "c-7", "currency": "EUR", "ordered_at": "2026-11-21T10:00:00Z",
     "lines": [{"sku": "DESK", "quantity": 1, "unit_price": "249.00", "discount": "0.15"}]}

Amounts are strings because JSON numbers are binary fractions to most readers. ``discount`` may be left out;
a field that is not listed is refused, so that a misspelt one is not silently missing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

from infra.errors import InvalidInputError
from infra.ids import is_word, order_id_of
from services.orders import OrderLine, OrderSubmission

_CURRENCY = re.compile(r"[A-Z]{3}")
_PRICE = re.compile(r"[0-9]{1,16}(\.[0-9]{1,2})?")
_DISCOUNT = re.compile(r"0(\.[0-9]{1,4})?|1(\.0{1,4})?")
_LONGEST_LINE = 1_000_000
_LONGEST_NAME = 200
_MOST_LINES = 1000
_LARGEST_QUANTITY = 2**31 - 1
_LARGEST_AMOUNT = Decimal(10) ** 16

_ORDER_FIELDS = ("request_id", "customer_id", "currency", "ordered_at", "lines")

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line that holds no order: its number (from 1), the field, and why."""

    line: int
    field: str
    reason: str

    def __str__(self) -> str:
        return f"{self.line}: {self.field}: {self.reason}" if self.field else f"{self.line}: {self.reason}"


@dataclass(frozen=True, slots=True)
class OrderFile:
    """What a file holds: the orders in its order, and the lines that are none."""

    submissions: tuple[OrderSubmission, ...]
    bad: tuple[BadLine, ...]


class BadFieldError(Exception):
    """A field of a line that holds no order; it ends as a :class:`BadLine`."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(field, reason)
        self.field = field
        self.reason = reason


def read_order_file(path: Path) -> tuple[OrderSubmission, ...]:
    """The orders of the file at ``path``.

    Raises :class:`InvalidInputError`, naming the first bad line with its field and reason.
    """
    try:
        with path.open("rb") as file:
            found = parse_orders(file)
    except OSError as error:
        raise InvalidInputError(f"{path}: cannot be read: {error.strerror}") from error
    if found.bad:
        more = f" (and {len(found.bad) - 1} more bad lines)" if len(found.bad) > 1 else ""
        raise InvalidInputError(f"{path}:{found.bad[0]}{more}")
    return found.submissions


def parse_orders(lines: Iterable[bytes]) -> OrderFile:
    """The orders in ``lines``; a line that is none is named and passed over, an empty one is no line at all.

    A ``request_id`` that stands twice is a mistake in the file: the second line is bad.
    """
    submissions, bad = read_lines(lines, order_in, lambda order: order.request_id)
    return OrderFile(submissions, bad)


def read_lines(
    lines: Iterable[bytes], make: Callable[[Any], Value], request_id_of: Callable[[Value], str]
) -> tuple[tuple[Value, ...], tuple[BadLine, ...]]:
    """What ``make`` makes of the JSON on each line, and the lines that are bad; ``request_id_of`` is unique."""
    found: list[Value] = []
    bad: list[BadLine] = []
    first_line: dict[str, int] = {}
    for number, line in enumerate(lines, start=1):
        try:
            text = _text(line, first=number == 1)
            if not text:
                continue
            value = make(_json(text))
            _refuse_repeat(request_id_of(value), first_line)
        except BadFieldError as error:
            bad.append(BadLine(number, error.field, error.reason))
        else:
            first_line[request_id_of(value)] = number
            found.append(value)
    return tuple(found), tuple(bad)


def _refuse_repeat(request_id: str, first_line: Mapping[str, int]) -> None:
    if request_id in first_line:
        raise BadFieldError("request_id", f"stands on line {first_line[request_id]} already")


def _text(line: bytes, *, first: bool) -> str:
    if len(line) > _LONGEST_LINE:
        raise BadFieldError("", f"is longer than {_LONGEST_LINE} bytes")
    try:
        return line.decode("utf-8-sig" if first else "utf-8").strip()
    except UnicodeDecodeError as error:
        raise BadFieldError("", f"is not UTF-8 (byte {error.start + 1})") from error


def _json(text: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_without_repeats, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        raise BadFieldError("", f"is not JSON: {error.msg} at column {error.colno}") from error
    except (RecursionError, ValueError) as error:
        raise BadFieldError("", "is not JSON that an order can be read from") from error


def order_in(data: Any, *, also: tuple[str, ...] = (), optional: tuple[str, ...] = ()) -> OrderSubmission:
    """The order in ``data``, whose other fields, ``also`` needed or ``optional``, are somebody else's to read."""
    fields = _fields(data, "", (*_ORDER_FIELDS, *also), optional)
    request_id = reference_in(fields["request_id"], "request_id")
    return OrderSubmission(
        order_id=order_id_of(request_id),
        request_id=request_id,
        customer_id=reference_in(fields["customer_id"], "customer_id"),
        currency=_matching(fields["currency"], "currency", _CURRENCY, "three capital letters", str),
        ordered_at=_instant(fields["ordered_at"], "ordered_at"),
        lines=_lines(fields["lines"]),
    )


def _lines(value: Any) -> tuple[OrderLine, ...]:
    if not isinstance(value, list):
        raise BadFieldError("lines", f"must be a list, is {_kind(value)}")
    if not value:
        raise BadFieldError("lines", "is empty: an order has at least one line")
    if len(value) > _MOST_LINES:
        raise BadFieldError("lines", f"holds {len(value)} lines; an order has at most {_MOST_LINES}")
    return tuple(_line(item, f"lines[{number}]") for number, item in enumerate(value))


def _line(value: Any, place: str) -> OrderLine:
    fields = _fields(value, place, ("sku", "quantity", "unit_price"), ("discount",))
    line = OrderLine(
        sku=_name(fields["sku"], f"{place}.sku"),
        quantity=_quantity(fields["quantity"], f"{place}.quantity"),
        unit_price=_matching(
            fields["unit_price"],
            f"{place}.unit_price",
            _PRICE,
            'an amount of at most 2 decimals as a string, as "19.99"',
            Decimal,
        ),
        discount=_matching(
            fields.get("discount", "0"),
            f"{place}.discount",
            _DISCOUNT,
            'a fraction from 0 to 1 of at most 4 decimals as a string, as "0.15"',
            Decimal,
        ),
    )
    if line.quantity * line.unit_price >= _LARGEST_AMOUNT:
        raise BadFieldError(place, "quantity times unit_price is 10^16 or more")
    return line


def _fields(value: Any, place: str, needed: tuple[str, ...], optional: tuple[str, ...]) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise BadFieldError(place, f"must be an object, is {_kind(value)}")
    inside = f"{place}." if place else ""
    for name in needed:
        if name not in value:
            raise BadFieldError(f"{inside}{name}", "is missing")
    for name in value:
        if name not in needed and name not in optional:
            raise BadFieldError(
                f"{inside}{_shown(name)}", f"is no field; there are {', '.join(needed + optional)}"
            )
    return value


def _name(value: Any, field: str) -> str:
    if not isinstance(value, str):
        raise BadFieldError(field, f"must be a string, is {_kind(value)}")
    if not value.strip():
        raise BadFieldError(field, "is empty")
    if len(value) > _LONGEST_NAME:
        raise BadFieldError(field, f"is longer than {_LONGEST_NAME} characters")
    if not value.isprintable():
        raise BadFieldError(field, "holds a character that cannot be printed")
    return value


def reference_in(value: Any, field: str) -> str:
    """The reference in ``value``: one word that can be no name and no address."""
    name = _name(value, field)
    if not is_word(name):
        # Without the value, which may be an address or a name.
        raise BadFieldError(field, "is no reference: one word of letters, digits and . _ : / ~ -")
    return name


def _quantity(value: Any, field: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise BadFieldError(field, f"must be a whole number, is {_kind(value)}")
    if not 1 <= value <= _LARGEST_QUANTITY:
        raise BadFieldError(field, f"must be from 1 to {_LARGEST_QUANTITY}, is {value}")
    return value


def _matching(
    value: Any, field: str, pattern: re.Pattern[str], wanted: str, make: Callable[[str], Value]
) -> Value:
    if not isinstance(value, str):
        raise BadFieldError(field, f"must be {wanted}, is {_kind(value)}")
    if not pattern.fullmatch(value):
        raise BadFieldError(field, f"must be {wanted}, is {value[:40]!r}")
    return make(value)


def _instant(value: Any, field: str) -> datetime:
    wanted = "a time with its zone, as 2026-11-21T10:00:00Z"
    if not isinstance(value, str):
        raise BadFieldError(field, f"must be {wanted}, is {_kind(value)}")
    try:
        instant = datetime.fromisoformat(value)
        if instant.tzinfo is not None:
            return instant.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise BadFieldError(field, f"must be {wanted}, is {value[:40]!r}")


def _kind(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int() | float():
            return f"the number {str(value)[:40]}"
        case str():
            return f"the string {value[:40]!r}"
        case list():
            return "a list"
        case _:
            return "an object"


def _shown(name: str) -> str:
    """A field's name as a message can show it: short, and on one line."""
    return name[:100] if name.isprintable() else repr(name[:100])


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise BadFieldError(_shown(name), "stands twice in one object")
        found[name] = value
    return found


def _no_constant(name: str) -> Any:
    raise BadFieldError("", f"is not JSON: {name} is no number")
