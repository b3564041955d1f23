"""Stock as it is handed in: what a stock file holds and IMS loads. A value, known to both."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StockRow:
    """``on_hand`` more pieces of ``sku``, its reorder point, and what it is made of where it is a kit.

    No ``components`` leaves those that the item has.
    """

    sku: str
    on_hand: int
    reorder_point: int = 0
    components: tuple[tuple[str, int], ...] = ()
