# Generated from schemas/avro by `python -m schemas.generate`. Do not edit.
"""Events of the topic ``sms.shipments``."""

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

__all__ = ["LabelGenerated", "ShipmentCancelled", "ShipmentConfirmed", "ShipmentCreated", "ShipmentDelivered"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelGenerated(Event):
    """A carrier has issued the label of the shipment.

    Key: ``order_id``.
    """

    TYPE: ClassVar[str] = "tidegate.sms.shipments.LabelGenerated"
    TOPIC: ClassVar[str] = "sms.shipments"
    KEY: ClassVar[str] = "order_id"

    order_id: str
    """The order: the UUID that is derived from the submission's request_id."""
    shipment_id: str
    """The shipment: the UUID that SMS derives from the order id."""
    carrier: str
    """The carrier that issued the label."""
    tracking_number: str
    """The carrier's own number for the parcel."""
    generated_at: datetime
    """When SMS recorded the label. UTC."""

    def to_record(self) -> dict[str, Any]:
        return {
            "order_id": text(self.order_id),
            "shipment_id": text(self.shipment_id),
            "carrier": text(self.carrier),
            "tracking_number": text(self.tracking_number),
            "generated_at": micros(self.generated_at),
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        return cls(
            order_id=record["order_id"],
            shipment_id=record["shipment_id"],
            carrier=record["carrier"],
            tracking_number=record["tracking_number"],
            generated_at=instant(record["generated_at"]),
        )

    def to_json(self) -> dict[str, JSON]:
        return {
            "order_id": self.order_id,
            "shipment_id": self.shipment_id,
            "carrier": self.carrier,
            "tracking_number": self.tracking_number,
            "generated_at": instant_text(self.generated_at),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, JSON]) -> Self:
        only_fields(
            data, frozenset({"order_id", "shipment_id", "carrier", "tracking_number", "generated_at"})
        )
        return cls(
            order_id=field_of(data, "order_id", text),
            shipment_id=field_of(data, "shipment_id", text),
            carrier=field_of(data, "carrier", text),
            tracking_number=field_of(data, "tracking_number", text),
            generated_at=field_of(data, "generated_at", instant_of),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ShipmentCancelled(Event):
    """The shipment was cancelled before it was handed over.

    Key: ``order_id``.
    """

    TYPE: ClassVar[str] = "tidegate.sms.shipments.ShipmentCancelled"
    TOPIC: ClassVar[str] = "sms.shipments"
    KEY: ClassVar[str] = "order_id"

    order_id: str
    """The order: the UUID that is derived from the submission's request_id."""
    shipment_id: str
    """The shipment: the UUID that SMS derives from the order id."""
    cancelled_at: datetime
    """When SMS cancelled the shipment. UTC."""

    def to_record(self) -> dict[str, Any]:
        return {
            "order_id": text(self.order_id),
            "shipment_id": text(self.shipment_id),
            "cancelled_at": micros(self.cancelled_at),
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        return cls(
            order_id=record["order_id"],
            shipment_id=record["shipment_id"],
            cancelled_at=instant(record["cancelled_at"]),
        )

    def to_json(self) -> dict[str, JSON]:
        return {
            "order_id": self.order_id,
            "shipment_id": self.shipment_id,
            "cancelled_at": instant_text(self.cancelled_at),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, JSON]) -> Self:
        only_fields(data, frozenset({"order_id", "shipment_id", "cancelled_at"}))
        return cls(
            order_id=field_of(data, "order_id", text),
            shipment_id=field_of(data, "shipment_id", text),
            cancelled_at=field_of(data, "cancelled_at", instant_of),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ShipmentConfirmed(Event):
    """The shipment is handed to the carrier; there is no way back.

    Key: ``order_id``.
    """

    TYPE: ClassVar[str] = "tidegate.sms.shipments.ShipmentConfirmed"
    TOPIC: ClassVar[str] = "sms.shipments"
    KEY: ClassVar[str] = "order_id"

    order_id: str
    """The order: the UUID that is derived from the submission's request_id."""
    shipment_id: str
    """The shipment: the UUID that SMS derives from the order id."""
    confirmed_at: datetime
    """When SMS confirmed the shipment. UTC."""

    def to_record(self) -> dict[str, Any]:
        return {
            "order_id": text(self.order_id),
            "shipment_id": text(self.shipment_id),
            "confirmed_at": micros(self.confirmed_at),
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        return cls(
            order_id=record["order_id"],
            shipment_id=record["shipment_id"],
            confirmed_at=instant(record["confirmed_at"]),
        )

    def to_json(self) -> dict[str, JSON]:
        return {
            "order_id": self.order_id,
            "shipment_id": self.shipment_id,
            "confirmed_at": instant_text(self.confirmed_at),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, JSON]) -> Self:
        only_fields(data, frozenset({"order_id", "shipment_id", "confirmed_at"}))
        return cls(
            order_id=field_of(data, "order_id", text),
            shipment_id=field_of(data, "shipment_id", text),
            confirmed_at=field_of(data, "confirmed_at", instant_of),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ShipmentCreated(Event):
    """A shipment for the order is open, without a label so far.

    Key: ``order_id``.
    """

    TYPE: ClassVar[str] = "tidegate.sms.shipments.ShipmentCreated"
    TOPIC: ClassVar[str] = "sms.shipments"
    KEY: ClassVar[str] = "order_id"

    order_id: str
    """The order: the UUID that is derived from the submission's request_id."""
    shipment_id: str
    """The shipment: the UUID that SMS derives from the order id."""
    created_at: datetime
    """When SMS created the shipment. UTC."""

    def to_record(self) -> dict[str, Any]:
        return {
            "order_id": text(self.order_id),
            "shipment_id": text(self.shipment_id),
            "created_at": micros(self.created_at),
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        return cls(
            order_id=record["order_id"],
            shipment_id=record["shipment_id"],
            created_at=instant(record["created_at"]),
        )

    def to_json(self) -> dict[str, JSON]:
        return {
            "order_id": self.order_id,
            "shipment_id": self.shipment_id,
            "created_at": instant_text(self.created_at),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, JSON]) -> Self:
        only_fields(data, frozenset({"order_id", "shipment_id", "created_at"}))
        return cls(
            order_id=field_of(data, "order_id", text),
            shipment_id=field_of(data, "shipment_id", text),
            created_at=field_of(data, "created_at", instant_of),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ShipmentDelivered(Event):
    """The carrier reports that the parcel has arrived. A fact from upstream; it may be reported twice.

    Key: ``order_id``.
    """

    TYPE: ClassVar[str] = "tidegate.sms.shipments.ShipmentDelivered"
    TOPIC: ClassVar[str] = "sms.shipments"
    KEY: ClassVar[str] = "order_id"

    order_id: str
    """The order: the UUID that is derived from the submission's request_id."""
    shipment_id: str
    """The shipment: the UUID that SMS derives from the order id."""
    delivered_at: datetime
    """When the carrier delivered the parcel. UTC."""

    def to_record(self) -> dict[str, Any]:
        return {
            "order_id": text(self.order_id),
            "shipment_id": text(self.shipment_id),
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
            shipment_id=field_of(data, "shipment_id", text),
            delivered_at=field_of(data, "delivered_at", instant_of),
        )
