"""What a paid order's workflow is given, and what it takes along when it continues as new.

It continues as new only once its order has shipped: until then it holds the handles of its two children, and
takes a handful of signals; after that anybody may report a delivery as often as he likes.

Source: design §6, "signal limit of the run near or reached".
"""

from __future__ import annotations

from dataclasses import dataclass

from workflows.blocks.gate import GateState
from workflows.contracts.base import SignalFailure
from workflows.contracts.order import DeliveryNotice


@dataclass(frozen=True, slots=True)
class OrderProgress:
    """What the earlier runs knew of an order that has shipped."""

    payment: str
    delivery: DeliveryNotice | None = None
    delivery_gate: GateState | None = None
    delivery_overdue: bool = False
    refused: tuple[str, ...] = ()
    signal_failures: tuple[SignalFailure, ...] = ()


@dataclass(frozen=True, slots=True)
class OrderInput:
    """The one argument of the workflow: an ``OrderRequest``, and in a continued run what came before."""

    order_id: str
    progress: OrderProgress | None = None
