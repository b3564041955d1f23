# Generated from schemas/avro by `python -m schemas.generate`. Do not edit.
"""Events of the topic ``tidegate.alerts``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Self

from schemas.event import Event
from schemas.primitives import (
    JSON,
    field_of,
    instant,
    instant_of,
    instant_text,
    int32,
    int64,
    micros,
    only_fields,
    text,
)

__all__ = ["CostAlert", "ReconciliationAlert"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CostAlert(Event):
    """Something that costs money goes beyond its budget.

    Key: ``subject``.
    """

    TYPE: ClassVar[str] = "tidegate.tidegate.alerts.CostAlert"
    TOPIC: ClassVar[str] = "tidegate.alerts"
    KEY: ClassVar[str] = "subject"

    subject: str
    """What the alert is about: the id of an order, a checkout, a payment; the name of a measure."""
    measure: str
    """What is counted: workflows or events."""
    value: int
    """How many there were in the window."""
    budget: int
    """How many there may be."""
    window_seconds: int
    """The length of the window in seconds."""
    found_at: datetime
    """When it was found. UTC."""

    def to_record(self) -> dict[str, Any]:
        return {
            "subject": text(self.subject),
            "measure": text(self.measure),
            "value": int64(self.value),
            "budget": int64(self.budget),
            "window_seconds": int32(self.window_seconds),
            "found_at": micros(self.found_at),
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        return cls(
            subject=record["subject"],
            measure=record["measure"],
            value=int64(record["value"]),
            budget=int64(record["budget"]),
            window_seconds=int32(record["window_seconds"]),
            found_at=instant(record["found_at"]),
        )

    def to_json(self) -> dict[str, JSON]:
        return {
            "subject": self.subject,
            "measure": self.measure,
            "value": self.value,
            "budget": self.budget,
            "window_seconds": self.window_seconds,
            "found_at": instant_text(self.found_at),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, JSON]) -> Self:
        only_fields(data, frozenset({"subject", "measure", "value", "budget", "window_seconds", "found_at"}))
        return cls(
            subject=field_of(data, "subject", text),
            measure=field_of(data, "measure", text),
            value=field_of(data, "value", int64),
            budget=field_of(data, "budget", int64),
            window_seconds=field_of(data, "window_seconds", int32),
            found_at=field_of(data, "found_at", instant_of),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ReconciliationAlert(Event):
    """A business entity is stuck between two states, and could not be resumed without a person.

    Key: ``subject``.
    """

    TYPE: ClassVar[str] = "tidegate.tidegate.alerts.ReconciliationAlert"
    TOPIC: ClassVar[str] = "tidegate.alerts"
    KEY: ClassVar[str] = "subject"

    subject: str
    """What the alert is about: the id of an order, a checkout, a payment; the name of a measure."""
    kind: str
    """Which partial state, for programs, as in the reconciliation's list."""
    detail: str
    """What was found, in one sentence for people; nothing personal."""
    found_at: datetime
    """When it was found. UTC."""

    def to_record(self) -> dict[str, Any]:
        return {
            "subject": text(self.subject),
            "kind": text(self.kind),
            "detail": text(self.detail),
            "found_at": micros(self.found_at),
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        return cls(
            subject=record["subject"],
            kind=record["kind"],
            detail=record["detail"],
            found_at=instant(record["found_at"]),
        )

    def to_json(self) -> dict[str, JSON]:
        return {
            "subject": self.subject,
            "kind": self.kind,
            "detail": self.detail,
            "found_at": instant_text(self.found_at),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, JSON]) -> Self:
        only_fields(data, frozenset({"subject", "kind", "detail", "found_at"}))
        return cls(
            subject=field_of(data, "subject", text),
            kind=field_of(data, "kind", text),
            detail=field_of(data, "detail", text),
            found_at=field_of(data, "found_at", instant_of),
        )
