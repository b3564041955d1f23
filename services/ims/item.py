"""An item of stock, and how pieces move between its places.

    received ──▶ on hand ──▶ reserved ──▶ consumed
                    ▲───────────┘ released    │
                    ▲─────────────────────────┘ returned

Always: ``received = on_hand + reserved + consumed`` (the database checks it too). ``awaited`` counts the
pieces that waiting orders have a claim on, ``on_order`` those that the supplier owes; they are not in any place.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

LARGEST_QUANTITY: Final = 2**31 - 1
"""The most pieces of one sku that a line, a receipt or an event can name (Avro ``int``)."""


@dataclass(frozen=True, slots=True)
class Item:
    """The stock of one sku. ``received`` counts all that ever came in, loaded or received."""

    sku: str
    received: int = 0
    on_hand: int = 0
    reserved: int = 0
    consumed: int = 0
    awaited: int = 0
    reorder_point: int = 0
    below: bool = False
    cycle: int = 0
    version: int = 0
    discontinued: bool = False
    on_order: int = 0
    settled: bool = False

    @property
    def free(self) -> int:
        """Pieces on hand that no waiting order has a claim on; negative when more is awaited."""
        return self.on_hand - self.awaited

    def receive(self, quantity: int) -> Item:
        """``quantity`` pieces came in."""
        return replace(self, received=self.received + quantity, on_hand=self.on_hand + quantity)

    def reserve(self, quantity: int) -> Item:
        """``quantity`` pieces are put aside for an order."""
        return replace(self, on_hand=self.on_hand - quantity, reserved=self.reserved + quantity)

    def release(self, quantity: int) -> Item:
        """``quantity`` pieces that were put aside are free again."""
        return self.reserve(-quantity)

    def consume(self, quantity: int) -> Item:
        """``quantity`` pieces that were put aside have left the shelf for good."""
        return replace(self, reserved=self.reserved - quantity, consumed=self.consumed + quantity)

    def give_back(self, quantity: int) -> Item:
        """``quantity`` pieces that had left came back to the shelf."""
        return replace(self, consumed=self.consumed - quantity, on_hand=self.on_hand + quantity)

    def claim(self, quantity: int) -> Item:
        """A waiting order needs ``quantity`` pieces."""
        return replace(self, awaited=self.awaited + quantity)

    def give_up(self, quantity: int) -> Item:
        """A waiting order gives up its claim on ``quantity`` pieces."""
        return self.claim(-quantity)

    def noticed(self) -> tuple[Item, bool]:
        """The item with its reorder cycle brought up to date, and whether its shortage is new.

        A cycle begins when the free pieces fall below the reorder point, and ends when they no longer are, or
        when its replenishment has come and was not enough: within a cycle the shortage is new once. An item
        that is no longer kept has no cycles.
        """
        if self.discontinued or self.free >= self.reorder_point:
            return replace(self, below=False), False
        if self.below and not (self.settled and self.on_order == 0):
            return self, False
        short = replace(self, below=True, settled=False, cycle=self.cycle + 1, version=self.version + 1)
        return short, True

    def lot(self) -> int:
        """How many pieces to order: all that waiting orders lack, and as many again as fill the shelf to twice
        the reorder point, less what is on its way; 0 where nothing is short.
        """
        if not self.below:
            return 0
        return min(max(2 * self.reorder_point - self.free - self.on_order, 0), LARGEST_QUANTITY)

    def expect(self, quantity: int) -> Item:
        """``quantity`` pieces were ordered from the supplier."""
        return replace(self, on_order=self.on_order + quantity)

    def discontinue(self) -> Item:
        """The item is no longer kept: nobody gets it any more, and nobody orders it."""
        return replace(self, discontinued=True)

    def settle(self, cycle: int) -> Item:
        """The replenishment of ``cycle`` has come to its end, whatever it brought."""
        return replace(self, settled=True) if cycle == self.cycle else self

    def counted(self) -> Item:
        """One event more about the item."""
        return replace(self, version=self.version + 1)
