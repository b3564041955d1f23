# Generated from schemas/avro by `python -m schemas.generate`. Do not edit.
"""Events of the topic ``wms.warehouse``."""

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
)

__all__ = ["PackCompleted", "Pick", "PickCompleted", "PickWaveCancelled", "PickWaveCreated"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pick(Record):
    """One sku to take from the shelf."""

    TYPE: ClassVar[str] = "tidegate.wms.warehouse.Pick"

    sku: str
    """The stock keeping unit."""
    quantity: int
    """Pieces to take."""

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
class PackCompleted(Event):
    """The floor has packed the order. A fact reported from upstream; it may be reported twice.

    Key: ``order_id``.
    """

    TYPE: ClassVar[str] = "tidegate.wms.warehouse.PackCompleted"
    TOPIC: ClassVar[str] = "wms.warehouse"
    KEY: ClassVar[str] = "order_id"

    order_id: str
    """The order: the UUID that is derived from the submission's request_id."""
    wave_id: str | None = None
    """The pick wave the work belongs to; null when the floor worked before it learnt of a wave."""
    packed_at: datetime
    """When the floor finished packing. UTC."""

    def to_record(self) -> dict[str, Any]:
        return {
            "order_id": text(self.order_id),
            "wave_id": None if self.wave_id is None else text(self.wave_id),
            "packed_at": micros(self.packed_at),
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        return cls(
            order_id=record["order_id"],
            wave_id=record["wave_id"],
            packed_at=instant(record["packed_at"]),
        )

    def to_json(self) -> dict[str, JSON]:
        return {
            "order_id": self.order_id,
            "wave_id": self.wave_id,
            "packed_at": instant_text(self.packed_at),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, JSON]) -> Self:
        only_fields(data, frozenset({"order_id", "wave_id", "packed_at"}))
        return cls(
            order_id=field_of(data, "order_id", text),
            wave_id=field_of(data, "wave_id", lambda x: None if x is None else text(x))
            if "wave_id" in data
            else None,
            packed_at=field_of(data, "packed_at", instant_of),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PickCompleted(Event):
    """The floor has picked everything for the order. A fact reported from upstream; it may be reported
    twice.

    Key: ``order_id``.
    """

    TYPE: ClassVar[str] = "tidegate.wms.warehouse.PickCompleted"
    TOPIC: ClassVar[str] = "wms.warehouse"
    KEY: ClassVar[str] = "order_id"

    order_id: str
    """The order: the UUID that is derived from the submission's request_id."""
    wave_id: str | None = None
    """The pick wave the work belongs to; null when the floor worked before it learnt of a wave."""
    picked_at: datetime
    """When the floor finished picking. UTC."""

    def to_record(self) -> dict[str, Any]:
        return {
            "order_id": text(self.order_id),
            "wave_id": None if self.wave_id is None else text(self.wave_id),
            "picked_at": micros(self.picked_at),
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        return cls(
            order_id=record["order_id"],
            wave_id=record["wave_id"],
            picked_at=instant(record["picked_at"]),
        )

    def to_json(self) -> dict[str, JSON]:
        return {
            "order_id": self.order_id,
            "wave_id": self.wave_id,
            "picked_at": instant_text(self.picked_at),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, JSON]) -> Self:
        only_fields(data, frozenset({"order_id", "wave_id", "picked_at"}))
        return cls(
            order_id=field_of(data, "order_id", text),
            wave_id=field_of(data, "wave_id", lambda x: None if x is None else text(x))
            if "wave_id" in data
            else None,
            picked_at=field_of(data, "picked_at", instant_of),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PickWaveCancelled(Event):
    """The wave is not to be picked any more.

    Key: ``order_id``.
    """

    TYPE: ClassVar[str] = "tidegate.wms.warehouse.PickWaveCancelled"
    TOPIC: ClassVar[str] = "wms.warehouse"
    KEY: ClassVar[str] = "order_id"

    order_id: str
    """The order: the UUID that is derived from the submission's request_id."""
    wave_id: str
    """The pick wave: the UUID that WMS derives from the order id."""
    cancelled_at: datetime
    """When WMS cancelled the wave. UTC."""

    def to_record(self) -> dict[str, Any]:
        return {
            "order_id": text(self.order_id),
            "wave_id": text(self.wave_id),
            "cancelled_at": micros(self.cancelled_at),
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        return cls(
            order_id=record["order_id"],
            wave_id=record["wave_id"],
            cancelled_at=instant(record["cancelled_at"]),
        )

    def to_json(self) -> dict[str, JSON]:
        return {
            "order_id": self.order_id,
            "wave_id": self.wave_id,
            "cancelled_at": instant_text(self.cancelled_at),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, JSON]) -> Self:
        only_fields(data, frozenset({"order_id", "wave_id", "cancelled_at"}))
        return cls(
            order_id=field_of(data, "order_id", text),
            wave_id=field_of(data, "wave_id", text),
            cancelled_at=field_of(data, "cancelled_at", instant_of),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PickWaveCreated(Event):
    """The warehouse is to pick the order's stock.

    Key: ``order_id``.
    """

    TYPE: ClassVar[str] = "tidegate.wms.warehouse.PickWaveCreated"
    TOPIC: ClassVar[str] = "wms.warehouse"
    KEY: ClassVar[str] = "order_id"

    order_id: str
    """The order: the UUID that is derived from the submission's request_id."""
    wave_id: str
    """The pick wave: the UUID that WMS derives from the order id."""
    picks: tuple[Pick, ...]
    """What to pick, by sku."""
    created_at: datetime
    """When WMS created the wave. UTC."""

    def to_record(self) -> dict[str, Any]:
        return {
            "order_id": text(self.order_id),
            "wave_id": text(self.wave_id),
            "picks": [item.to_record() for item in many(self.picks)],
            "created_at": micros(self.created_at),
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        return cls(
            order_id=record["order_id"],
            wave_id=record["wave_id"],
            picks=tuple([Pick.from_record(item) for item in record["picks"]]),
            created_at=instant(record["created_at"]),
        )

    def to_json(self) -> dict[str, JSON]:
        return {
            "order_id": self.order_id,
            "wave_id": self.wave_id,
            "picks": [item.to_json() for item in self.picks],
            "created_at": instant_text(self.created_at),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, JSON]) -> Self:
        only_fields(data, frozenset({"order_id", "wave_id", "picks", "created_at"}))
        return cls(
            order_id=field_of(data, "order_id", text),
            wave_id=field_of(data, "wave_id", text),
            picks=field_of(data, "picks", lambda x: tuple([Pick.from_json(item) for item in many(x)])),
            created_at=field_of(data, "created_at", instant_of),
        )
