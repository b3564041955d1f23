"""The audit's checks, each with the evidence that must make it speak."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from uuid import UUID

import pytest

from tidegate.audit import Evidence, LedgerEntry, OrderMoney, OutboxRow, ProviderBooks, Record, audit


def _row(number: int, name: str, sequence: int, subject: str = "o1") -> OutboxRow:
    return OutboxRow(
        database="tidegate",
        id=number,
        event_id=UUID(int=number),
        topic="oms.orders",
        key=subject,
        type=f"tidegate.oms.orders.{name}",
        source="/services/oms",
        subject=subject,
        sequence=sequence,
    )


def _record(row: OutboxRow, offset: int, *, routed: bool = False) -> Record:
    return Record(
        topic=row.topic,
        partition=0,
        offset=offset,
        key=row.key,
        event_id=row.event_id,
        type=row.type,
        source=row.source,
        subject=row.subject,
        sequence=row.sequence,
        routed=routed,
    )


def _delivered(record: Record) -> LedgerEntry:
    return LedgerEntry(
        event_id=record.event_id,
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        key=record.key,
        workflow_id="order-fulfillment-o1",
        route="PickCompleted",
        outcome="delivered",
        in_order=True,
    )


@pytest.fixture
def sound() -> Evidence:
    rows = (_row(1, "OrderCreated", 1), _row(2, "OrderReserved", 2), _row(3, "OrderShipped", 3))
    records = tuple(_record(row, offset, routed=True) for offset, row in enumerate(rows))
    return Evidence(
        rows=rows,
        records=records,
        ledger=tuple(_delivered(record) for record in records),
        waiting_events=frozenset(),
        submissions={"r1": "o1"},
        workflows=frozenset({"order-intake-r1"}),
        effects={("shipments", "o1"): 1},
    )


def test_sound_evidence_has_no_finding(sound: Evidence) -> None:
    """Where all adds up, the audit is silent."""
    assert audit(sound) == ()


def test_a_record_that_is_missing_is_lost(sound: Evidence) -> None:
    """A committed row without its record is named by its id, type and key."""
    [finding] = audit(replace(sound, records=sound.records[:-1]))
    assert finding.kind == "lost"
    assert "outbox row 3" in finding.what
    assert "OrderShipped" in finding.what


def test_a_record_without_ledger_entry_is_lost(sound: Evidence) -> None:
    """A record of a routed type that the bridge wrote nothing about is named by its place."""
    [finding] = audit(replace(sound, ledger=sound.ledger[:-1]))
    assert finding.kind == "lost"
    assert "oms.orders:0:2" in finding.what


def test_a_parked_event_is_not_lost(sound: Evidence) -> None:
    """What stands parked is accounted for."""
    assert audit(replace(sound, ledger=sound.ledger[:-1], waiting_events=frozenset({UUID(int=3)}))) == ()


def test_a_submission_without_workflow_is_lost(sound: Evidence) -> None:
    """An order that no workflow took up is named."""
    [finding] = audit(replace(sound, workflows=frozenset()))
    assert finding.kind == "lost"
    assert "request r1" in finding.what


def test_a_checkout_without_workflow_is_lost(sound: Evidence) -> None:
    """A checkout that no workflow took up is named, wherever it was requested."""
    row = replace(_row(4, "X", 4), type="tidegate.oms.checkouts.CheckoutRequested", key="c1")
    requested = replace(sound, rows=(*sound.rows, row), records=(*sound.records, _record(row, 9)))
    [finding] = audit(requested)
    assert (finding.kind, "checkout c1" in finding.what) == ("lost", True)
    assert audit(replace(requested, workflows=sound.workflows | {"checkout-c1"})) == ()


def test_a_doubled_shipment_is_a_duplicate_effect(sound: Evidence) -> None:
    """Two shipments of one order, in the table, are named with the order."""
    [finding] = audit(replace(sound, effects={("shipments", "o1"): 2}))
    assert finding.kind == "duplicate_effect"
    assert "order o1 has 2 shipments" in finding.what


def test_a_fact_stated_twice_is_a_duplicate_effect(sound: Evidence) -> None:
    """A second OrderShipped under a new event id and version is a second effect."""
    row = _row(4, "OrderShipped", 4)
    record = _record(row, 3, routed=False)
    [finding] = audit(replace(sound, rows=(*sound.rows, row), records=(*sound.records, record)))
    assert finding.kind == "duplicate_effect"
    assert "OrderShipped 2 times" in finding.what


def test_the_same_row_published_twice_is_no_second_effect(sound: Evidence) -> None:
    """The relay publishes at least once: the same event id again changes nothing."""
    again = replace(sound.records[0], offset=9)
    assert audit(replace(sound, records=(*sound.records, again))) == ()


def test_one_version_for_two_events_is_a_duplicate_effect(sound: Evidence) -> None:
    """Two events cannot both be version 3 of an aggregate."""
    row = _row(4, "OrderCancelled", 3)
    [finding] = audit(
        replace(sound, rows=(*sound.rows, row), records=(*sound.records, _record(row, 3, routed=False)))
    )
    assert finding.kind == "duplicate_effect"
    assert "version 3 of o1" in finding.what


def test_a_swapped_pair_is_out_of_order(sound: Evidence) -> None:
    """Two records of an aggregate in the wrong order are found, and the later place is named."""
    first, second, third = sound.records
    swapped = (first, replace(second, offset=2), replace(third, offset=1))
    findings = audit(
        replace(sound, records=swapped, ledger=tuple(map(_delivered, (first, swapped[2], swapped[1]))))
    )
    assert [finding.kind for finding in findings] == ["out_of_order"]
    assert "oms.orders:0:2" in findings[0].what


def test_a_delivery_after_a_later_one_is_out_of_order(sound: Evidence) -> None:
    """The order in which a workflow got the events of a key is the order of their offsets."""
    first, second, third = sound.ledger
    [finding] = audit(replace(sound, ledger=(first, third, second)))
    assert finding.kind == "out_of_order"
    assert "order-fulfillment-o1" in finding.what


def test_order_is_not_promised_to_parked_events(sound: Evidence) -> None:
    """A parked event may come after its successors."""
    first, second, third = sound.ledger
    assert audit(replace(sound, ledger=(first, third, replace(second, in_order=False)))) == ()


def test_a_parked_event_that_is_read_again_is_not_out_of_order(sound: Evidence) -> None:
    """Parked, then read again after a crash when its workflow is there: the second delivery comes after its successors
    and is no inversion, for order is promised to first occurrences."""
    first, second, third = sound.ledger
    parked = replace(second, outcome="parked", in_order=False)
    assert audit(replace(sound, ledger=(first, parked, third, second))) == ()


# --- Money --------------------------------------------------------------------------------------------

OWED = Decimal("40.00")
NOTHING = Decimal("0.00")

PAID = OrderMoney("o1", "DELIVERED", shipped=True, owed=OWED, captured=OWED, refunded=NOTHING, refunds=0)
CANCELLED = OrderMoney("o2", "CANCELLED", shipped=False, owed=OWED, captured=OWED, refunded=OWED, refunds=1)
NEVER_PAID = OrderMoney(
    "o3", "FAILED", shipped=False, owed=OWED, captured=NOTHING, refunded=NOTHING, refunds=0
)
BOOKS = (
    ProviderBooks("o1", captures=1, captured=OWED, refunds=0, refunded=NOTHING),
    ProviderBooks("o2", captures=1, captured=OWED, refunds=1, refunded=OWED),
    ProviderBooks("o3", captures=0, captured=NOTHING, refunds=0, refunded=NOTHING),
)


@pytest.fixture
def paid(sound: Evidence) -> Evidence:
    """An order that was paid for, one that got its money back, one that was never charged."""
    return replace(sound, money=(PAID, CANCELLED, NEVER_PAID), books=BOOKS)


def test_money_as_it_is_owed_has_no_finding(paid: Evidence) -> None:
    """Delivered and paid, cancelled and refunded, failed and never charged, partly sent back: silence."""
    part = replace(PAID, refunded=Decimal("10.00"), refunds=1)
    books = replace(BOOKS[0], refunds=1, refunded=Decimal("10.00"))
    assert audit(paid) == ()
    assert audit(replace(paid, money=(part,), books=(books,))) == ()


@pytest.mark.parametrize(
    "books", [replace(BOOKS[0], captures=2, captured=2 * OWED), replace(BOOKS[0], captured=2 * OWED)]
)
def test_a_second_capture_is_a_duplicate_effect(paid: Evidence, books: ProviderBooks) -> None:
    """The provider took twice what is on record, under two authorisations or one."""
    [finding] = audit(replace(paid, books=(books,)))
    assert finding.kind == "duplicate_effect"
    assert "order o1: the provider took 80.00" in finding.what


def test_a_second_capture_that_is_stated_is_a_duplicate_effect(sound: Evidence) -> None:
    """PaymentCaptured, twice, of one order."""
    rows = tuple(
        replace(
            _row(number, "X", number),
            type="tidegate.payments.payments.PaymentCaptured",
            source="/services/payments",
        )
        for number in (11, 12)
    )
    records = tuple(_record(row, 10 + number) for number, row in enumerate(rows))
    [finding] = audit(replace(sound, rows=(*sound.rows, *rows), records=(*sound.records, *records)))
    assert finding.kind == "duplicate_effect"
    assert "PaymentCaptured 2 times" in finding.what


def test_a_second_refund_under_one_id_is_a_duplicate_effect(paid: Evidence) -> None:
    """One refund on record, two at the provider."""
    part = replace(PAID, refunded=Decimal("10.00"), refunds=1)
    books = replace(BOOKS[0], refunds=2, refunded=Decimal("20.00"))
    [finding] = audit(replace(paid, money=(part,), books=(books,)))
    assert finding.kind == "duplicate_effect"
    assert "2 times for 1 refunds" in finding.what


def test_a_refund_above_what_was_captured_is_found(paid: Evidence) -> None:
    """On our side, and on the provider's."""
    [ours] = audit(replace(paid, money=(replace(PAID, refunded=OWED + 1, refunds=1),), books=()))
    assert (ours.kind, "above 40.00 captured" in ours.what) == ("money", True)
    [theirs] = audit(replace(paid, money=(CANCELLED,), books=(replace(BOOKS[1], refunded=OWED + 1),)))
    assert (theirs.kind, "gave back 41.00 of 40.00" in theirs.what) == ("money", True)


@pytest.mark.parametrize("state", ["FAILED", "CANCELLED", None])
def test_money_that_is_kept_for_an_order_that_came_to_nothing_is_found(
    paid: Evidence, state: str | None
) -> None:
    """FAILED, CANCELLED, or unknown to OMS, and captured: all or a part of it is not refunded."""
    for refunded in (NOTHING, Decimal("39.99")):
        kept = replace(CANCELLED, state=state, refunded=refunded)
        [finding] = audit(replace(paid, money=(kept,), books=()))
        assert finding.kind == "money"
        assert f"{OWED - refunded} of what was captured is not refunded" in finding.what


def test_an_order_that_was_shipped_and_not_paid_for_is_found(paid: Evidence) -> None:
    """A paid order is never picked before its capture."""
    [finding] = audit(replace(paid, money=(replace(PAID, captured=NOTHING),), books=()))
    assert finding.kind == "money"
    assert "was not paid for: 40.00 owed" in finding.what


def test_a_capture_that_is_not_what_is_owed_is_found(paid: Evidence) -> None:
    """A cent too much or too little."""
    [finding] = audit(replace(paid, money=(replace(PAID, captured=Decimal("39.99")),), books=()))
    assert finding.kind == "money"
    assert "owes 40.00, and 39.99 was captured" in finding.what
