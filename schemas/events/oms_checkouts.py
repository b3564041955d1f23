# Generated from schemas/avro by `python -m schemas.generate`. Do not edit.
"""Events of the topic ``oms.checkouts``."""

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
    "CheckoutCompleted",
    "CheckoutExpired",
    "CheckoutLine",
    "CheckoutRejected",
    "CheckoutRequested",
    "FraudCheckRequested",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckoutLine(Record):
    """One position of the order that is paid for."""

    TYPE: ClassVar[str] = "tidegate.oms.checkouts.CheckoutLine"

    sku: str
    """The stock keeping unit."""
    quantity: int
    """Pieces asked for."""
    unit_price: Decimal
    """Price of one piece before the discount, in the checkout's currency."""
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
class CheckoutCompleted(Event):
    """The checkout was approved, and its order has begun.

    Key: ``checkout_id``.
    """

    TYPE: ClassVar[str] = "tidegate.oms.checkouts.CheckoutCompleted"
    TOPIC: ClassVar[str] = "oms.checkouts"
    KEY: ClassVar[str] = "checkout_id"

    checkout_id: str
    """The checkout: one attempt of a customer to buy."""
    order_id: str
    """The order: the UUID that is derived from the checkout's request_id."""
    completed_at: datetime
    """When the order began. UTC."""

    def to_record(self) -> dict[str, Any]:
        return {
            "checkout_id": text(self.checkout_id),
            "order_id": text(self.order_id),
            "completed_at": micros(self.completed_at),
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        return cls(
            checkout_id=record["checkout_id"],
            order_id=record["order_id"],
            completed_at=instant(record["completed_at"]),
        )

    def to_json(self) -> dict[str, JSON]:
        return {
            "checkout_id": self.checkout_id,
            "order_id": self.order_id,
            "completed_at": instant_text(self.completed_at),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, JSON]) -> Self:
        only_fields(data, frozenset({"checkout_id", "order_id", "completed_at"}))
        return cls(
            checkout_id=field_of(data, "checkout_id", text),
            order_id=field_of(data, "order_id", text),
            completed_at=field_of(data, "completed_at", instant_of),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckoutExpired(Event):
    """No decision came in time; the authorisation is void and the order cancelled.

    Key: ``checkout_id``.
    """

    TYPE: ClassVar[str] = "tidegate.oms.checkouts.CheckoutExpired"
    TOPIC: ClassVar[str] = "oms.checkouts"
    KEY: ClassVar[str] = "checkout_id"

    checkout_id: str
    """The checkout: one attempt of a customer to buy."""
    order_id: str
    """The order: the UUID that is derived from the checkout's request_id."""
    waited_for: str
    """What did not come: fraudDecision or manualReviewDecision."""
    expired_at: datetime
    """When the clock had run. UTC."""

    def to_record(self) -> dict[str, Any]:
        return {
            "checkout_id": text(self.checkout_id),
            "order_id": text(self.order_id),
            "waited_for": text(self.waited_for),
            "expired_at": micros(self.expired_at),
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        return cls(
            checkout_id=record["checkout_id"],
            order_id=record["order_id"],
            waited_for=record["waited_for"],
            expired_at=instant(record["expired_at"]),
        )

    def to_json(self) -> dict[str, JSON]:
        return {
            "checkout_id": self.checkout_id,
            "order_id": self.order_id,
            "waited_for": self.waited_for,
            "expired_at": instant_text(self.expired_at),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, JSON]) -> Self:
        only_fields(data, frozenset({"checkout_id", "order_id", "waited_for", "expired_at"}))
        return cls(
            checkout_id=field_of(data, "checkout_id", text),
            order_id=field_of(data, "order_id", text),
            waited_for=field_of(data, "waited_for", text),
            expired_at=field_of(data, "expired_at", instant_of),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckoutRejected(Event):
    """The checkout came to nothing: nothing is authorised any more, no order goes on.

    Key: ``checkout_id``.
    """

    TYPE: ClassVar[str] = "tidegate.oms.checkouts.CheckoutRejected"
    TOPIC: ClassVar[str] = "oms.checkouts"
    KEY: ClassVar[str] = "checkout_id"

    checkout_id: str
    """The checkout: one attempt of a customer to buy."""
    order_id: str
    """The order: the UUID that is derived from the checkout's request_id."""
    code: str
    """Why, for programs: INVALID, DECLINED, FRAUD, MANUAL_REVIEW, UNAVAILABLE or CANCELLED."""
    reason: str
    """Why, in one sentence for people."""
    rejected_at: datetime
    """When it was rejected. UTC."""

    def to_record(self) -> dict[str, Any]:
        return {
            "checkout_id": text(self.checkout_id),
            "order_id": text(self.order_id),
            "code": text(self.code),
            "reason": text(self.reason),
            "rejected_at": micros(self.rejected_at),
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        return cls(
            checkout_id=record["checkout_id"],
            order_id=record["order_id"],
            code=record["code"],
            reason=record["reason"],
            rejected_at=instant(record["rejected_at"]),
        )

    def to_json(self) -> dict[str, JSON]:
        return {
            "checkout_id": self.checkout_id,
            "order_id": self.order_id,
            "code": self.code,
            "reason": self.reason,
            "rejected_at": instant_text(self.rejected_at),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, JSON]) -> Self:
        only_fields(data, frozenset({"checkout_id", "order_id", "code", "reason", "rejected_at"}))
        return cls(
            checkout_id=field_of(data, "checkout_id", text),
            order_id=field_of(data, "order_id", text),
            code=field_of(data, "code", text),
            reason=field_of(data, "reason", text),
            rejected_at=field_of(data, "rejected_at", instant_of),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckoutRequested(Event):
    """A customer wants to pay for an order. Published by the storefront, before anything in it is validated.

    Key: ``checkout_id``.
    """

    TYPE: ClassVar[str] = "tidegate.oms.checkouts.CheckoutRequested"
    TOPIC: ClassVar[str] = "oms.checkouts"
    KEY: ClassVar[str] = "checkout_id"

    checkout_id: str
    """The checkout: one attempt of a customer to buy."""
    order_id: str
    """The order: the UUID that is derived from the checkout's request_id."""
    request_id: str
    """The storefront's own id of the request; the same request_id is the same order, however often it is
    sent.
    """
    customer_id: str
    """Reference to the customer in the storefront; never a name or an address."""
    currency: str
    """ISO 4217 code of every amount here, three capital letters."""
    payment_token: str
    """Reference to the means of payment at the payment provider; worth nothing elsewhere."""
    requested_at: datetime
    """When the customer asked. UTC."""
    lines: tuple[CheckoutLine, ...]
    """What is bought, in the order given."""

    def to_record(self) -> dict[str, Any]:
        return {
            "checkout_id": text(self.checkout_id),
            "order_id": text(self.order_id),
            "request_id": text(self.request_id),
            "customer_id": text(self.customer_id),
            "currency": text(self.currency),
            "payment_token": text(self.payment_token),
            "requested_at": micros(self.requested_at),
            "lines": [item.to_record() for item in many(self.lines)],
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        return cls(
            checkout_id=record["checkout_id"],
            order_id=record["order_id"],
            request_id=record["request_id"],
            customer_id=record["customer_id"],
            currency=record["currency"],
            payment_token=record["payment_token"],
            requested_at=instant(record["requested_at"]),
            lines=tuple([CheckoutLine.from_record(item) for item in record["lines"]]),
        )

    def to_json(self) -> dict[str, JSON]:
        return {
            "checkout_id": self.checkout_id,
            "order_id": self.order_id,
            "request_id": self.request_id,
            "customer_id": self.customer_id,
            "currency": self.currency,
            "payment_token": self.payment_token,
            "requested_at": instant_text(self.requested_at),
            "lines": [item.to_json() for item in self.lines],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, JSON]) -> Self:
        only_fields(
            data,
            frozenset(
                {
                    "checkout_id",
                    "order_id",
                    "request_id",
                    "customer_id",
                    "currency",
                    "payment_token",
                    "requested_at",
                    "lines",
                }
            ),
        )
        return cls(
            checkout_id=field_of(data, "checkout_id", text),
            order_id=field_of(data, "order_id", text),
            request_id=field_of(data, "request_id", text),
            customer_id=field_of(data, "customer_id", text),
            currency=field_of(data, "currency", text),
            payment_token=field_of(data, "payment_token", text),
            requested_at=field_of(data, "requested_at", instant_of),
            lines=field_of(
                data, "lines", lambda x: tuple([CheckoutLine.from_json(item) for item in many(x)])
            ),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class FraudCheckRequested(Event):
    """The checkout is authorised and waits for a decision on fraud.

    Key: ``checkout_id``.
    """

    TYPE: ClassVar[str] = "tidegate.oms.checkouts.FraudCheckRequested"
    TOPIC: ClassVar[str] = "oms.checkouts"
    KEY: ClassVar[str] = "checkout_id"

    checkout_id: str
    """The checkout: one attempt of a customer to buy."""
    order_id: str
    """The order: the UUID that is derived from the checkout's request_id."""
    customer_id: str
    """Reference to the customer in the storefront; never a name or an address."""
    amount: Decimal
    """What is to be paid."""
    currency: str
    """ISO 4217 code of every amount here, three capital letters."""
    requested_at: datetime
    """When the decision was asked for. UTC."""

    def to_record(self) -> dict[str, Any]:
        return {
            "checkout_id": text(self.checkout_id),
            "order_id": text(self.order_id),
            "customer_id": text(self.customer_id),
            "amount": amount_bytes(self.amount, 18, 2),
            "currency": text(self.currency),
            "requested_at": micros(self.requested_at),
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        return cls(
            checkout_id=record["checkout_id"],
            order_id=record["order_id"],
            customer_id=record["customer_id"],
            amount=amount(record["amount"], 18, 2),
            currency=record["currency"],
            requested_at=instant(record["requested_at"]),
        )

    def to_json(self) -> dict[str, JSON]:
        return {
            "checkout_id": self.checkout_id,
            "order_id": self.order_id,
            "customer_id": self.customer_id,
            "amount": amount_text(self.amount, 18, 2),
            "currency": self.currency,
            "requested_at": instant_text(self.requested_at),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, JSON]) -> Self:
        only_fields(
            data, frozenset({"checkout_id", "order_id", "customer_id", "amount", "currency", "requested_at"})
        )
        return cls(
            checkout_id=field_of(data, "checkout_id", text),
            order_id=field_of(data, "order_id", text),
            customer_id=field_of(data, "customer_id", text),
            amount=field_of(data, "amount", lambda x: amount_of(x, 18, 2)),
            currency=field_of(data, "currency", text),
            requested_at=field_of(data, "requested_at", instant_of),
        )
