# Generated from schemas/avro by `python -m schemas.generate`. Do not edit.
"""Events of the topic ``fraud.decisions``."""

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
    micros,
    only_fields,
    text,
)

__all__ = ["FraudDecided", "ManualReviewDecided"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FraudDecided(Event):
    """Fraud detection has judged a checkout by rule.

    Key: ``checkout_id``.
    """

    TYPE: ClassVar[str] = "tidegate.fraud.decisions.FraudDecided"
    TOPIC: ClassVar[str] = "fraud.decisions"
    KEY: ClassVar[str] = "checkout_id"

    checkout_id: str
    """The checkout: one attempt of a customer to buy."""
    decision: str
    """approved, rejected or review: a person has to look at it."""
    reason: str | None = None
    """Why, in one sentence for people."""
    decided_at: datetime
    """When it was judged. UTC."""

    def to_record(self) -> dict[str, Any]:
        return {
            "checkout_id": text(self.checkout_id),
            "decision": text(self.decision),
            "reason": None if self.reason is None else text(self.reason),
            "decided_at": micros(self.decided_at),
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        return cls(
            checkout_id=record["checkout_id"],
            decision=record["decision"],
            reason=record["reason"],
            decided_at=instant(record["decided_at"]),
        )

    def to_json(self) -> dict[str, JSON]:
        return {
            "checkout_id": self.checkout_id,
            "decision": self.decision,
            "reason": self.reason,
            "decided_at": instant_text(self.decided_at),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, JSON]) -> Self:
        only_fields(data, frozenset({"checkout_id", "decision", "reason", "decided_at"}))
        return cls(
            checkout_id=field_of(data, "checkout_id", text),
            decision=field_of(data, "decision", text),
            reason=field_of(data, "reason", lambda x: None if x is None else text(x))
            if "reason" in data
            else None,
            decided_at=field_of(data, "decided_at", instant_of),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ManualReviewDecided(Event):
    """A person has judged a checkout that was sent to review.

    Key: ``checkout_id``.
    """

    TYPE: ClassVar[str] = "tidegate.fraud.decisions.ManualReviewDecided"
    TOPIC: ClassVar[str] = "fraud.decisions"
    KEY: ClassVar[str] = "checkout_id"

    checkout_id: str
    """The checkout: one attempt of a customer to buy."""
    decision: str
    """approved or rejected."""
    reviewer_id: str
    """Reference to the reviewer; never a name."""
    reason: str | None = None
    """Why, in one sentence for people."""
    decided_at: datetime
    """When it was judged. UTC."""

    def to_record(self) -> dict[str, Any]:
        return {
            "checkout_id": text(self.checkout_id),
            "decision": text(self.decision),
            "reviewer_id": text(self.reviewer_id),
            "reason": None if self.reason is None else text(self.reason),
            "decided_at": micros(self.decided_at),
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        return cls(
            checkout_id=record["checkout_id"],
            decision=record["decision"],
            reviewer_id=record["reviewer_id"],
            reason=record["reason"],
            decided_at=instant(record["decided_at"]),
        )

    def to_json(self) -> dict[str, JSON]:
        return {
            "checkout_id": self.checkout_id,
            "decision": self.decision,
            "reviewer_id": self.reviewer_id,
            "reason": self.reason,
            "decided_at": instant_text(self.decided_at),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, JSON]) -> Self:
        only_fields(data, frozenset({"checkout_id", "decision", "reviewer_id", "reason", "decided_at"}))
        return cls(
            checkout_id=field_of(data, "checkout_id", text),
            decision=field_of(data, "decision", text),
            reviewer_id=field_of(data, "reviewer_id", text),
            reason=field_of(data, "reason", lambda x: None if x is None else text(x))
            if "reason" in data
            else None,
            decided_at=field_of(data, "decided_at", instant_of),
        )
