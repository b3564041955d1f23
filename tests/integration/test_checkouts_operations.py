"""The checkouts' operations, OMS's withdrawal of a paid order, and the storefront, on a real PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from decimal import Decimal

import pytest
import pytest_asyncio

import outbox
from infra.errors import InvalidInputError
from schemas.events import FraudCheckRequested
from services import checkouts, oms, upstream
from services.checkouts import Checkouts
from services.errors import IllegalTransitionError, UnknownCheckoutError
from services.oms import Oms
from services.orders import CheckoutSubmission
from services.publishing import PAID
from services.upstream import Simulation, Storefront
from services.upstream.agenda import Agenda, Noticed
from services.upstream.fraud import FRAUD
from services.upstream.reviewers import Reviewers
from tests.services_support import Database, migrated, submission

ROOMS = (outbox.MIGRATIONS, oms.MIGRATIONS, checkouts.MIGRATIONS)


@pytest_asyncio.fixture(loop_scope="session")
async def database(postgres_dsn: str) -> AsyncIterator[Database]:
    """The tables of OMS and the checkouts."""
    async with migrated(postgres_dsn, ROOMS) as opened:
        yield opened


def wanted(checkout_id: str = "c-1", request_id: str = "r-1") -> CheckoutSubmission:
    """A valid checkout."""
    return CheckoutSubmission(checkout_id, "tok_visa", submission(request_id))


def desk(database: Database) -> Checkouts:
    """The checkouts."""
    return Checkouts(database.sessions, database.outbox)


async def state(database: Database, checkout_id: str = "c-1") -> str:
    """The state of a checkout that there is."""
    found = await desk(database).checkout(checkout_id)
    assert found is not None
    return str(found.state)


async def test_a_checkout_from_beginning_to_end(database: Database) -> None:
    """Recorded with its lines and amount; each step published once, in order, however often it is asked for."""
    order = wanted().order
    for _ in range(2):
        assert await desk(database).validate(wanted()) == ()
        await desk(database).request_fraud_check("c-1")
        await desk(database).complete("c-1")
    await desk(database).request_fraud_check("c-1")
    found = await desk(database).checkout("c-1")
    assert found is not None
    assert (str(found.state), found.amount, found.currency, found.holds_order) == (
        "COMPLETED",
        Decimal("16.98"),
        "EUR",
        True,
    )
    assert found.lines == order.lines
    published = await database.published(subject="c-1")
    assert [(one.name, one.sequence) for one in published] == [
        ("FraudCheckRequested", 1),
        ("CheckoutCompleted", 2),
    ]
    assert {(one.source, one.correlation_id, one.extensions["flow"]) for one in published} == {
        ("/services/checkouts", order.order_id, "paid")
    }
    assert (await desk(database).counts())["COMPLETED"] == 1
    assert [one.checkout_id for one in await desk(database).checkouts(state="COMPLETED")] == ["c-1"]


async def test_the_first_verdict_stands(database: Database) -> None:
    """An invalid checkout has its reasons on record; asked again, they are read back. It holds no order."""
    bad = replace(wanted(), payment_token=" ")
    reasons = await desk(database).validate(bad)
    assert reasons
    assert await desk(database).validate(wanted()) == reasons
    found = await desk(database).checkout("c-1")
    assert found is not None
    assert (str(found.state), found.reasons, found.holds_order) == ("INVALID", reasons, False)
    assert await database.names() == []


@pytest.mark.parametrize("at_once", [False, True])
async def test_an_order_is_one_checkouts(database: Database, at_once: bool) -> None:
    """A second checkout of one request is invalid, also where both come at once, and also after the first has ended."""
    if at_once:
        ids = [f"c-{number}" for number in range(8)]
        verdicts = await asyncio.gather(*(desk(database).validate(wanted(one)) for one in ids))
        assert sorted(len(reasons) for reasons in verdicts) == [0] + [1] * 7
        return
    assert await desk(database).validate(wanted("c-1")) == ()
    await desk(database).reject("c-1", wanted().order.order_id, "FRAUD", "no")
    (reason,) = await desk(database).validate(wanted("c-2"))
    assert "another checkout" in reason
    assert await state(database, "c-2") == "INVALID"


@pytest.mark.parametrize("ending", ["reject", "expire"])
async def test_an_ending_of_a_checkout_that_was_never_recorded_keeps_a_late_one_out(
    database: Database, ending: str
) -> None:
    """It is recorded and published; an attempt to validate that comes later has no effect."""
    order_id = wanted().order.order_id
    for _ in range(2):
        if ending == "reject":
            await desk(database).reject("c-1", order_id, "UNAVAILABLE", "away")
        else:
            await desk(database).expire("c-1", order_id, "fraudDecision")
    with pytest.raises(IllegalTransitionError, match="has ended"):
        await desk(database).validate(wanted())
    assert await database.names() == [{"reject": "CheckoutRejected", "expire": "CheckoutExpired"}[ending]]
    assert await desk(database).validate(wanted("c-2")) == ()


async def test_what_has_ended_stays_as_it_ended(database: Database) -> None:
    """A late approval, expiry or fraud check of a rejected checkout changes and publishes nothing."""
    await desk(database).validate(wanted())
    order_id = wanted().order.order_id
    await desk(database).reject("c-1", order_id, "FRAUD", "a\x00b" * 1000)
    await desk(database).request_fraud_check("c-1")
    with pytest.raises(IllegalTransitionError):
        await desk(database).complete("c-1")
    with pytest.raises(IllegalTransitionError):
        await desk(database).expire("c-1", order_id, "fraudDecision")
    assert await database.names(subject="c-1") == ["CheckoutRejected"]
    with pytest.raises(UnknownCheckoutError):
        await desk(database).complete("c-2")


# --- OMS: a paid order ----------------------------------------------------------------------------------


async def test_a_withdrawn_order_is_cancelled_or_never_made(database: Database) -> None:
    """Where it is there it is cancelled, once; where it is not, a late attempt to make it is refused."""
    orders = Oms(database.sessions, database.outbox)
    there, not_yet = submission("r-1"), submission("r-2")
    await orders.create_order(there, PAID)
    for _ in range(2):
        await orders.withdraw_order(there.order_id, "its checkout came to nothing")
        await orders.withdraw_order(not_yet.order_id, "its checkout came to nothing")
    with pytest.raises(IllegalTransitionError, match="withdrawn"):
        await orders.create_order(not_yet, PAID)
    assert await orders.order(not_yet.order_id) is None
    order = await orders.order(there.order_id)
    assert order is not None
    assert str(order.state) == "CANCELLED"
    assert await database.names() == ["OrderCancelled"]


async def test_making_and_withdrawing_an_order_at_once_leaves_none_open(database: Database) -> None:
    """Whichever comes first: the order is cancelled, or was never made."""
    orders = Oms(database.sessions, database.outbox)
    several = [submission(f"r-{number}") for number in range(20)]

    async def make(number: int) -> None:
        try:
            await orders.create_order(several[number], PAID)
        except IllegalTransitionError:
            return

    await asyncio.gather(
        *(
            work
            for number, one in enumerate(several)
            for work in (make(number), orders.withdraw_order(one.order_id, "given up"))
        )
    )
    counts = await orders.counts()
    assert counts["CREATED"] == 0


@pytest.mark.parametrize(("first", "second"), [("direct", "paid"), ("paid", "direct")])
async def test_an_order_is_of_one_flow(database: Database, first: str, second: str) -> None:
    """A paid order is not fulfilled unpaid because its request came again as a direct one, nor the other way."""
    orders = Oms(database.sessions, database.outbox)
    one = submission("r-1")
    await orders.create_order(one, first)
    assert await orders.create_order(one, first) == one.order_id
    with pytest.raises(IllegalTransitionError, match=f"as a {first} order"):
        await orders.create_order(one, second)
    if first == "direct":
        await orders.withdraw_order(one.order_id, "its checkout came to nothing")
        order = await orders.order(one.order_id)
        assert order is not None
        assert str(order.state) == "CREATED"


# --- Upstream --------------------------------------------------------------------------------------------


@pytest_asyncio.fixture(loop_scope="session")
async def outside(upstream_dsn: str) -> AsyncIterator[Database]:
    """The database of the outside world."""
    async with migrated(upstream_dsn, (outbox.MIGRATIONS, upstream.MIGRATIONS)) as opened:
        yield opened


async def test_the_storefront_submits_a_request_once(outside: Database) -> None:
    """Submitted again nothing is published; with another card, or as a direct order, it is a conflict."""
    storefront = Storefront(outside.sessions, outside.outbox)
    assert (await storefront.submit_checkouts([wanted()])).submitted == 1
    assert (await storefront.submit_checkouts([wanted()])).repeated == 1
    other_card = replace(wanted(), payment_token="tok_other")
    assert (await storefront.submit_checkouts([other_card])).conflicts == ("r-1",)
    assert (await storefront.submit([wanted().order])).conflicts == ("r-1",)
    (published,) = await outside.published()
    assert (published.name, published.subject, published.source) == (
        "CheckoutRequested",
        "c-1",
        "/upstream/storefront",
    )
    assert (published.extensions["flow"], published.correlation_id) == ("paid", wanted().order.order_id)


async def test_a_reviewer_decides_once(outside: Database) -> None:
    """The first decision is published and stands; who decides is a reference."""
    reviewers = Reviewers(outside.sessions, outside.outbox)
    first = await reviewers.decide("c-1", "approved", "reviewer-1")
    again = await reviewers.decide("c-1", "rejected", "reviewer-2")
    assert (first.new, again.new, again.decision, again.reviewer_id) == (
        True,
        False,
        "approved",
        "reviewer-1",
    )
    assert await outside.names(subject="c-1") == ["ManualReviewDecided"]
    with pytest.raises(InvalidInputError, match="approved or rejected"):
        await reviewers.decide("c-2", "maybe", "reviewer-1")
    with pytest.raises(InvalidInputError, match="reference"):
        await reviewers.decide("c-2", "approved", "Jane Doe")


async def test_fraud_detection_reports_its_decisions_in_order(outside: Database) -> None:
    """By rule and then by hand, each once, whatever the event that asked is read again."""
    world = Simulation(fraud_review=1.0, review_rejected=1.0)
    agenda = Agenda(FRAUD, outside.sessions, outside.outbox)
    asked = FraudCheckRequested(
        checkout_id="c-1",
        order_id="o-1",
        customer_id="customer-1",
        amount=Decimal("1.00"),
        currency="EUR",
        requested_at=submission().ordered_at,
    )
    for _ in range(2):
        await agenda.note([Noticed(FRAUD.react(asked, world), PAID, "event-1")])
        await agenda.report_due()
    published = await outside.published(source="/upstream/fraud", subject="c-1")
    assert [(one.name, one.sequence, one.extensions["flow"]) for one in published] == [
        ("FraudDecided", 1, "paid"),
        ("ManualReviewDecided", 2, "paid"),
    ]
    assert [one.event.to_json()["decision"] for one in published] == ["review", "rejected"]
