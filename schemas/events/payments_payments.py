# Generated from schemas/avro by `python -m schemas.generate`. Do not edit.
"""Events of the topic ``payments.payments``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, ClassVar, Self

from schemas.event import Event
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
    micros,
    only_fields,
    text,
)

__all__ = ["PaymentAuthorized", "PaymentCaptured", "PaymentFailed", "PaymentRefunded", "PaymentVoided"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentAuthorized(Event):
    """The provider holds the amount for the order.

    Key: ``order_id``.
    """

    TYPE: ClassVar[str] = "tidegate.payments.payments.PaymentAuthorized"
    TOPIC: ClassVar[str] = "payments.payments"
    KEY: ClassVar[str] = "order_id"

    order_id: str
    """The order."""
    payment_id: str
    """The payment of the order: derived from the order's id."""
    amount: Decimal
    """What is held."""
    currency: str
    """ISO 4217 code of every amount here, three capital letters."""
    authorized_at: datetime
    """When it was held. UTC."""

    def to_record(self) -> dict[str, Any]:
        return {
            "order_id": text(self.order_id),
            "payment_id": text(self.payment_id),
            "amount": amount_bytes(self.amount, 18, 2),
            "currency": text(self.currency),
            "authorized_at": micros(self.authorized_at),
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        return cls(
            order_id=record["order_id"],
            payment_id=record["payment_id"],
            amount=amount(record["amount"], 18, 2),
            currency=record["currency"],
            authorized_at=instant(record["authorized_at"]),
        )

    def to_json(self) -> dict[str, JSON]:
        return {
            "order_id": self.order_id,
            "payment_id": self.payment_id,
            "amount": amount_text(self.amount, 18, 2),
            "currency": self.currency,
            "authorized_at": instant_text(self.authorized_at),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, JSON]) -> Self:
        only_fields(data, frozenset({"order_id", "payment_id", "amount", "currency", "authorized_at"}))
        return cls(
            order_id=field_of(data, "order_id", text),
            payment_id=field_of(data, "payment_id", text),
            amount=field_of(data, "amount", lambda x: amount_of(x, 18, 2)),
            currency=field_of(data, "currency", text),
            authorized_at=field_of(data, "authorized_at", instant_of),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentCaptured(Event):
    """The amount that was held is ours.

    Key: ``order_id``.
    """

    TYPE: ClassVar[str] = "tidegate.payments.payments.PaymentCaptured"
    TOPIC: ClassVar[str] = "payments.payments"
    KEY: ClassVar[str] = "order_id"

    order_id: str
    """The order."""
    payment_id: str
    """The payment of the order: derived from the order's id."""
    amount: Decimal
    """What was taken."""
    currency: str
    """ISO 4217 code of every amount here, three capital letters."""
    captured_at: datetime
    """When it was taken. UTC."""

    def to_record(self) -> dict[str, Any]:
        return {
            "order_id": text(self.order_id),
            "payment_id": text(self.payment_id),
            "amount": amount_bytes(self.amount, 18, 2),
            "currency": text(self.currency),
            "captured_at": micros(self.captured_at),
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        return cls(
            order_id=record["order_id"],
            payment_id=record["payment_id"],
            amount=amount(record["amount"], 18, 2),
            currency=record["currency"],
            captured_at=instant(record["captured_at"]),
        )

    def to_json(self) -> dict[str, JSON]:
        return {
            "order_id": self.order_id,
            "payment_id": self.payment_id,
            "amount": amount_text(self.amount, 18, 2),
            "currency": self.currency,
            "captured_at": instant_text(self.captured_at),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, JSON]) -> Self:
        only_fields(data, frozenset({"order_id", "payment_id", "amount", "currency", "captured_at"}))
        return cls(
            order_id=field_of(data, "order_id", text),
            payment_id=field_of(data, "payment_id", text),
            amount=field_of(data, "amount", lambda x: amount_of(x, 18, 2)),
            currency=field_of(data, "currency", text),
            captured_at=field_of(data, "captured_at", instant_of),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentFailed(Event):
    """The payment came to nothing, for good.

    Key: ``order_id``.
    """

    TYPE: ClassVar[str] = "tidegate.payments.payments.PaymentFailed"
    TOPIC: ClassVar[str] = "payments.payments"
    KEY: ClassVar[str] = "order_id"

    order_id: str
    """The order."""
    payment_id: str
    """The payment of the order: derived from the order's id."""
    code: str
    """Why, for programs: FRAUD, INSUFFICIENT_FUNDS, CARD_INVALID, DECLINED, UNAVAILABLE or CANCELLED."""
    reason: str
    """Why, in one sentence for people."""
    failed_at: datetime
    """When it failed. UTC."""

    def to_record(self) -> dict[str, Any]:
        return {
            "order_id": text(self.order_id),
            "payment_id": text(self.payment_id),
            "code": text(self.code),
            "reason": text(self.reason),
            "failed_at": micros(self.failed_at),
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        return cls(
            order_id=record["order_id"],
            payment_id=record["payment_id"],
            code=record["code"],
            reason=record["reason"],
            failed_at=instant(record["failed_at"]),
        )

    def to_json(self) -> dict[str, JSON]:
        return {
            "order_id": self.order_id,
            "payment_id": self.payment_id,
            "code": self.code,
            "reason": self.reason,
            "failed_at": instant_text(self.failed_at),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, JSON]) -> Self:
        only_fields(data, frozenset({"order_id", "payment_id", "code", "reason", "failed_at"}))
        return cls(
            order_id=field_of(data, "order_id", text),
            payment_id=field_of(data, "payment_id", text),
            code=field_of(data, "code", text),
            reason=field_of(data, "reason", text),
            failed_at=field_of(data, "failed_at", instant_of),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentRefunded(Event):
    """Some or all of what was taken was given back.

    Key: ``order_id``.
    """

    TYPE: ClassVar[str] = "tidegate.payments.payments.PaymentRefunded"
    TOPIC: ClassVar[str] = "payments.payments"
    KEY: ClassVar[str] = "order_id"

    order_id: str
    """The order."""
    payment_id: str
    """The payment of the order: derived from the order's id."""
    refund_id: str
    """The refund: one for each reason to give money back."""
    amount: Decimal
    """What was given back by this refund."""
    currency: str
    """ISO 4217 code of every amount here, three capital letters."""
    refunded_at: datetime
    """When it was given back. UTC."""

    def to_record(self) -> dict[str, Any]:
        return {
            "order_id": text(self.order_id),
            "payment_id": text(self.payment_id),
            "refund_id": text(self.refund_id),
            "amount": amount_bytes(self.amount, 18, 2),
            "currency": text(self.currency),
            "refunded_at": micros(self.refunded_at),
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        return cls(
            order_id=record["order_id"],
            payment_id=record["payment_id"],
            refund_id=record["refund_id"],
            amount=amount(record["amount"], 18, 2),
            currency=record["currency"],
            refunded_at=instant(record["refunded_at"]),
        )

    def to_json(self) -> dict[str, JSON]:
        return {
            "order_id": self.order_id,
            "payment_id": self.payment_id,
            "refund_id": self.refund_id,
            "amount": amount_text(self.amount, 18, 2),
            "currency": self.currency,
            "refunded_at": instant_text(self.refunded_at),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, JSON]) -> Self:
        only_fields(
            data, frozenset({"order_id", "payment_id", "refund_id", "amount", "currency", "refunded_at"})
        )
        return cls(
            order_id=field_of(data, "order_id", text),
            payment_id=field_of(data, "payment_id", text),
            refund_id=field_of(data, "refund_id", text),
            amount=field_of(data, "amount", lambda x: amount_of(x, 18, 2)),
            currency=field_of(data, "currency", text),
            refunded_at=field_of(data, "refunded_at", instant_of),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentVoided(Event):
    """The amount that was held is free again; nothing was taken.

    Key: ``order_id``.
    """

    TYPE: ClassVar[str] = "tidegate.payments.payments.PaymentVoided"
    TOPIC: ClassVar[str] = "payments.payments"
    KEY: ClassVar[str] = "order_id"

    order_id: str
    """The order."""
    payment_id: str
    """The payment of the order: derived from the order's id."""
    amount: Decimal
    """What is free again."""
    currency: str
    """ISO 4217 code of every amount here, three capital letters."""
    voided_at: datetime
    """When it was freed. UTC."""

    def to_record(self) -> dict[str, Any]:
        return {
            "order_id": text(self.order_id),
            "payment_id": text(self.payment_id),
            "amount": amount_bytes(self.amount, 18, 2),
            "currency": text(self.currency),
            "voided_at": micros(self.voided_at),
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        return cls(
            order_id=record["order_id"],
            payment_id=record["payment_id"],
            amount=amount(record["amount"], 18, 2),
            currency=record["currency"],
            voided_at=instant(record["voided_at"]),
        )

    def to_json(self) -> dict[str, JSON]:
        return {
            "order_id": self.order_id,
            "payment_id": self.payment_id,
            "amount": amount_text(self.amount, 18, 2),
            "currency": self.currency,
            "voided_at": instant_text(self.voided_at),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, JSON]) -> Self:
        only_fields(data, frozenset({"order_id", "payment_id", "amount", "currency", "voided_at"}))
        return cls(
            order_id=field_of(data, "order_id", text),
            payment_id=field_of(data, "payment_id", text),
            amount=field_of(data, "amount", lambda x: amount_of(x, 18, 2)),
            currency=field_of(data, "currency", text),
            voided_at=field_of(data, "voided_at", instant_of),
        )
