"""What may come back, and what it is worth: functions over values, the same on every machine.

**Pro-rata.** When ``k`` of the ``n`` pieces of a line have come back, ``net * k / n`` has been refunded for it,
rounded half-even to 0.01. A return that brings them from ``j`` to ``k`` is worth the difference, so all returns
of a line together refund exactly its net, in whatever portions they come (design §11, "Money").

**Several lines of one sku** are used up in the order in which they were ordered.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Decimal

from services.orders import OrderLine
from services.returns.values import RETURN_PERIOD, Disposition, Found, Pieces, Reason, SoldOrder

_CENT = Decimal("0.01")
_MOST_LINES = 100
_LARGEST_QUANTITY = 2**31 - 1
_LONGEST_NAME = 200


def reasons_against_request(
    return_id: str, order_id: str, reason_code: str, lines: Sequence[Pieces]
) -> list[str]:
    """Why this can never be a return, one sentence a reason; structure only."""
    reasons = [
        f"{field} must be 1 to {_LONGEST_NAME} printable characters"
        for field, value in (("return_id", return_id), ("order_id", order_id))
        if not (value.strip() and value.isprintable() and len(value) <= _LONGEST_NAME)
    ]
    if reason_code not in set(Reason):
        reasons.append(f"reason_code must be one of {', '.join(Reason)}")
    if not 1 <= len(lines) <= _MOST_LINES:
        reasons.append(f"a return has 1 to {_MOST_LINES} lines, not {len(lines)}")
    for number, line in enumerate(lines):
        if not (line.sku.strip() and line.sku.isprintable() and len(line.sku) <= _LONGEST_NAME):
            reasons.append(f"lines[{number}].sku must be 1 to {_LONGEST_NAME} printable characters")
        if not 1 <= line.quantity <= _LARGEST_QUANTITY:
            reasons.append(f"lines[{number}].quantity must be from 1 to {_LARGEST_QUANTITY}")
    if max(Counter(line.sku for line in lines).values(), default=0) > 1:
        reasons.append("a sku stands in the return more than once")
    return reasons


def reason_against(
    order: SoldOrder, wanted: Iterable[Pieces], elsewhere: Mapping[str, int], requested_at: datetime
) -> str | None:
    """Why the policy does not allow the return, in one sentence; None where it does.

    ``elsewhere`` are the pieces by sku that other returns of the order hold or have brought back.
    """
    if not order.is_shipped or order.shipped_at is None:
        return "the order has not shipped"
    if requested_at > order.shipped_at + RETURN_PERIOD:
        return f"it was asked for more than {RETURN_PERIOD.days} days after the order had shipped"
    shipped = pieces_of(order.lines)
    for line in wanted:
        left = shipped[line.sku] - elsewhere.get(line.sku, 0)
        if line.quantity > left:
            return f"{line.quantity} of {line.sku} were asked for, and {max(left, 0)} are left to come back"
    return None


def pieces_of(lines: Iterable[OrderLine]) -> Counter[str]:
    """How many pieces of each sku the order's lines hold."""
    pieces: Counter[str] = Counter()
    for line in lines:
        pieces[line.sku] += line.quantity
    return pieces


def counted(announced: Mapping[str, int], found: Iterable[Found]) -> dict[str, dict[Disposition, int]]:
    """What of ``found`` counts, by sku and disposition: never more of a sku than was announced.

    What is beyond that, or was not announced at all, is the warehouse's to send back; it is neither refunded nor
    put on the shelf. Where too many were found, those to restock count first, then those to scrap.
    """
    totals: Counter[tuple[str, Disposition]] = Counter()
    for one in found:
        totals[one.sku, one.disposition] += max(one.quantity, 0)
    counts: dict[str, dict[Disposition, int]] = {}
    for sku, left in announced.items():
        counts[sku] = {}
        for disposition in Disposition:
            taken = min(left, totals[sku, disposition])
            counts[sku][disposition] = taken
            left -= taken
    return counts


def amount_owed(lines: Sequence[OrderLine], before: Mapping[str, int], now: Mapping[str, int]) -> Decimal:
    """What ``now`` more pieces by sku are worth, where ``before`` had come back already."""
    return sum(
        (
            _worth(lines, sku, before.get(sku, 0) + quantity) - _worth(lines, sku, before.get(sku, 0))
            for sku, quantity in now.items()
        ),
        Decimal("0.00"),
    )


def _worth(lines: Sequence[OrderLine], sku: str, pieces: int) -> Decimal:
    """What the first ``pieces`` of ``sku`` are worth."""
    worth = Decimal("0.00")
    for line in lines:
        if line.sku == sku:
            taken = min(pieces, line.quantity)
            worth += (line.net * taken / line.quantity).quantize(_CENT, ROUND_HALF_EVEN)
            pieces -= taken
    return worth
