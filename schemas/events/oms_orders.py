# Generated from schemas/avro by `python -m schemas.generate`. Do not edit.
"""Events of the topic ``oms.orders``."""

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
    "OrderCancelRequested",
    "OrderCancelled",
    "OrderConfirmed",
    "OrderCreated",
    "OrderDelivered",
    "OrderFailed",
    "OrderLine",
    "OrderRejected",
    "OrderReserved",
    "OrderShipped",
    "OrderSubmitted",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderLine(Record):
    """One position of an order."""

    TYPE: ClassVar[str] = "tidegate.oms.orders.OrderLine"

    sku: str
    """The stock keeping unit."""
    quantity: int
    """Pieces asked for."""
    unit_price: Decimal
    """Price of one piece before the discount, in the order's currency."""
    discount: Decimal
    """Fraction taken off this line: 0.15 is fifteen per cent."""

    def to_record(self) -> dict[str, Any]:
        return {
            "sku": text(self.sku),
            "quantity": int32(self.quantity),
            "unit_price": amount_bytes(self.unit_price, 18, 2),
            "discount": amount_bytes(self.discount, 5, 4),
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        return cls(
            sku=record["sku"],
            quantity=int32(record["quantity"]),
            unit_price=amount(record["unit_price"], 18, 2),
            discount=amount(record["discount"], 5, 4),
        )

    def to_json(self) -> dict[str, JSON]:
        return {
            "sku": self.sku,
            "quantity": self.quantity,
            "unit_price": amount_text(self.unit_price, 18, 2),
            "discount": amount_text(self.discount, 5, 4),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, JSON]) -> Self:
        only_fields(data, frozenset({"sku", "quantity", "unit_price", "discount"}))
        return cls(
            sku=field_of(data, "sku", text),
            quantity=field_of(data, "quantity", int32),
            unit_price=field_of(data, "unit_price", lambda x: amount_of(x, 18, 2)),
            discount=field_of(data, "discount", lambda x: amount_of(x, 5, 4)),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderCancelRequested(Event):
    """Somebody asks to cancel the order. A wish, not yet a fact: OrderCancelled says whether it came true.

    Key: ``order_id``.
    """

    TYPE: ClassVar[str] = "tidegate.oms.orders.OrderCancelRequested"
    TOPIC: ClassVar[str] = "oms.orders"
    KEY: ClassVar[str] = "order_id"

    order_id: str
    """The order: the UUID that is derived from the submission's request_id."""
    requested_by: str
    """Who asks: a role or a system such as customer, support, fraud; never a name."""
    reason: str | None = None
    """Why, one sentence without personal data; null when none was given."""
    requested_at: datetime
    """When the cancellation was asked for. UTC."""

    def to_record(self) -> dict[str, Any]:
        return {
            "order_id": text(self.order_id),
            "requested_by": text(self.requested_by),
            "reason": None if self.reason is None else text(self.reason),
            "requested_at": micros(self.requested_at),
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        return cls(
            order_id=record["order_id"],
            requested_by=record["requested_by"],
            reason=record["reason"],
            requested_at=instant(record["requested_at"]),
        )

    def to_json(self) -> dict[str, JSON]:
        return {
            "order_id": self.order_id,
            "requested_by": self.requested_by,
            "reason": self.reason,
            "requested_at": instant_text(self.requested_at),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, JSON]) -> Self:
        only_fields(data, frozenset({"order_id", "requested_by", "reason", "requested_at"}))
        return cls(
            order_id=field_of(data, "order_id", text),
            requested_by=field_of(data, "requested_by", text),
            reason=field_of(data, "reason", lambda x: None if x is None else text(x))
            if "reason" in data
            else None,
            requested_at=field_of(data, "requested_at", instant_of),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderCancelled(Event):
    """The order was cancelled before it shipped, and what it held has been given back.

    Key: ``order_id``.
    """

    TYPE: ClassVar[str] = "tidegate.oms.orders.OrderCancelled"
    TOPIC: ClassVar[str] = "oms.orders"
    KEY: ClassVar[str] = "order_id"

    order_id: str
    """The order: the UUID that is derived from the submission's request_id."""
    reason: str | None = None
    """Why, one sentence without personal data; null when none was given."""
    cancelled_at: datetime
    """When OMS recorded the cancellation. UTC."""

    def to_record(self) -> dict[str, Any]:
        return {
            "order_id": text(self.order_id),
            "reason": None if self.reason is None else text(self.reason),
            "cancelled_at": micros(self.cancelled_at),
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        return cls(
            order_id=record["order_id"],
            reason=record["reason"],
            cancelled_at=instant(record["cancelled_at"]),
        )

    def to_json(self) -> dict[str, JSON]:
        return {
            "order_id": self.order_id,
            "reason": self.reason,
            "cancelled_at": instant_text(self.cancelled_at),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, JSON]) -> Self:
        only_fields(data, frozenset({"order_id", "reason", "cancelled_at"}))
        return cls(
            order_id=field_of(data, "order_id", text),
            reason=field_of(data, "reason", lambda x: None if x is None else text(x))
            if "reason" in data
            else None,
            cancelled_at=field_of(data, "cancelled_at", instant_of),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderConfirmed(Event):
    """The order is confirmed: paid for, where it has a payment, and reserved.

    Key: ``order_id``.
    """

    TYPE: ClassVar[str] = "tidegate.oms.orders.OrderConfirmed"
    TOPIC: ClassVar[str] = "oms.orders"
    KEY: ClassVar[str] = "order_id"

    order_id: str
    """The order: the UUID that is derived from the submission's request_id."""
    confirmed_at: datetime
    """When OMS confirmed the order. UTC."""

    def to_record(self) -> dict[str, Any]:
        return {
            "order_id": text(self.order_id),
            "confirmed_at": micros(self.confirmed_at),
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        return cls(
            order_id=record["order_id"],
            confirmed_at=instant(record["confirmed_at"]),
        )

    def to_json(self) -> dict[str, JSON]:
        return {
            "order_id": self.order_id,
            "confirmed_at": instant_text(self.confirmed_at),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, JSON]) -> Self:
        only_fields(data, frozenset({"order_id", "confirmed_at"}))
        return cls(
            order_id=field_of(data, "order_id", text),
            confirmed_at=field_of(data, "confirmed_at", instant_of),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderCreated(Event):
    """A valid submission has become an order.

    Key: ``order_id``.
    """

    TYPE: ClassVar[str] = "tidegate.oms.orders.OrderCreated"
    TOPIC: ClassVar[str] = "oms.orders"
    KEY: ClassVar[str] = "order_id"

    order_id: str
    """The order: the UUID that is derived from the submission's request_id."""
    request_id: str
    """The storefront's id of the request that the order came from."""
    created_at: datetime
    """When the order was created. UTC."""

    def to_record(self) -> dict[str, Any]:
        return {
            "order_id": text(self.order_id),
            "request_id": text(self.request_id),
            "created_at": micros(self.created_at),
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        return cls(
            order_id=record["order_id"],
            request_id=record["request_id"],
            created_at=instant(record["created_at"]),
        )

    def to_json(self) -> dict[str, JSON]:
        return {
            "order_id": self.order_id,
            "request_id": self.request_id,
            "created_at": instant_text(self.created_at),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, JSON]) -> Self:
        only_fields(data, frozenset({"order_id", "request_id", "created_at"}))
        return cls(
            order_id=field_of(data, "order_id", text),
            request_id=field_of(data, "request_id", text),
            created_at=field_of(data, "created_at", instant_of),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderDelivered(Event):
    """The order has reached the customer.

    Key: ``order_id``.
    """

    TYPE: ClassVar[str] = "tidegate.oms.orders.OrderDelivered"
    TOPIC: ClassVar[str] = "oms.orders"
    KEY: ClassVar[str] = "order_id"

    order_id: str
    """The order: the UUID that is derived from the submission's request_id."""
    shipment_id: str | None = None
    """The shipment that was delivered; null when the order was delivered without one."""
    delivered_at: datetime
    """When OMS recorded the delivery. UTC."""

    def to_record(self) -> dict[str, Any]:
        return {
            "order_id": text(self.order_id),
            "shipment_id": None if self.shipment_id is None else text(self.shipment_id),
            "delivered_at": micros(self.delivered_at),
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        return cls(
            order_id=record["order_id"],
            shipment_id=record["shipment_id"],
            delivered_at=instant(record["delivered_at"]),
        )

    def to_json(self) -> dict[str, JSON]:
        return {
            "order_id": self.order_id,
            "shipment_id": self.shipment_id,
            "delivered_at": instant_text(self.delivered_at),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, JSON]) -> Self:
        only_fields(data, frozenset({"order_id", "shipment_id", "delivered_at"}))
        return cls(
            order_id=field_of(data, "order_id", text),
            shipment_id=field_of(data, "shipment_id", lambda x: None if x is None else text(x))
            if "shipment_id" in data
            else None,
            delivered_at=field_of(data, "delivered_at", instant_of),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderFailed(Event):
    """The order ended without a shipment, and what it held has been given back.

    Key: ``order_id``.
    """

    TYPE: ClassVar[str] = "tidegate.oms.orders.OrderFailed"
    TOPIC: ClassVar[str] = "oms.orders"
    KEY: ClassVar[str] = "order_id"

    order_id: str
    """The order: the UUID that is derived from the submission's request_id."""
    code: str
    """Why, for programs: a fixed word in capitals such as PICK_TIMEOUT."""
    reason: str
    """Why, for people: one sentence without personal data."""
    failed_at: datetime
    """When OMS recorded the failure. UTC."""

    def to_record(self) -> dict[str, Any]:
        return {
            "order_id": text(self.order_id),
            "code": text(self.code),
            "reason": text(self.reason),
            "failed_at": micros(self.failed_at),
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        return cls(
            order_id=record["order_id"],
            code=record["code"],
            reason=record["reason"],
            failed_at=instant(record["failed_at"]),
        )

    def to_json(self) -> dict[str, JSON]:
        return {
            "order_id": self.order_id,
            "code": self.code,
            "reason": self.reason,
            "failed_at": instant_text(self.failed_at),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, JSON]) -> Self:
        only_fields(data, frozenset({"order_id", "code", "reason", "failed_at"}))
        return cls(
            order_id=field_of(data, "order_id", text),
            code=field_of(data, "code", text),
            reason=field_of(data, "reason", text),
            failed_at=field_of(data, "failed_at", instant_of),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRejected(Event):
    """OMS found a submission invalid; no order was created and none will be.

    Key: ``order_id``.
    """

    TYPE: ClassVar[str] = "tidegate.oms.orders.OrderRejected"
    TOPIC: ClassVar[str] = "oms.orders"
    KEY: ClassVar[str] = "order_id"

    order_id: str
    """The order: the UUID that is derived from the submission's request_id."""
    request_id: str
    """The storefront's id of the rejected request."""
    reasons: tuple[str, ...]
    """Every reason found, one sentence each, without personal data."""
    rejected_at: datetime
    """When OMS judged the submission. UTC."""

    def to_record(self) -> dict[str, Any]:
        return {
            "order_id": text(self.order_id),
            "request_id": text(self.request_id),
            "reasons": [text(item) for item in many(self.reasons)],
            "rejected_at": micros(self.rejected_at),
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        return cls(
            order_id=record["order_id"],
            request_id=record["request_id"],
            reasons=tuple(record["reasons"]),
            rejected_at=instant(record["rejected_at"]),
        )

    def to_json(self) -> dict[str, JSON]:
        return {
            "order_id": self.order_id,
            "request_id": self.request_id,
            "reasons": list(self.reasons),
            "rejected_at": instant_text(self.rejected_at),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, JSON]) -> Self:
        only_fields(data, frozenset({"order_id", "request_id", "reasons", "rejected_at"}))
        return cls(
            order_id=field_of(data, "order_id", text),
            request_id=field_of(data, "request_id", text),
            reasons=field_of(data, "reasons", lambda x: tuple([text(item) for item in many(x)])),
            rejected_at=field_of(data, "rejected_at", instant_of),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderReserved(Event):
    """All stock that the order needs is set aside for it.

    Key: ``order_id``.
    """

    TYPE: ClassVar[str] = "tidegate.oms.orders.OrderReserved"
    TOPIC: ClassVar[str] = "oms.orders"
    KEY: ClassVar[str] = "order_id"

    order_id: str
    """The order: the UUID that is derived from the submission's request_id."""
    reserved_at: datetime
    """When OMS recorded the reservation. UTC."""

    def to_record(self) -> dict[str, Any]:
        return {
            "order_id": text(self.order_id),
            "reserved_at": micros(self.reserved_at),
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        return cls(
            order_id=record["order_id"],
            reserved_at=instant(record["reserved_at"]),
        )

    def to_json(self) -> dict[str, JSON]:
        return {
            "order_id": self.order_id,
            "reserved_at": instant_text(self.reserved_at),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, JSON]) -> Self:
        only_fields(data, frozenset({"order_id", "reserved_at"}))
        return cls(
            order_id=field_of(data, "order_id", text),
            reserved_at=field_of(data, "reserved_at", instant_of),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderShipped(Event):
    """The carrier has taken the order over; from here it can no longer be cancelled.

    Key: ``order_id``.
    """

    TYPE: ClassVar[str] = "tidegate.oms.orders.OrderShipped"
    TOPIC: ClassVar[str] = "oms.orders"
    KEY: ClassVar[str] = "order_id"

    order_id: str
    """The order: the UUID that is derived from the submission's request_id."""
    shipment_id: str
    """The shipment: the UUID that SMS derives from the order id."""
    shipped_at: datetime
    """When OMS recorded the shipment. Revenue counts at this time, by UTC day. UTC."""

    def to_record(self) -> dict[str, Any]:
        return {
            "order_id": text(self.order_id),
            "shipment_id": text(self.shipment_id),
            "shipped_at": micros(self.shipped_at),
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        return cls(
            order_id=record["order_id"],
            shipment_id=record["shipment_id"],
            shipped_at=instant(record["shipped_at"]),
        )

    def to_json(self) -> dict[str, JSON]:
        return {
            "order_id": self.order_id,
            "shipment_id": self.shipment_id,
            "shipped_at": instant_text(self.shipped_at),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, JSON]) -> Self:
        only_fields(data, frozenset({"order_id", "shipment_id", "shipped_at"}))
        return cls(
            order_id=field_of(data, "order_id", text),
            shipment_id=field_of(data, "shipment_id", text),
            shipped_at=field_of(data, "shipped_at", instant_of),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderSubmitted(Event):
    """A storefront asks for an order. Published by the storefront, before OMS has judged it: nothing in it
    is validated.

    Key: ``order_id``.
    """

    TYPE: ClassVar[str] = "tidegate.oms.orders.OrderSubmitted"
    TOPIC: ClassVar[str] = "oms.orders"
    KEY: ClassVar[str] = "order_id"

    order_id: str
    """The order: the UUID that is derived from the submission's request_id."""
    request_id: str
    """The storefront's own id of the request; the same request_id is the same order, however often it is
    sent.
    """
    customer_id: str
    """Reference to the customer in the storefront; never a name or an address."""
    currency: str
    """ISO 4217 code of every amount of the order, three capital letters."""
    ordered_at: datetime
    """When the customer placed the order. UTC."""
    lines: tuple[OrderLine, ...]
    """What is ordered, in the order given."""

    def to_record(self) -> dict[str, Any]:
        return {
            "order_id": text(self.order_id),
            "request_id": text(self.request_id),
            "customer_id": text(self.customer_id),
            "currency": text(self.currency),
            "ordered_at": micros(self.ordered_at),
            "lines": [item.to_record() for item in many(self.lines)],
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        return cls(
            order_id=record["order_id"],
            request_id=record["request_id"],
            customer_id=record["customer_id"],
            currency=record["currency"],
            ordered_at=instant(record["ordered_at"]),
            lines=tuple([OrderLine.from_record(item) for item in record["lines"]]),
        )

    def to_json(self) -> dict[str, JSON]:
        return {
            "order_id": self.order_id,
            "request_id": self.request_id,
            "customer_id": self.customer_id,
            "currency": self.currency,
            "ordered_at": instant_text(self.ordered_at),
            "lines": [item.to_json() for item in self.lines],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, JSON]) -> Self:
        only_fields(
            data, frozenset({"order_id", "request_id", "customer_id", "currency", "ordered_at", "lines"})
        )
        return cls(
            order_id=field_of(data, "order_id", text),
            request_id=field_of(data, "request_id", text),
            customer_id=field_of(data, "customer_id", text),
            currency=field_of(data, "currency", text),
            ordered_at=field_of(data, "ordered_at", instant_of),
            lines=field_of(data, "lines", lambda x: tuple([OrderLine.from_json(item) for item in many(x)])),
        )
