"""Kits and their parts, the queue, an item's places, and the table of a reservation's life."""

from __future__ import annotations

import pytest

from services.errors import IllegalTransitionError, InvalidOrderError
from services.ims.allocation import merged, refusal
from services.ims.bill_of_materials import closure, find_cycle, parts_of
from services.ims.discontinuing import in_vain
from services.ims.item import Item
from services.ims.queue import WaitingOrder, servable
from services.ims.states import RESERVATION, ReservationState

_DESK = {"DESK": (("TOP", 1), ("LEG", 4)), "LEG": (("TUBE", 1), ("SCREW", 2))}


def test_a_kit_is_made_from_its_components_at_any_depth() -> None:
    """A kit that is not on the shelf is expanded, and so are its components."""
    assert parts_of([("DESK", 2), ("SCREW", 3)], _DESK, {}) == {"TOP": 2, "TUBE": 8, "SCREW": 19}


def test_what_stands_assembled_is_taken_first() -> None:
    """Assembled and free kits are taken as they are; only what is missing is expanded."""
    parts = parts_of([("DESK", 2)], _DESK, {"DESK": 1, "LEG": 3})
    assert parts == {"DESK": 1, "TOP": 1, "LEG": 3, "TUBE": 1, "SCREW": 2}


def test_two_lines_do_not_take_the_same_piece() -> None:
    """A kit on the shelf serves one line only."""
    assert parts_of([("LEG", 1), ("LEG", 1)], _DESK, {"LEG": 1}) == {"LEG": 1, "TUBE": 1, "SCREW": 2}


def test_a_bill_with_many_paths_costs_what_it_is_long() -> None:
    """Sixty levels with two ways down each are 2^60 paths, and are expanded at once."""
    bill: dict[str, tuple[tuple[str, int], ...]] = {
        f"K{n}": ((f"K{n + 1}", 1), (f"L{n + 1}", 1)) for n in range(60)
    }
    bill.update({f"L{n}": ((f"K{n + 1}", 1),) for n in range(1, 60)})
    parts = parts_of([("K0", 1)], bill, {})
    assert set(parts) == {"K60", "L60"}
    assert parts["K60"] > 2**30


def test_claimed_kits_are_not_free() -> None:
    """A negative number of free pieces counts as none."""
    assert parts_of([("LEG", 1)], _DESK, {"LEG": -5}) == {"TUBE": 1, "SCREW": 2}


def test_the_closure_names_everything_a_kit_may_need() -> None:
    """Everything that may be taken is locked."""
    assert closure(["DESK"], _DESK) == {"DESK", "TOP", "LEG", "TUBE", "SCREW"}


def test_a_kit_that_is_made_of_itself_is_found() -> None:
    """A chain of components that leads back is named; a component used twice is no cycle."""
    assert find_cycle(["A"], {"A": (("B", 1),), "B": (("C", 1),), "C": (("B", 2),)}) == ("B", "C", "B")
    assert find_cycle(["A"], {"A": (("A", 1),)}) == ("A", "A")
    assert find_cycle(["A"], {"A": (("B", 1), ("C", 1)), "B": (("D", 1),), "C": (("D", 1),)}) is None
    deep = {f"K{n}": ((f"K{n + 1}", 1),) for n in range(5000)}
    assert find_cycle(["K0"], deep) is None


def _queue(*needs: dict[str, int]) -> list[WaitingOrder]:
    return [WaitingOrder(str(number), parts) for number, parts in enumerate(needs)]


def test_orders_are_served_in_the_order_in_which_they_came() -> None:
    """Whoever came first is served first, as far as the stock goes."""
    assert servable(_queue({"A": 2}, {"A": 2}, {"A": 2}), {"A": 5}) == ["0", "1"]


def test_a_small_order_does_not_overtake_a_large_one() -> None:
    """An order that could be served from what is there waits for the one before it."""
    assert servable(_queue({"A": 5}, {"A": 1}), {"A": 3}) == []


def test_an_order_for_something_else_is_not_held_up() -> None:
    """A sku of which there is plenty holds nobody up, also when an earlier order needs it too."""
    assert servable(_queue({"A": 5, "B": 1}, {"B": 2}), {"A": 0, "B": 9}) == ["1"]


def test_the_claim_of_an_earlier_order_stands_on_every_sku_it_needs() -> None:
    """An order that waits for A keeps its place for B."""
    assert servable(_queue({"A": 1, "B": 2}, {"B": 1}), {"A": 0, "B": 2}) == []


def test_an_order_with_a_sku_out_of_sight_is_not_served_but_counts() -> None:
    """Only items that are looked at can be served; claims on them count all the same."""
    assert servable(_queue({"A": 1, "Z": 1}, {"A": 1}), {"A": 1}) == []


def test_a_shortage_is_noticed_once_for_each_cycle() -> None:
    """A cycle begins below the reorder point and ends at it; within one the shortage is new once."""
    item = Item("A", received=10, on_hand=10, reorder_point=5)
    item, new = item.reserve(5).noticed()
    assert (new, item.cycle) == (False, 0)
    item, new = item.reserve(1).noticed()
    assert (new, item.cycle, item.version) == (True, 1, 1)
    item, new = item.reserve(1).noticed()
    assert (new, item.cycle) == (False, 1)
    item, new = item.receive(10).noticed()
    assert (new, item.below) == (False, False)
    item, new = item.claim(9).noticed()
    assert (new, item.cycle, item.version) == (True, 2, 2)


def test_a_cycle_whose_replenishment_was_not_enough_is_followed_by_the_next() -> None:
    """Not before it has come, and not while another lot is on its way."""
    item, _ = Item("A", reorder_point=5).noticed()
    assert (item.cycle, item.lot()) == (1, 10)
    item, new = item.expect(10).noticed()
    assert (new, item.lot()) == (False, 0)
    item, new = item.expect(-4).settle(1).noticed()
    assert (new, item.cycle) == (False, 1), "six pieces are still on their way"
    item, new = item.expect(-6).receive(3).noticed()
    assert (new, item.cycle, item.settled, item.lot()) == (True, 2, False, 7)
    assert item.settle(1) == item, "the end of an earlier cycle is not that of this one"


def test_an_item_without_reorder_point_is_short_when_orders_wait() -> None:
    """The lot is exactly what they lack."""
    item, new = Item("A", received=3, on_hand=3).claim(5).noticed()
    assert (new, item.lot()) == (True, 2)


def test_a_lot_fits_into_its_event() -> None:
    """More than an event can say is ordered in cycles."""
    item, _ = Item("A", awaited=2**33).noticed()
    assert item.lot() == 2**31 - 1


def test_the_last_pieces_go_to_who_came_first() -> None:
    """Of the orders that wait for a discontinued item, those that its last pieces do not reach are in vain."""
    assert in_vain(["a", "b", "c"], {"a": 2, "b": 3, "c": 1}, 3) == ["b"]
    assert in_vain(["a"], {"a": 1}, 0) == ["a"]


_LEGAL = {
    ("serve", "WAITING"): "RESERVED",
    ("fail", "WAITING"): "FAILED",
    ("consume", "RESERVED"): "CONSUMED",
    ("release", "RESERVED"): "RELEASED",
    ("release", "WAITING"): "RELEASED",
    ("return_consumed", "CONSUMED"): "RETURNED",
}
_THERE_ALREADY = {
    "serve": set(),
    "fail": {"FAILED"},
    "consume": {"CONSUMED", "RETURNED"},
    "release": {"RELEASED", "RETURNED", "FAILED"},
    "return_consumed": {"RETURNED"},
}


@pytest.mark.parametrize("state", list(ReservationState))
@pytest.mark.parametrize("operation", sorted(RESERVATION.rules))
def test_the_table_of_a_reservation(operation: str, state: ReservationState) -> None:
    """Every operation in every state leads on, is a repeat, or is illegal, and nothing else."""
    if (operation, state) in _LEGAL:
        assert RESERVATION.step(operation, state, "o") == _LEGAL[operation, state]
    elif state in _THERE_ALREADY[operation]:
        assert RESERVATION.step(operation, state, "o") is None
    else:
        with pytest.raises(IllegalTransitionError):
            RESERVATION.step(operation, state, "o")


def test_what_can_never_be_served_is_refused_before_the_stock_is_looked_at() -> None:
    """Unknown, discontinued and unthinkably large orders fail for good, and the skus are named."""
    assert refusal({"A": 1}, {"A": 1}, {"A": False}) is None
    unknown = refusal({"X": 1, "A": 1}, {"A": 1, "X": 1}, {"A": False})
    assert unknown is not None
    assert (unknown.code, unknown.skus) == ("UNKNOWN_SKU", ("X",))
    gone = refusal({"DESK": 1}, {"TOP": 1}, {"DESK": False, "TOP": True})
    assert gone is not None
    assert (gone.code, gone.skus) == ("DISCONTINUED", ("TOP",))
    many = refusal(
        {"A": 1},
        {f"A{n}": 1 for n in range(10_001)} | {"A": 1},
        {f"A{n}": False for n in range(10_001)} | {"A": False},
    )
    assert many is not None
    assert many.code == "TOO_MANY_PARTS"
    large = refusal({"A": 1}, {"A": 2**31}, {"A": False})
    assert large is not None
    assert large.code == "QUANTITY_TOO_LARGE"


def test_lines_of_one_sku_are_one_wish() -> None:
    """Two lines of one sku are added up; no lines, or a quantity below one, are invalid."""
    assert merged("o", [("A", 1), ("A", 2)]) == {"A": 3}
    with pytest.raises(InvalidOrderError, match="no lines"):
        merged("o", [])
    with pytest.raises(InvalidOrderError, match="is -1"):
        merged("o", [("A", -1)])
