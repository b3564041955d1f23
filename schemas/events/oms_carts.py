# Generated from schemas/avro by `python -m schemas.generate`. Do not edit.
"""Events of the topic ``oms.carts``."""

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
    micros,
    only_fields,
    text,
)

__all__ = ["CartAbandoned", "CartCheckedOut"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CartAbandoned(Event):
    """Nobody touched the cart for so long that it was given up.

    Key: ``cart_id``.
    """

    TYPE: ClassVar[str] = "tidegate.oms.carts.CartAbandoned"
    TOPIC: ClassVar[str] = "oms.carts"
    KEY: ClassVar[str] = "cart_id"

    cart_id: str
    """The cart."""
    customer_id: str
    """Reference to the customer in the storefront; never a name or an address."""
    items: int
    """Pieces that lay in it."""
    abandoned_at: datetime
    """When it was given up. UTC."""

    def to_record(self) -> dict[str, Any]:
        return {
            "cart_id": text(self.cart_id),
            "customer_id": text(self.customer_id),
            "items": int32(self.items),
            "abandoned_at": micros(self.abandoned_at),
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        return cls(
            cart_id=record["cart_id"],
            customer_id=record["customer_id"],
            items=int32(record["items"]),
            abandoned_at=instant(record["abandoned_at"]),
        )

    def to_json(self) -> dict[str, JSON]:
        return {
            "cart_id": self.cart_id,
            "customer_id": self.customer_id,
            "items": self.items,
            "abandoned_at": instant_text(self.abandoned_at),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, JSON]) -> Self:
        only_fields(data, frozenset({"cart_id", "customer_id", "items", "abandoned_at"}))
        return cls(
            cart_id=field_of(data, "cart_id", text),
            customer_id=field_of(data, "customer_id", text),
            items=field_of(data, "items", int32),
            abandoned_at=field_of(data, "abandoned_at", instant_of),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class CartCheckedOut(Event):
    """The cart was handed over to a checkout and takes no more changes.

    Key: ``cart_id``.
    """

    TYPE: ClassVar[str] = "tidegate.oms.carts.CartCheckedOut"
    TOPIC: ClassVar[str] = "oms.carts"
    KEY: ClassVar[str] = "cart_id"

    cart_id: str
    """The cart."""
    checkout_id: str
    """The checkout: one attempt of a customer to buy."""
    order_id: str
    """The order: the UUID that is derived from the checkout's request_id."""
    customer_id: str
    """Reference to the customer in the storefront; never a name or an address."""
    checked_out_at: datetime
    """When it was handed over. UTC."""

    def to_record(self) -> dict[str, Any]:
        return {
            "cart_id": text(self.cart_id),
            "checkout_id": text(self.checkout_id),
            "order_id": text(self.order_id),
            "customer_id": text(self.customer_id),
            "checked_out_at": micros(self.checked_out_at),
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        return cls(
            cart_id=record["cart_id"],
            checkout_id=record["checkout_id"],
            order_id=record["order_id"],
            customer_id=record["customer_id"],
            checked_out_at=instant(record["checked_out_at"]),
        )

    def to_json(self) -> dict[str, JSON]:
        return {
            "cart_id": self.cart_id,
            "checkout_id": self.checkout_id,
            "order_id": self.order_id,
            "customer_id": self.customer_id,
            "checked_out_at": instant_text(self.checked_out_at),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, JSON]) -> Self:
        only_fields(data, frozenset({"cart_id", "checkout_id", "order_id", "customer_id", "checked_out_at"}))
        return cls(
            cart_id=field_of(data, "cart_id", text),
            checkout_id=field_of(data, "checkout_id", text),
            order_id=field_of(data, "order_id", text),
            customer_id=field_of(data, "customer_id", text),
            checked_out_at=field_of(data, "checked_out_at", instant_of),
        )
