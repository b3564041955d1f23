"""What a Python value is in Avro, and in JSON, and back: strictly, in bounded time.

The generated events call these. A value that does not fit raises ValueError or TypeError here; the codec
turns that into an error which names the event and the field.

Decimals are converted here and not by fastavro, for two reasons seen in it: reading 1 MiB of bytes as a
decimal takes two minutes, and more digits than the precision are rounded without a word.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final, TypeAlias, TypeVar

JSON: TypeAlias = "bool | int | float | str | list[JSON] | dict[str, JSON] | None"
"""What JSON can hold."""

Value = TypeVar("Value")

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_WIDEST: Final = 16
_DECIMAL: Final = re.compile(r"-?\d{1,40}(\.\d{1,40})?")


def text(value: Any) -> str:
    """``value``, which must be text that UTF-8 can hold."""
    if not isinstance(value, str):
        raise TypeError("is not text")
    return value


def truth(value: Any) -> bool:
    """``value``, which must be True or False."""
    if value is not True and value is not False:
        raise TypeError("is neither True nor False")
    return value


def int32(value: Any) -> int:
    """``value``, which must be a whole number of 32 bits (Avro ``int``)."""
    if type(value) is not int:
        raise TypeError("is not a whole number")
    if not -0x80000000 <= value <= 0x7FFFFFFF:
        raise ValueError("does not fit 32 bits")
    return value


def int64(value: Any) -> int:
    """``value``, which must be a whole number of 64 bits (Avro ``long``)."""
    if type(value) is not int:
        raise TypeError("is not a whole number")
    if not -0x8000000000000000 <= value <= 0x7FFFFFFFFFFFFFFF:
        raise ValueError("does not fit 64 bits")
    return value


def many(value: Any) -> Sequence[Any]:
    """``value``, which must be a tuple or a list."""
    if not isinstance(value, (tuple, list)):
        raise TypeError("is not a tuple")
    return value


def amount_bytes(value: Any, precision: int, scale: int) -> bytes:
    """``value`` as Avro ``decimal(precision, scale)``: two's complement, big-endian, as short as it can be.

    Nothing is rounded: a value with more digits than fit is a ValueError.
    """
    if not isinstance(value, Decimal):
        raise TypeError("is not a Decimal")
    unscaled = _unscaled(value, precision, scale)
    return unscaled.to_bytes((unscaled.bit_length() + 8) // 8, "big", signed=True)


def amount(raw: bytes, precision: int, scale: int) -> Decimal:
    """The number in ``raw``, Avro ``decimal(precision, scale)``; ValueError when it has too many digits."""
    if len(raw) > _WIDEST:  # some producers pad to a fixed width; more than this is not worth converting
        raise ValueError(f"has {len(raw)} bytes, more than {_WIDEST}")
    unscaled = int.from_bytes(raw, "big", signed=True)
    if abs(unscaled) >= 10**precision:
        raise ValueError(f"has more than {precision} digits")
    return Decimal(unscaled).scaleb(-scale)


def amount_text(value: Decimal, precision: int, scale: int) -> str:
    """``value`` with exactly ``scale`` digits after the point; ValueError when that would round it."""
    unscaled = _unscaled(value, precision, scale)
    return str(Decimal(unscaled).scaleb(-scale))


def amount_of(value: Any, precision: int, scale: int) -> Decimal:
    """The number written in the text ``value``: digits, at most one point, a leading minus, no exponent."""
    if not isinstance(value, str) or _DECIMAL.fullmatch(value) is None:
        raise ValueError("is not a decimal number written as text")
    unscaled = _unscaled(Decimal(value), precision, scale)
    return Decimal(unscaled).scaleb(-scale)


def micros(value: Any) -> int:
    """``value`` as microseconds since 1970-01-01 UTC (Avro ``timestamp-micros``)."""
    if not isinstance(value, datetime):
        raise TypeError("is not a datetime")
    if value.tzinfo is None:
        raise ValueError("is a datetime without a time zone")
    return (value - _EPOCH) // _MICROSECOND


def instant(raw: int) -> datetime:
    """The time in UTC ``raw`` microseconds after 1970-01-01; OverflowError outside of the years 1 to 9999."""
    return _EPOCH + timedelta(microseconds=raw)


def instant_text(value: datetime) -> str:
    """``value`` in ISO 8601, in UTC, with microseconds and a Z: ``2026-11-21T09:30:00.000000Z``."""
    if value.tzinfo is None:
        raise ValueError("is a datetime without a time zone")
    return value.astimezone(UTC).isoformat(timespec="microseconds")[:-6] + "Z"


def instant_of(value: Any) -> datetime:
    """The time written in the ISO 8601 text ``value``, which must name its offset; the result is in UTC."""
    if not isinstance(value, str):
        raise TypeError("is not text")
    parsed = datetime.fromisoformat(value)
    if parsed.tzinfo is None:
        raise ValueError("is a time without an offset: end it with Z")
    return parsed.astimezone(UTC)


def optional(convert: Callable[[Any], Value], value: Any) -> Value | None:
    """``convert(value)``, or None for None."""
    return None if value is None else convert(value)


def field_of(data: Mapping[str, Any], name: str, convert: Callable[[Any], Value]) -> Value:
    """``convert(data[name])``; a ValueError that names the field when it is missing or does not fit."""
    if name not in data:
        raise ValueError(f"field {name} is missing")
    try:
        return convert(data[name])
    except (ValueError, TypeError, OverflowError) as error:
        raise ValueError(f"field {name}: {data[name]!r:.60} {error}") from None


def only_fields(data: Any, names: frozenset[str]) -> None:
    """Raise ValueError unless ``data`` is a JSON object whose fields are all in ``names``."""
    if not isinstance(data, Mapping):
        raise TypeError("is not a JSON object")
    unknown = sorted(set(data) - names)
    if unknown:
        raise ValueError(f"field {unknown[0]} is not in the schema")


def _unscaled(value: Decimal, precision: int, scale: int) -> int:
    if not value.is_finite():
        raise ValueError("is not a finite number")
    # Before it becomes an int: Decimal("1E+1000000000") is a short text and a very long number.
    if value.adjusted() >= precision - scale and value:
        raise ValueError(f"has more than {precision - scale} digits before the point")
    unscaled = int(value.scaleb(scale)) if value else 0
    if Decimal(unscaled).scaleb(-scale) != value:
        raise ValueError(f"has more than {scale} digits after the point")
    return unscaled
