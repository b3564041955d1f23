"""The returns on a real PostgreSQL: policy under a lock, pro-rata settlements, repeats, refusals, what is published."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
import pytest_asyncio
from sqlalchemy import text

from schemas.events import (
    ReconciliationAlert,
    ReturnApproved,
    ReturnCompleted,
    ReturnRejected,
    ReturnRequested,
)
from services.errors import IllegalTransitionError, InvalidReturnError, UnknownReturnError
from services.orders import OrderLine
from services.returns import Disposition, Found, Pieces, Returns, SoldOrder
from services.sms import Label, LabelRefusedError, ReturnLabels
from tests.services_support import SERVICE_ROOMS, Database, PlainCarrier, migrated

BOLTS = OrderLine("bolt", 3, Decimal("10.00"), Decimal("0.5"))  # 15.00 net
ORDER = SoldOrder("o", "paid", "EUR", True, datetime.now(UTC), (BOLTS, OrderLine("nut", 1, Decimal("2.00"))))


@pytest_asyncio.fixture(loop_scope="session")
async def database(postgres_dsn: str) -> AsyncIterator[Database]:
    """A database with the services' tables."""
    async with migrated(postgres_dsn, SERVICE_ROOMS) as opened:
        yield opened


@pytest.fixture
def returns(database: Database) -> Returns:
    """The returns."""
    return Returns(database.sessions, database.outbox)


async def ask(returns: Returns, return_id: str, bolts: int = 1) -> None:
    """A customer wants bolts to come back."""
    await returns.request(return_id, "o", "NOT_WANTED", [Pieces("bolt", bolts)])


async def approve(returns: Returns, return_id: str, bolts: int = 1) -> None:
    """Ask for it, and have it approved."""
    await ask(returns, return_id, bolts)
    assert (await returns.check_policy(return_id, ORDER)).accepted
    await returns.approve(return_id, "o", f"T-{return_id}")


def found(bolts: int, disposition: Disposition = Disposition.RESTOCK) -> list[Found]:
    """What the warehouse has found."""
    return [Found("bolt", bolts, disposition)]


async def test_a_return_goes_from_requested_to_completed(returns: Returns, database: Database) -> None:
    """Each step once, published once with the next sequence, whatever is repeated."""
    for _ in range(2):
        await ask(returns, "r", 2)
        assert (await returns.check_policy("r", ORDER)).accepted
        await returns.approve("r", "o", "T-1")
        settled = await returns.assess("r", ORDER, found(2))
        assert (settled.amount, settled.accepted) == (Decimal("10.00"), 2)
        assert settled.restock == (Pieces("bolt", 2),)
        await returns.complete("r", "o", Decimal("10.00"))
    requested, approved, completed = await database.published()
    assert [one.sequence for one in (requested, approved, completed)] == [1, 2, 3]
    assert {(one.source, one.subject, one.correlation_id) for one in (requested, approved, completed)} == {
        ("/services/returns", "r", "o")
    }
    assert isinstance(requested.event, ReturnRequested)
    assert isinstance(approved.event, ReturnApproved)
    assert approved.event.tracking_number == "T-1"
    assert [(line.sku, line.quantity) for line in approved.event.lines] == [("bolt", 2)]
    assert approved.extensions == {"flow": "paid"}
    assert isinstance(completed.event, ReturnCompleted)
    assert (completed.event.refunded, completed.event.currency) == (Decimal("10.00"), "EUR")
    view = await returns.view("r")
    assert view is not None
    assert (view.state, view.refunded, view.lines[0].restocked) == ("COMPLETED", Decimal("10.00"), 2)


async def test_two_returns_never_both_get_the_last_piece(returns: Returns) -> None:
    """Eight returns of one bolt each, at once, of an order with three: three are accepted."""
    for number in range(8):
        await ask(returns, f"r-{number}")
    verdicts = await asyncio.gather(*(returns.check_policy(f"r-{number}", ORDER) for number in range(8)))
    assert [verdict.accepted for verdict in verdicts].count(True) == 3
    assert {verdict.reason for verdict in verdicts if not verdict.accepted} == {
        "1 of bolt were asked for, and 0 are left to come back"
    }


async def test_portions_that_are_inspected_at_once_add_up(returns: Returns) -> None:
    """Three returns of a line of 10.00 for three pieces, settled at once, owe 3.33, 3.34 and 3.33."""
    order = replace(ORDER, lines=(OrderLine("bolt", 3, Decimal("20.00"), Decimal("0.8333")),))
    assert order.lines[0].net == Decimal("10.00")
    for number in range(3):
        await approve(returns, f"r-{number}")
    settled = await asyncio.gather(*(returns.assess(f"r-{number}", order, found(1)) for number in range(3)))
    assert sorted(one.amount for one in settled) == [Decimal("3.33"), Decimal("3.33"), Decimal("3.34")]


async def test_what_did_not_come_may_be_announced_again(returns: Returns) -> None:
    """Three announced, one found and taken, one rejected: two may come back later, and are worth the rest."""
    await approve(returns, "first", 3)
    await ask(returns, "second", 2)
    assert not (await returns.check_policy("second", ORDER)).accepted, (
        "its pieces are set aside for the first"
    )
    settled = await returns.assess("first", ORDER, [*found(1), *found(1, Disposition.REJECT)])
    assert (settled.amount, settled.accepted) == (Decimal("5.00"), 1)
    assert (await returns.check_policy("second", ORDER)).accepted
    await returns.approve("second", "o", "T")
    assert (await returns.assess("second", ORDER, found(2, Disposition.SCRAP))).amount == Decimal("10.00")
    view = await returns.view("first")
    assert view is not None
    assert (view.lines[0].restocked, view.lines[0].scrapped, view.lines[0].refused) == (1, 0, 1)


async def test_more_than_was_announced_is_not_refunded(returns: Returns) -> None:
    """Three found where one was announced, and a nut that nobody announced: one is refunded."""
    await approve(returns, "r", 1)
    settled = await returns.assess("r", ORDER, [*found(3), Found("nut", 1, Disposition.RESTOCK)])
    assert (settled.amount, settled.restock) == (Decimal("5.00"), (Pieces("bolt", 1),))


async def test_the_first_inspection_stands(returns: Returns) -> None:
    """A second report with other findings gives the first settlement."""
    await approve(returns, "r", 2)
    first = await returns.assess("r", ORDER, found(1))
    assert await returns.assess("r", ORDER, found(2)) == first


async def test_an_order_that_was_not_paid_here_owes_nothing(returns: Returns) -> None:
    """The goods are taken back all the same."""
    await approve(returns, "r", 2)
    settled = await returns.assess("r", replace(ORDER, flow="direct"), found(2))
    assert (settled.amount, settled.accepted) == (Decimal("0.00"), 2)
    await returns.complete("r", "o", Decimal("0.00"))


async def test_a_rejected_return_frees_its_pieces(returns: Returns, database: Database) -> None:
    """NOT_RECEIVED: published once, with its reason; then another return may have the pieces."""
    await approve(returns, "first", 3)
    for _ in range(2):
        await returns.reject("first", "o", "NOT_RECEIVED", "no ReturnReceived within 30 days")
    rejected = (await database.published(subject="first"))[-1].event
    assert isinstance(rejected, ReturnRejected)
    assert (rejected.code, rejected.reason) == ("NOT_RECEIVED", "no ReturnReceived within 30 days")
    assert (await database.names(subject="first")).count("ReturnRejected") == 1
    await ask(returns, "second", 3)
    assert (await returns.check_policy("second", ORDER)).accepted
    late = await returns.check_policy("first", ORDER)
    assert (late.accepted, late.reason) == (False, "no ReturnReceived within 30 days")
    for too_late in (
        returns.approve("first", "o", "T"),
        returns.assess("first", ORDER, found(1)),
        returns.complete("first", "o", Decimal(0)),
    ):
        with pytest.raises(IllegalTransitionError, match="is REJECTED"):
            await too_late


async def test_what_was_accepted_is_not_rejected(returns: Returns) -> None:
    """Once pieces were taken back they are paid for; where none was, the return may be rejected."""
    await approve(returns, "taken")
    await returns.assess("taken", ORDER, found(1))
    with pytest.raises(IllegalTransitionError, match="to be completed"):
        await returns.reject("taken", "o", "NOT_ACCEPTED", "x")
    await approve(returns, "sent-back")
    await returns.assess("sent-back", ORDER, found(1, Disposition.REJECT))
    await returns.reject("sent-back", "o", "NOT_ACCEPTED", "x")


async def test_never_more_refunded_than_owed(returns: Returns) -> None:
    """Completing with more than the settlement is refused."""
    await approve(returns, "r")
    await returns.assess("r", ORDER, found(1))
    with pytest.raises(IllegalTransitionError, match=r"5\.01 were refunded where 5\.00 are owed"):
        await returns.complete("r", "o", Decimal("5.01"))


async def test_steps_come_in_their_order(returns: Returns) -> None:
    """Nothing is approved before the policy has been checked, nor settled before it is approved."""
    await ask(returns, "r")
    for early in (
        returns.approve("r", "o", "T"),
        returns.assess("r", ORDER, found(1)),
        returns.complete("r", "o", Decimal(0)),
    ):
        with pytest.raises(IllegalTransitionError, match="is REQUESTED"):
            await early
    with pytest.raises(UnknownReturnError):
        await returns.check_policy("nobody", ORDER)
    with pytest.raises(UnknownReturnError):
        await returns.approve("r", "another-order", "T")


async def test_the_policy_looks_at_when_the_customer_asked(returns: Returns, database: Database) -> None:
    """A return that was asked for in time is accepted however late it is checked; one asked for late is not."""
    await ask(returns, "r")
    long_ago = replace(ORDER, shipped_at=datetime.now(UTC) - timedelta(days=31))
    assert not (await returns.check_policy("r", long_ago)).accepted
    async with database.engine.begin() as connection:
        await connection.execute(
            text("UPDATE returns.returns SET requested_at = requested_at - interval '2 days'")
        )
    assert (await returns.check_policy("r", long_ago)).accepted


async def test_one_id_is_one_return(returns: Returns, database: Database) -> None:
    """The same request again changes nothing; another one under its id is refused, and so is one that is malformed."""
    await asyncio.gather(*(ask(returns, "r", 2) for _ in range(8)))
    assert await database.names() == ["ReturnRequested"]
    with pytest.raises(InvalidReturnError, match="other content"):
        await ask(returns, "r", 3)
    with pytest.raises(InvalidReturnError, match="reason_code"):
        await returns.request("r-2", "o", "BORED", [Pieces("bolt", 1)])


async def test_a_reminder_is_sent_once(returns: Returns, database: Database) -> None:
    """By number; one about an inspection alerts people too, with the return's next sequence."""
    await approve(returns, "r")
    for _ in range(2):
        for number in (1, 2):
            await returns.remind("r", "o", "PARCEL", number)
    assert await database.value("SELECT count(*) FROM returns.reminders") == 2
    assert await database.names() == ["ReturnRequested", "ReturnApproved"]
    assert await returns.remind("r", "o", "INSPECTION", 1)
    assert not await returns.remind("r", "o", "INSPECTION", 1)
    alert = (await database.published())[-1]
    assert isinstance(alert.event, ReconciliationAlert)
    assert (alert.event.kind, alert.event.subject, alert.sequence) == ("RETURN_NOT_INSPECTED", "r", 3)
    await returns.assess("r", ORDER, found(1))
    await returns.complete("r", "o", Decimal("5.00"))
    assert (await database.published())[-1].sequence == 4


# --- Labels of returns --------------------------------------------------------------------------------


async def test_a_return_has_one_label(database: Database) -> None:
    """Asked at once and again: one number, and a repeat does not ask the carrier."""
    carrier = PlainCarrier()
    labels = ReturnLabels(database.sessions, carrier)
    numbers = await asyncio.gather(*(labels.generate("r", "o") for _ in range(8)))
    assert len(set(numbers)) == 1
    before = carrier.asked
    assert await labels.generate("r", "o") == numbers[0]
    assert carrier.asked == before


async def test_a_label_that_was_called_off_stays_so(database: Database) -> None:
    """Before or after it was made, also twice: nothing is given any more."""
    labels = ReturnLabels(database.sessions, PlainCarrier())
    await labels.generate("made", "o")
    for return_id in ("made", "never-made"):
        for _ in range(2):
            await labels.cancel(return_id, "o")
        assert await labels.state(return_id) == "CANCELLED"
        with pytest.raises(IllegalTransitionError, match="is CANCELLED"):
            await labels.generate(return_id, "o")
    assert await labels.state("unknown") is None


class _CallingOff(PlainCarrier):
    """Has the label called off while the carrier makes it: possible only if no lock is held meanwhile."""

    labels: ReturnLabels

    async def label(self, shipment_id: str, attempt: int) -> Label:
        if attempt < 2:
            raise LabelRefusedError("not this time")
        await self.labels.cancel("r", "o")
        return await super().label(shipment_id, attempt)


async def test_the_carrier_is_asked_outside_the_transaction(database: Database) -> None:
    """A refusal changes nothing; a label that was called off while it was made is not given."""
    carrier = _CallingOff()
    carrier.labels = labels = ReturnLabels(database.sessions, carrier)
    with pytest.raises(LabelRefusedError):
        await labels.generate("r", "o", 1)
    assert await labels.state("r") is None
    with pytest.raises(IllegalTransitionError, match="is CANCELLED"):
        await labels.generate("r", "o", 2)
