"""The life of a cart after it has lived in its workflow: CHECKED_OUT or ABANDONED, whichever comes first."""

from __future__ import annotations

from enum import StrEnum


class CartState(StrEnum):
    """What became of a cart. Both are final, and the first one stands."""

    CHECKED_OUT = "CHECKED_OUT"
    ABANDONED = "ABANDONED"
