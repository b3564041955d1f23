"""Our books and the provider's agree, whatever is asked in whatever order, at once, and with answers that are lost."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal, TypeAlias

import pytest_asyncio
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st
from sqlalchemy import text

from services.errors import IllegalTransitionError, ProviderFailedError, RefundRefusedError, UnknownOrderError
from services.upstream.provider import Faults
from tests.effort import tries
from tests.payments_support import OWED, SOURCE, Desk, open_desk

_NUMBERS = itertools.count()

Verb: TypeAlias = Literal["authorize", "capture", "void", "fail", "refund"]


@dataclass(frozen=True)
class Step:
    """One thing that somebody wants of the payment. ``gives_up``: they do not ask again after a fault."""

    operation: Verb
    refund: int = 0
    cents: int | None = None
    gives_up: bool = False


_GIVES_UP = st.booleans()
_STEP = st.one_of(
    st.builds(Step, st.just("authorize"), gives_up=_GIVES_UP),
    st.builds(Step, st.just("capture"), gives_up=_GIVES_UP),
    st.builds(Step, st.just("capture"), gives_up=_GIVES_UP),
    st.builds(Step, st.sampled_from(["void", "fail"]), gives_up=_GIVES_UP),
    st.builds(
        Step,
        st.just("refund"),
        refund=st.integers(0, 3),
        cents=st.none() | st.integers(0, 4100),
        gives_up=_GIVES_UP,
    ),
)


_BEFORE = st.sampled_from(
    [
        (),
        (Step("authorize"),),
        (Step("authorize"), Step("capture")),
        (Step("authorize", gives_up=True), Step("void")),
    ]
)


@pytest_asyncio.fixture(loop_scope="session")
async def desk(postgres_dsn: str) -> AsyncIterator[Desk]:
    async with open_desk(postgres_dsn) as opened:
        yield opened


@given(
    before=_BEFORE,
    rounds=st.lists(st.lists(_STEP, min_size=1, max_size=5), min_size=1, max_size=4),
    seed=st.integers(0, 2**32),
    error=st.sampled_from([0.0, 0.2]),
    lost=st.sampled_from([0.0, 0.4]),
)
@settings(max_examples=tries(15, 200), suppress_health_check=list(HealthCheck))
async def test_the_books_agree(
    desk: Desk, before: Sequence[Step], rounds: list[list[Step]], seed: int, error: float, lost: float
) -> None:
    """Authorise, capture, void, fail and refund in rounds taken at once, each asked again after a fault, or given up.

    One authorisation at most; captured is nothing or what is owed; refunded never exceeds it, and is what the
    refunds were told; each event once, and their sums are the books'. Then the order is compensated: nothing is
    held, and all that was taken is given back.
    """
    order_id = f"order-{next(_NUMBERS)}"
    async with desk.database.engine.begin() as connection:
        await connection.execute(text("TRUNCATE outbox.events"))
    desk.server.misbehave(Faults(seed=seed, error=error, lost=lost))
    told: dict[str, Decimal] = {}
    for step in before:
        await _insist(desk, order_id, step, told)
    for steps in rounds:
        note(f"{order_id}: {steps}")
        await asyncio.gather(*(_insist(desk, order_id, step, told) for step in steps))

    # What was given up hangs: whoever comes next asks again, as the reconciliation does, and then the books agree.
    await _ask_again_what_hangs(desk, order_id)
    await desk.agree(order_id)
    await _events_agree(desk, order_id)
    for refund in await desk.payments.refunds(order_id):
        assert refund.state == "DONE"
        assert told.get(refund.refund_id, refund.amount) == refund.amount

    await _insist(desk, order_id, Step("void"), told)
    await desk.agree(order_id)
    await _events_agree(desk, order_id)
    for books in await desk.books(order_id):
        assert books.state != "authorized", "nothing is held"
        assert books.captured == books.refunded, "nothing is kept"


async def _insist(desk: Desk, order_id: str, step: Step, told: dict[str, Decimal]) -> None:
    """Take ``step``; after a fault again and again, as an activity is, unless it gives up."""
    while True:
        try:
            await _take(desk, order_id, step, told)
        except ProviderFailedError:
            if step.gives_up:
                return
        except (IllegalTransitionError, RefundRefusedError, UnknownOrderError):
            return
        else:
            return


async def _take(desk: Desk, order_id: str, step: Step, told: dict[str, Decimal]) -> None:
    match step.operation:
        case "authorize":
            await desk.authorized(order_id)
        case "capture":
            await desk.payments.capture(order_id)
        case "void":
            await desk.payments.void(order_id)
        case "fail":
            failed = await desk.payments.fail(order_id, "UNAVAILABLE", "given up")
            payment = await desk.payment(order_id)
            assert failed or payment.captured == OWED, "what did not fail was taken"
        case "refund":
            refund_id = f"{order_id}/{step.refund}"
            amount = None if step.cents is None else Decimal(step.cents) / 100
            given_back = await desk.payments.refund(order_id, refund_id, amount)
            if given_back:
                assert told.setdefault(refund_id, given_back) == given_back, "a repeat gives the same answer"


async def _ask_again_what_hangs(desk: Desk, order_id: str) -> None:
    payment = await desk.payments.payment(order_id)
    if payment is None:
        return
    if payment.closing and payment.state in {"NEW", "AUTHORIZED"}:
        await _insist(desk, order_id, Step("void"), {})
    elif payment.state == "NEW":
        await _insist(desk, order_id, Step("authorize"), {})
    hanging = await desk.database.value(
        f"SELECT count(*) FROM payments.attempts WHERE order_id = '{order_id}' AND operation = 'CAPTURE'"
    )
    if hanging:
        await _insist(desk, order_id, Step("capture"), {})
    for refund in await desk.payments.refunds(order_id):
        while refund.state == "PENDING":
            try:
                await desk.payments.refund(order_id, refund.refund_id, refund.amount)
                break
            except ProviderFailedError:
                continue


async def _events_agree(desk: Desk, order_id: str) -> None:
    """What was published, added up, is what the books say; versions have no gap."""
    published = await desk.database.published(source=SOURCE, subject=order_id)
    assert [one.sequence for one in published] == list(range(1, len(published) + 1))
    names = [one.name for one in published]
    for name in ("PaymentAuthorized", "PaymentCaptured", "PaymentVoided", "PaymentFailed"):
        assert names.count(name) <= 1, names
    events = [one.event.to_json() for one in published]
    refunded = [event["amount"] for event in events if "refund_id" in event]
    assert len(refunded) == len({event["refund_id"] for event in events if "refund_id" in event})
    payment = await desk.payments.payment(order_id)
    captured = OWED if "PaymentCaptured" in names else Decimal(0)
    assert (payment.captured if payment else Decimal(0)) == captured
    assert (payment.refunded if payment else Decimal(0)) == sum(
        (Decimal(str(amount)) for amount in refunded), Decimal(0)
    )
