"""Which parts make up what was ordered: kits are taken from the shelf first, then made from components.

Source: 003, "Allocate Inventory" ("Handles BOM expansion if needed").
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import TypeAlias

BillOfMaterials: TypeAlias = Mapping[str, tuple[tuple[str, int], ...]]
"""For each kit: its components, and how many of each one kit needs. What is not a key is no kit."""


def closure(skus: Iterable[str], bill: BillOfMaterials) -> frozenset[str]:
    """``skus`` and everything that they can be made from, at any depth."""
    found: set[str] = set()
    ahead = list(skus)
    while ahead:
        sku = ahead.pop()
        if sku not in found:
            found.add(sku)
            ahead.extend(component for component, _ in bill.get(sku, ()))
    return frozenset(found)


def parts_of(
    lines: Iterable[tuple[str, int]], bill: BillOfMaterials, free: Mapping[str, int]
) -> dict[str, int]:
    """The pieces to take for ``lines``, by sku, all quantities positive.

    ``free`` says how many pieces of each sku nobody has a claim on. A kit that stands assembled and free is
    taken as it is; what is missing is made from its components, at any depth. Pieces that are not free are
    asked for all the same: the caller decides whether to reserve or to wait. ``bill`` holds no cycle.

    All wishes for one kit are gathered, from every line and every kit above it, before it is expanded: the
    work grows with the size of the bill, not with the number of paths through it.
    """
    wanted: dict[str, int] = defaultdict(int)
    for sku, quantity in lines:
        wanted[sku] += quantity
    parts: dict[str, int] = {}
    for sku in _kits_before_components(wanted, bill):
        quantity = wanted[sku]
        components = bill.get(sku, ())
        whole = min(quantity, max(free.get(sku, 0), 0)) if components else quantity
        if whole:
            parts[sku] = whole
        for component, per_kit in components:
            wanted[component] += (quantity - whole) * per_kit
    return parts


def _kits_before_components(skus: Iterable[str], bill: BillOfMaterials) -> list[str]:
    """``skus`` and all that they are made from, each after every kit that it is part of."""
    found = closure(skus, bill)
    above = Counter(component for sku in found for component, _ in bill.get(sku, ()))
    ready = sorted(sku for sku in found if not above[sku])
    for sku in ready:
        for component, _ in bill.get(sku, ()):
            above[component] -= 1
            if not above[component]:
                ready.append(component)
    return ready


def find_cycle(starts: Iterable[str], bill: BillOfMaterials) -> tuple[str, ...] | None:
    """The first chain of kits found from ``starts`` that leads back to its own beginning, or ``None``."""
    clear: set[str] = set()
    for start in starts:
        # Depth first without recursion: a chain of components may be longer than Python's stack.
        path: list[str] = [start]
        branches = [iter(bill.get(start, ()))]
        while branches:
            component = next(branches[-1], None)
            if component is None:
                branches.pop()
                clear.add(path.pop())
            elif component[0] in path:
                return (*path[path.index(component[0]) :], component[0])
            elif component[0] not in clear:
                path.append(component[0])
                branches.append(iter(bill.get(component[0], ())))
    return None
