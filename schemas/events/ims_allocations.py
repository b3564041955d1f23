# Generated from schemas/avro by `python -m schemas.generate`. Do not edit.
"""Events of the topic ``ims.allocations``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Self

from schemas.event import Event, Record
from schemas.primitives import (
    JSON,
    field_of,
    instant,
    instant_of,
    instant_text,
    int32,
    many,
    micros,
    only_fields,
    text,
    truth,
)

__all__ = [
    "AllocatedLine",
    "AllocationFailed",
    "InventoryAllocated",
    "InventoryConsumed",
    "InventoryReleased",
    "InventoryReturned",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class AllocatedLine(Record):
    """One sku that is set aside, bills of materials resolved."""

    TYPE: ClassVar[str] = "tidegate.ims.allocations.AllocatedLine"

    sku: str
    """The stock keeping unit."""
    quantity: int
    """Pieces set aside."""

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
class AllocationFailed(Event):
    """IMS will never be able to serve the order; waiting would not help.

    Key: ``order_id``.
    """

    TYPE: ClassVar[str] = "tidegate.ims.allocations.AllocationFailed"
    TOPIC: ClassVar[str] = "ims.allocations"
    KEY: ClassVar[str] = "order_id"

    order_id: str
    """The order: the UUID that is derived from the submission's request_id."""
    code: str
    """Why, for programs: a fixed word in capitals such as UNKNOWN_SKU or DISCONTINUED."""
    reason: str
    """Why, for people: one sentence."""
    skus: tuple[str, ...]
    """The skus that cannot be served."""
    failed_at: datetime
    """When IMS gave the allocation up. UTC."""

    def to_record(self) -> dict[str, Any]:
        return {
            "order_id": text(self.order_id),
            "code": text(self.code),
            "reason": text(self.reason),
            "skus": [text(item) for item in many(self.skus)],
            "failed_at": micros(self.failed_at),
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        return cls(
            order_id=record["order_id"],
            code=record["code"],
            reason=record["reason"],
            skus=tuple(record["skus"]),
            failed_at=instant(record["failed_at"]),
        )

    def to_json(self) -> dict[str, JSON]:
        return {
            "order_id": self.order_id,
            "code": self.code,
            "reason": self.reason,
            "skus": list(self.skus),
            "failed_at": instant_text(self.failed_at),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, JSON]) -> Self:
        only_fields(data, frozenset({"order_id", "code", "reason", "skus", "failed_at"}))
        return cls(
            order_id=field_of(data, "order_id", text),
            code=field_of(data, "code", text),
            reason=field_of(data, "reason", text),
            skus=field_of(data, "skus", lambda x: tuple([text(item) for item in many(x)])),
            failed_at=field_of(data, "failed_at", instant_of),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class InventoryAllocated(Event):
    """IMS has set aside everything that the order needs, all of it or nothing.

    Key: ``order_id``.
    """

    TYPE: ClassVar[str] = "tidegate.ims.allocations.InventoryAllocated"
    TOPIC: ClassVar[str] = "ims.allocations"
    KEY: ClassVar[str] = "order_id"

    order_id: str
    """The order: the UUID that is derived from the submission's request_id."""
    reservation_id: str
    """The reservation: the UUID that IMS derives from the order id."""
    waited: bool
    """True when the order had to wait for stock to come."""
    lines: tuple[AllocatedLine, ...]
    """What is set aside, by sku."""
    allocated_at: datetime
    """When IMS reserved the stock. UTC."""

    def to_record(self) -> dict[str, Any]:
        return {
            "order_id": text(self.order_id),
            "reservation_id": text(self.reservation_id),
            "waited": truth(self.waited),
            "lines": [item.to_record() for item in many(self.lines)],
            "allocated_at": micros(self.allocated_at),
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        return cls(
            order_id=record["order_id"],
            reservation_id=record["reservation_id"],
            waited=record["waited"],
            lines=tuple([AllocatedLine.from_record(item) for item in record["lines"]]),
            allocated_at=instant(record["allocated_at"]),
        )

    def to_json(self) -> dict[str, JSON]:
        return {
            "order_id": self.order_id,
            "reservation_id": self.reservation_id,
            "waited": self.waited,
            "lines": [item.to_json() for item in self.lines],
            "allocated_at": instant_text(self.allocated_at),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, JSON]) -> Self:
        only_fields(data, frozenset({"order_id", "reservation_id", "waited", "lines", "allocated_at"}))
        return cls(
            order_id=field_of(data, "order_id", text),
            reservation_id=field_of(data, "reservation_id", text),
            waited=field_of(data, "waited", truth),
            lines=field_of(
                data, "lines", lambda x: tuple([AllocatedLine.from_json(item) for item in many(x)])
            ),
            allocated_at=field_of(data, "allocated_at", instant_of),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class InventoryConsumed(Event):
    """The reserved stock has left the shelf for good.

    Key: ``order_id``.
    """

    TYPE: ClassVar[str] = "tidegate.ims.allocations.InventoryConsumed"
    TOPIC: ClassVar[str] = "ims.allocations"
    KEY: ClassVar[str] = "order_id"

    order_id: str
    """The order: the UUID that is derived from the submission's request_id."""
    reservation_id: str
    """The reservation: the UUID that IMS derives from the order id."""
    consumed_at: datetime
    """When IMS booked the stock out. UTC."""

    def to_record(self) -> dict[str, Any]:
        return {
            "order_id": text(self.order_id),
            "reservation_id": text(self.reservation_id),
            "consumed_at": micros(self.consumed_at),
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        return cls(
            order_id=record["order_id"],
            reservation_id=record["reservation_id"],
            consumed_at=instant(record["consumed_at"]),
        )

    def to_json(self) -> dict[str, JSON]:
        return {
            "order_id": self.order_id,
            "reservation_id": self.reservation_id,
            "consumed_at": instant_text(self.consumed_at),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, JSON]) -> Self:
        only_fields(data, frozenset({"order_id", "reservation_id", "consumed_at"}))
        return cls(
            order_id=field_of(data, "order_id", text),
            reservation_id=field_of(data, "reservation_id", text),
            consumed_at=field_of(data, "consumed_at", instant_of),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class InventoryReleased(Event):
    """The reservation is dissolved and its stock is free for others.

    Key: ``order_id``.
    """

    TYPE: ClassVar[str] = "tidegate.ims.allocations.InventoryReleased"
    TOPIC: ClassVar[str] = "ims.allocations"
    KEY: ClassVar[str] = "order_id"

    order_id: str
    """The order: the UUID that is derived from the submission's request_id."""
    reservation_id: str
    """The reservation: the UUID that IMS derives from the order id."""
    released_at: datetime
    """When IMS freed the stock. UTC."""

    def to_record(self) -> dict[str, Any]:
        return {
            "order_id": text(self.order_id),
            "reservation_id": text(self.reservation_id),
            "released_at": micros(self.released_at),
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        return cls(
            order_id=record["order_id"],
            reservation_id=record["reservation_id"],
            released_at=instant(record["released_at"]),
        )

    def to_json(self) -> dict[str, JSON]:
        return {
            "order_id": self.order_id,
            "reservation_id": self.reservation_id,
            "released_at": instant_text(self.released_at),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, JSON]) -> Self:
        only_fields(data, frozenset({"order_id", "reservation_id", "released_at"}))
        return cls(
            order_id=field_of(data, "order_id", text),
            reservation_id=field_of(data, "reservation_id", text),
            released_at=field_of(data, "released_at", instant_of),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class InventoryReturned(Event):
    """Stock that was consumed for the order is back on the shelf.

    Key: ``order_id``.
    """

    TYPE: ClassVar[str] = "tidegate.ims.allocations.InventoryReturned"
    TOPIC: ClassVar[str] = "ims.allocations"
    KEY: ClassVar[str] = "order_id"

    order_id: str
    """The order: the UUID that is derived from the submission's request_id."""
    reservation_id: str
    """The reservation: the UUID that IMS derives from the order id."""
    returned_at: datetime
    """When IMS booked the stock in again. UTC."""

    def to_record(self) -> dict[str, Any]:
        return {
            "order_id": text(self.order_id),
            "reservation_id": text(self.reservation_id),
            "returned_at": micros(self.returned_at),
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        return cls(
            order_id=record["order_id"],
            reservation_id=record["reservation_id"],
            returned_at=instant(record["returned_at"]),
        )

    def to_json(self) -> dict[str, JSON]:
        return {
            "order_id": self.order_id,
            "reservation_id": self.reservation_id,
            "returned_at": instant_text(self.returned_at),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, JSON]) -> Self:
        only_fields(data, frozenset({"order_id", "reservation_id", "returned_at"}))
        return cls(
            order_id=field_of(data, "order_id", text),
            reservation_id=field_of(data, "reservation_id", text),
            returned_at=field_of(data, "returned_at", instant_of),
        )
