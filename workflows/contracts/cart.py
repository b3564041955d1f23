"""A cart, as others see it: it lives across a customer's sessions. Source: 001, "Cart management"; design §7.

A cart is changed by updates, not by signals: whoever asks is told at once whether the change was taken. One that
breaks a rule is refused before it is in the history. A repeat under the same update id changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from workflows.contracts.base import CART_TASK_QUEUE, UpdateContract, WorkflowContract
from workflows.contracts.orders import OrderLineInput


@dataclass(frozen=True, slots=True)
class CartRequest:
    """Whose cart it is, and the currency of its prices. ``customer_id`` is a reference, never a name."""

    cart_id: str
    customer_id: str
    currency: str


CART: Final = WorkflowContract("CartWorkflow", CART_TASK_QUEUE, "cart-{cart_id}", CartRequest)
"""Gives ``CHECKED_OUT`` or ``ABANDONED``. Started by the first ``setItem``, with update-with-start."""


# --- States -------------------------------------------------------------------------------------------

OPEN: Final = "OPEN"
CHECKING_OUT: Final = "CHECKING_OUT"
CHECKED_OUT: Final = "CHECKED_OUT"
ABANDONED: Final = "ABANDONED"


@dataclass(frozen=True, slots=True)
class CartSnapshot:
    """What lies in a cart, and where it stands: what each update and ``getSnapshot`` give.

    ``state`` is ``OPEN``; ``CHECKING_OUT`` from the first ``checkOut`` until the hand-over is known to have
    happened (its lines change no more, ``checkOut`` may be asked again); ``CHECKED_OUT``; or ``ABANDONED``.
    ``pieces`` counts all lines, ``total`` is their net, as text. ``idle_until`` (ISO-8601) is when it is given up
    if nobody touches it. ``checkout_id`` and ``order_id`` are those that its checkout has or would have.
    """

    cart_id: str
    customer_id: str
    currency: str
    state: str
    lines: tuple[OrderLineInput, ...]
    pieces: int
    total: str
    idle_until: str
    checkout_id: str
    order_id: str
    blocking_reason: str | None = None


# --- Updates ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SetItem:
    """``quantity`` pieces of ``sku`` lie in the cart from now on, whatever lay there before.

    ``unit_price`` is an amount and ``discount`` a fraction, both text. ``currency`` is refused where it is not
    the cart's; none says nothing.
    """

    sku: str
    quantity: int
    unit_price: str
    discount: str = "0"
    currency: str | None = None


@dataclass(frozen=True, slots=True)
class RemoveItem:
    """No ``sku`` lies in the cart from now on."""

    sku: str


@dataclass(frozen=True, slots=True)
class CheckOut:
    """The customer buys what lies in the cart. ``payment_token`` is a reference at the payment provider."""

    payment_token: str


SET_ITEM: Final = UpdateContract("setItem", SetItem, CartSnapshot)
REMOVE_ITEM: Final = UpdateContract("removeItem", RemoveItem, CartSnapshot)
CHECK_OUT: Final = UpdateContract("checkOut", CheckOut, CartSnapshot)

CART_REFUSED: Final = "CartRefusedError"
"""The type of failure of an update that breaks a rule of the cart; the message says which."""

GET_SNAPSHOT: Final = "getSnapshot"
"""Of a cart: a :class:`CartSnapshot`."""
