# Generated from schemas/avro by `python -m schemas.generate`. Do not edit.
"""Events of the topic ``ims.stock``."""

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

__all__ = ["ReplenishmentOrdered", "ReplenishmentReceived", "StockBelowReorderPoint"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplenishmentOrdered(Event):
    """New stock has been ordered from the supplier.

    Key: ``sku``.
    """

    TYPE: ClassVar[str] = "tidegate.ims.stock.ReplenishmentOrdered"
    TOPIC: ClassVar[str] = "ims.stock"
    KEY: ClassVar[str] = "sku"

    sku: str
    """The stock keeping unit."""
    cycle: int
    """Counts the shortages of this sku, from 1; with the sku it names one replenishment."""
    quantity: int
    """Pieces ordered."""
    ordered_at: datetime
    """When IMS ordered them. UTC."""

    def to_record(self) -> dict[str, Any]:
        return {
            "sku": text(self.sku),
            "cycle": int32(self.cycle),
            "quantity": int32(self.quantity),
            "ordered_at": micros(self.ordered_at),
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        return cls(
            sku=record["sku"],
            cycle=int32(record["cycle"]),
            quantity=int32(record["quantity"]),
            ordered_at=instant(record["ordered_at"]),
        )

    def to_json(self) -> dict[str, JSON]:
        return {
            "sku": self.sku,
            "cycle": self.cycle,
            "quantity": self.quantity,
            "ordered_at": instant_text(self.ordered_at),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, JSON]) -> Self:
        only_fields(data, frozenset({"sku", "cycle", "quantity", "ordered_at"}))
        return cls(
            sku=field_of(data, "sku", text),
            cycle=field_of(data, "cycle", int32),
            quantity=field_of(data, "quantity", int32),
            ordered_at=field_of(data, "ordered_at", instant_of),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplenishmentReceived(Event):
    """The supplier has delivered new stock to the door; IMS books it in from here.

    Key: ``sku``.
    """

    TYPE: ClassVar[str] = "tidegate.ims.stock.ReplenishmentReceived"
    TOPIC: ClassVar[str] = "ims.stock"
    KEY: ClassVar[str] = "sku"

    sku: str
    """The stock keeping unit."""
    cycle: int
    """Counts the shortages of this sku, from 1; with the sku it names one replenishment."""
    quantity: int
    """Pieces delivered."""
    received_at: datetime
    """When the supplier delivered them. UTC."""

    def to_record(self) -> dict[str, Any]:
        return {
            "sku": text(self.sku),
            "cycle": int32(self.cycle),
            "quantity": int32(self.quantity),
            "received_at": micros(self.received_at),
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        return cls(
            sku=record["sku"],
            cycle=int32(record["cycle"]),
            quantity=int32(record["quantity"]),
            received_at=instant(record["received_at"]),
        )

    def to_json(self) -> dict[str, JSON]:
        return {
            "sku": self.sku,
            "cycle": self.cycle,
            "quantity": self.quantity,
            "received_at": instant_text(self.received_at),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, JSON]) -> Self:
        only_fields(data, frozenset({"sku", "cycle", "quantity", "received_at"}))
        return cls(
            sku=field_of(data, "sku", text),
            cycle=field_of(data, "cycle", int32),
            quantity=field_of(data, "quantity", int32),
            received_at=field_of(data, "received_at", instant_of),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class StockBelowReorderPoint(Event):
    """What is free of a sku has fallen below its reorder point; once for each cycle.

    Key: ``sku``.
    """

    TYPE: ClassVar[str] = "tidegate.ims.stock.StockBelowReorderPoint"
    TOPIC: ClassVar[str] = "ims.stock"
    KEY: ClassVar[str] = "sku"

    sku: str
    """The stock keeping unit."""
    cycle: int
    """Counts the shortages of this sku, from 1; with the sku it names one replenishment."""
    available: int
    """Pieces on hand that are not reserved."""
    reorder_point: int
    """Pieces below which the sku is ordered again."""
    noticed_at: datetime
    """When IMS noticed it. UTC."""

    def to_record(self) -> dict[str, Any]:
        return {
            "sku": text(self.sku),
            "cycle": int32(self.cycle),
            "available": int32(self.available),
            "reorder_point": int32(self.reorder_point),
            "noticed_at": micros(self.noticed_at),
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        return cls(
            sku=record["sku"],
            cycle=int32(record["cycle"]),
            available=int32(record["available"]),
            reorder_point=int32(record["reorder_point"]),
            noticed_at=instant(record["noticed_at"]),
        )

    def to_json(self) -> dict[str, JSON]:
        return {
            "sku": self.sku,
            "cycle": self.cycle,
            "available": self.available,
            "reorder_point": self.reorder_point,
            "noticed_at": instant_text(self.noticed_at),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, JSON]) -> Self:
        only_fields(data, frozenset({"sku", "cycle", "available", "reorder_point", "noticed_at"}))
        return cls(
            sku=field_of(data, "sku", text),
            cycle=field_of(data, "cycle", int32),
            available=field_of(data, "available", int32),
            reorder_point=field_of(data, "reorder_point", int32),
            noticed_at=field_of(data, "noticed_at", instant_of),
        )
