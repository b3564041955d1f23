# Generated from schemas/avro by `python -m schemas.generate`. Do not edit.
"""Events of the topic ``oms.returns``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, ClassVar, Self

from schemas.event import Event, Record
from schemas.primitives import (
    JSON,
    amount,
    amount_bytes,
    amount_of,
    amount_text,
    field_of,
    instant,
    instant_of,
    instant_text,
    int32,
    many,
    micros,
    only_fields,
    text,
)

__all__ = [
    "InspectedLine",
    "ReturnApproved",
    "ReturnCompleted",
    "ReturnInspected",
    "ReturnLine",
    "ReturnReceived",
    "ReturnRejected",
    "ReturnRequested",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReturnLine(Record):
    """One position that comes back."""

    TYPE: ClassVar[str] = "tidegate.oms.returns.ReturnLine"

    sku: str
    """The stock keeping unit."""
    quantity: int
    """Pieces that come back."""

    def to_record(self) -> dict[str, Any]:
        return {
            "sku": text(self.sku),
            "quantity": int32(self.quantity),
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        return cls(
            sku=record["sku"],
            quantity=int32(record["quantity"]),
        )

    def to_json(self) -> dict[str, JSON]:
        return {
            "sku": self.sku,
            "quantity": self.quantity,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, JSON]) -> Self:
        only_fields(data, frozenset({"sku", "quantity"}))
        return cls(
            sku=field_of(data, "sku", text),
            quantity=field_of(data, "quantity", int32),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class InspectedLine(Record):
    """What became of one position."""

    TYPE: ClassVar[str] = "tidegate.oms.returns.InspectedLine"

    sku: str
    """The stock keeping unit."""
    quantity: int
    """Pieces found."""
    disposition: str
    """restock: fit to be sold again; scrap: not; reject: not refunded."""

    def to_record(self) -> dict[str, Any]:
        return {
            "sku": text(self.sku),
            "quantity": int32(self.quantity),
            "disposition": text(self.disposition),
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        return cls(
            sku=record["sku"],
            quantity=int32(record["quantity"]),
            disposition=record["disposition"],
        )

    def to_json(self) -> dict[str, JSON]:
        return {
            "sku": self.sku,
            "quantity": self.quantity,
            "disposition": self.disposition,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, JSON]) -> Self:
        only_fields(data, frozenset({"sku", "quantity", "disposition"}))
        return cls(
            sku=field_of(data, "sku", text),
            quantity=field_of(data, "quantity", int32),
            disposition=field_of(data, "disposition", text),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ReturnApproved(Event):
    """The return is within the policy, and has a label: the warehouse may expect the parcel.

    Key: ``return_id``.
    """

    TYPE: ClassVar[str] = "tidegate.oms.returns.ReturnApproved"
    TOPIC: ClassVar[str] = "oms.returns"
    KEY: ClassVar[str] = "return_id"

    return_id: str
    """The return."""
    order_id: str
    """The order."""
    tracking_number: str
    """The carrier's number of the parcel that comes back."""
    approved_at: datetime
    """When it was approved. UTC."""
    lines: tuple[ReturnLine, ...]
    """What is to come back."""

    def to_record(self) -> dict[str, Any]:
        return {
            "return_id": text(self.return_id),
            "order_id": text(self.order_id),
            "tracking_number": text(self.tracking_number),
            "approved_at": micros(self.approved_at),
            "lines": [item.to_record() for item in many(self.lines)],
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        return cls(
            return_id=record["return_id"],
            order_id=record["order_id"],
            tracking_number=record["tracking_number"],
            approved_at=instant(record["approved_at"]),
            lines=tuple([ReturnLine.from_record(item) for item in record["lines"]]),
        )

    def to_json(self) -> dict[str, JSON]:
        return {
            "return_id": self.return_id,
            "order_id": self.order_id,
            "tracking_number": self.tracking_number,
            "approved_at": instant_text(self.approved_at),
            "lines": [item.to_json() for item in self.lines],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, JSON]) -> Self:
        only_fields(data, frozenset({"return_id", "order_id", "tracking_number", "approved_at", "lines"}))
        return cls(
            return_id=field_of(data, "return_id", text),
            order_id=field_of(data, "order_id", text),
            tracking_number=field_of(data, "tracking_number", text),
            approved_at=field_of(data, "approved_at", instant_of),
            lines=field_of(data, "lines", lambda x: tuple([ReturnLine.from_json(item) for item in many(x)])),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ReturnCompleted(Event):
    """The return is refunded and its goods are back in stock, or scrapped.

    Key: ``return_id``.
    """

    TYPE: ClassVar[str] = "tidegate.oms.returns.ReturnCompleted"
    TOPIC: ClassVar[str] = "oms.returns"
    KEY: ClassVar[str] = "return_id"

    return_id: str
    """The return."""
    order_id: str
    """The order."""
    refunded: Decimal
    """What was refunded; zero where nothing had been captured."""
    currency: str
    """ISO 4217 code of every amount here, three capital letters."""
    completed_at: datetime
    """When it was done. UTC."""

    def to_record(self) -> dict[str, Any]:
        return {
            "return_id": text(self.return_id),
            "order_id": text(self.order_id),
            "refunded": amount_bytes(self.refunded, 18, 2),
            "currency": text(self.currency),
            "completed_at": micros(self.completed_at),
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        return cls(
            return_id=record["return_id"],
            order_id=record["order_id"],
            refunded=amount(record["refunded"], 18, 2),
            currency=record["currency"],
            completed_at=instant(record["completed_at"]),
        )

    def to_json(self) -> dict[str, JSON]:
        return {
            "return_id": self.return_id,
            "order_id": self.order_id,
            "refunded": amount_text(self.refunded, 18, 2),
            "currency": self.currency,
            "completed_at": instant_text(self.completed_at),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, JSON]) -> Self:
        only_fields(data, frozenset({"return_id", "order_id", "refunded", "currency", "completed_at"}))
        return cls(
            return_id=field_of(data, "return_id", text),
            order_id=field_of(data, "order_id", text),
            refunded=field_of(data, "refunded", lambda x: amount_of(x, 18, 2)),
            currency=field_of(data, "currency", text),
            completed_at=field_of(data, "completed_at", instant_of),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ReturnInspected(Event):
    """The warehouse has looked at what came back; it may be less than was announced.

    Key: ``return_id``.
    """

    TYPE: ClassVar[str] = "tidegate.oms.returns.ReturnInspected"
    TOPIC: ClassVar[str] = "oms.returns"
    KEY: ClassVar[str] = "return_id"

    return_id: str
    """The return."""
    order_id: str
    """The order."""
    inspected_at: datetime
    """When it was looked at. UTC."""
    lines: tuple[InspectedLine, ...]
    """What was found."""

    def to_record(self) -> dict[str, Any]:
        return {
            "return_id": text(self.return_id),
            "order_id": text(self.order_id),
            "inspected_at": micros(self.inspected_at),
            "lines": [item.to_record() for item in many(self.lines)],
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        return cls(
            return_id=record["return_id"],
            order_id=record["order_id"],
            inspected_at=instant(record["inspected_at"]),
            lines=tuple([InspectedLine.from_record(item) for item in record["lines"]]),
        )

    def to_json(self) -> dict[str, JSON]:
        return {
            "return_id": self.return_id,
            "order_id": self.order_id,
            "inspected_at": instant_text(self.inspected_at),
            "lines": [item.to_json() for item in self.lines],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, JSON]) -> Self:
        only_fields(data, frozenset({"return_id", "order_id", "inspected_at", "lines"}))
        return cls(
            return_id=field_of(data, "return_id", text),
            order_id=field_of(data, "order_id", text),
            inspected_at=field_of(data, "inspected_at", instant_of),
            lines=field_of(
                data, "lines", lambda x: tuple([InspectedLine.from_json(item) for item in many(x)])
            ),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ReturnReceived(Event):
    """The parcel has come to the warehouse's door.

    Key: ``return_id``.
    """

    TYPE: ClassVar[str] = "tidegate.oms.returns.ReturnReceived"
    TOPIC: ClassVar[str] = "oms.returns"
    KEY: ClassVar[str] = "return_id"

    return_id: str
    """The return."""
    order_id: str
    """The order."""
    received_at: datetime
    """When it came. UTC."""

    def to_record(self) -> dict[str, Any]:
        return {
            "return_id": text(self.return_id),
            "order_id": text(self.order_id),
            "received_at": micros(self.received_at),
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        return cls(
            return_id=record["return_id"],
            order_id=record["order_id"],
            received_at=instant(record["received_at"]),
        )

    def to_json(self) -> dict[str, JSON]:
        return {
            "return_id": self.return_id,
            "order_id": self.order_id,
            "received_at": instant_text(self.received_at),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, JSON]) -> Self:
        only_fields(data, frozenset({"return_id", "order_id", "received_at"}))
        return cls(
            return_id=field_of(data, "return_id", text),
            order_id=field_of(data, "order_id", text),
            received_at=field_of(data, "received_at", instant_of),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ReturnRejected(Event):
    """The return ends without a refund.

    Key: ``return_id``.
    """

    TYPE: ClassVar[str] = "tidegate.oms.returns.ReturnRejected"
    TOPIC: ClassVar[str] = "oms.returns"
    KEY: ClassVar[str] = "return_id"

    return_id: str
    """The return."""
    order_id: str
    """The order."""
    code: str
    """Why, for programs: POLICY, NOT_RECEIVED, NOT_ACCEPTED or CANCELLED."""
    reason: str
    """Why, in one sentence for people."""
    rejected_at: datetime
    """When it ended. UTC."""

    def to_record(self) -> dict[str, Any]:
        return {
            "return_id": text(self.return_id),
            "order_id": text(self.order_id),
            "code": text(self.code),
            "reason": text(self.reason),
            "rejected_at": micros(self.rejected_at),
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        return cls(
            return_id=record["return_id"],
            order_id=record["order_id"],
            code=record["code"],
            reason=record["reason"],
            rejected_at=instant(record["rejected_at"]),
        )

    def to_json(self) -> dict[str, JSON]:
        return {
            "return_id": self.return_id,
            "order_id": self.order_id,
            "code": self.code,
            "reason": self.reason,
            "rejected_at": instant_text(self.rejected_at),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, JSON]) -> Self:
        only_fields(data, frozenset({"return_id", "order_id", "code", "reason", "rejected_at"}))
        return cls(
            return_id=field_of(data, "return_id", text),
            order_id=field_of(data, "order_id", text),
            code=field_of(data, "code", text),
            reason=field_of(data, "reason", text),
            rejected_at=field_of(data, "rejected_at", instant_of),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ReturnRequested(Event):
    """A customer wants to send something back. Nothing in it is judged yet.

    Key: ``return_id``.
    """

    TYPE: ClassVar[str] = "tidegate.oms.returns.ReturnRequested"
    TOPIC: ClassVar[str] = "oms.returns"
    KEY: ClassVar[str] = "return_id"

    return_id: str
    """The return."""
    order_id: str
    """The order."""
    reason_code: str
    """Why, for programs: DAMAGED, WRONG_ITEM, NOT_WANTED or OTHER."""
    requested_at: datetime
    """When the customer asked. UTC."""
    lines: tuple[ReturnLine, ...]
    """What is to come back."""

    def to_record(self) -> dict[str, Any]:
        return {
            "return_id": text(self.return_id),
            "order_id": text(self.order_id),
            "reason_code": text(self.reason_code),
            "requested_at": micros(self.requested_at),
            "lines": [item.to_record() for item in many(self.lines)],
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        return cls(
            return_id=record["return_id"],
            order_id=record["order_id"],
            reason_code=record["reason_code"],
            requested_at=instant(record["requested_at"]),
            lines=tuple([ReturnLine.from_record(item) for item in record["lines"]]),
        )

    def to_json(self) -> dict[str, JSON]:
        return {
            "return_id": self.return_id,
            "order_id": self.order_id,
            "reason_code": self.reason_code,
            "requested_at": instant_text(self.requested_at),
            "lines": [item.to_json() for item in self.lines],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, JSON]) -> Self:
        only_fields(data, frozenset({"return_id", "order_id", "reason_code", "requested_at", "lines"}))
        return cls(
            return_id=field_of(data, "return_id", text),
            order_id=field_of(data, "order_id", text),
            reason_code=field_of(data, "reason_code", text),
            requested_at=field_of(data, "requested_at", instant_of),
            lines=field_of(data, "lines", lambda x: tuple([ReturnLine.from_json(item) for item in many(x)])),
        )
