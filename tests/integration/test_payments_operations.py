"""Payments on real tables, asking the local provider over HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from decimal import Decimal

import pytest
import pytest_asyncio
from sqlalchemy import text

from infra.ids import derived_id
from services.errors import (
    CardDeclinedError,
    CardInvalidError,
    FraudDetectedError,
    IllegalTransitionError,
    InsufficientFundsError,
    InvalidOrderError,
    ProviderFailedError,
    RefundRefusedError,
)
from services.payments.rows import payment_id_of
from tests.payments_support import OWED, SOURCE, Desk, open_desk
from tests.waiting import until


@pytest_asyncio.fixture(loop_scope="session")
async def desk(postgres_dsn: str) -> AsyncIterator[Desk]:
    async with open_desk(postgres_dsn) as opened:
        yield opened


async def test_a_payment_from_beginning_to_end(desk: Desk) -> None:
    """Held, taken, given back in two parts: each step is published once, in order, with the paid flow."""
    await desk.captured("o-1")
    assert await desk.payments.refund("o-1", "r-1", Decimal("15.00")) == Decimal("15.00")
    assert (await desk.payment("o-1")).state == "PARTIALLY_REFUNDED"
    assert await desk.payments.refund("o-1", "r-2") == Decimal("25.00")
    assert (await desk.payment("o-1")).state == "REFUNDED"
    published = await desk.database.published(source=SOURCE, subject="o-1")
    assert [(one.name, one.sequence) for one in published] == [
        ("PaymentAuthorized", 1),
        ("PaymentCaptured", 2),
        ("PaymentRefunded", 3),
        ("PaymentRefunded", 4),
    ]
    assert {one.extensions["flow"] for one in published} == {"paid"}
    await desk.agree("o-1")


async def test_every_operation_twice_is_once(desk: Desk) -> None:
    """A repeat gives the same answer, asks for no more money and publishes nothing."""
    for _ in range(2):
        assert await desk.payments.authorize("o-1", OWED, "EUR", "tok_visa") == payment_id_of("o-1")
        await desk.payments.capture("o-1")
        assert await desk.payments.refund("o-1", "r-1", Decimal("1.00")) == Decimal("1.00")
    assert await desk.names("o-1") == ["PaymentAuthorized", "PaymentCaptured", "PaymentRefunded"]
    assert desk.server.requests == {"authorize": 1, "capture": 1, "refund": 1}
    await desk.authorized("o-2")
    for _ in range(2):
        await desk.payments.void("o-2")
    assert await desk.names("o-2") == ["PaymentAuthorized", "PaymentVoided"]
    await desk.agree("o-1")
    await desk.agree("o-2")


async def test_operations_that_overlap_have_one_effect(desk: Desk) -> None:
    """Eight attempts of each operation at once: one hold, one capture, one refund."""
    await asyncio.gather(*(desk.authorized("o-1") for _ in range(8)))
    await asyncio.gather(*(desk.payments.capture("o-1") for _ in range(8)))
    await asyncio.gather(*(desk.payments.refund("o-1", "r-1", Decimal("7.00")) for _ in range(8)))
    assert await desk.names("o-1") == ["PaymentAuthorized", "PaymentCaptured", "PaymentRefunded"]
    (books,) = await desk.books("o-1")
    assert (books.captured, books.refunded, books.refunds) == (OWED, Decimal("7.00"), 1)


async def test_an_answer_that_was_lost_is_asked_for_again(desk: Desk) -> None:
    """Each operation has its effect and no answer, then is asked again: one effect, one event."""
    desk.next(authorize="lost", capture="lost", refund="lost")
    for operation in (
        lambda: desk.authorized("o-1"),
        lambda: desk.payments.capture("o-1"),
        lambda: desk.payments.refund("o-1", "r-1", Decimal("5.00")),
    ):
        with pytest.raises(ProviderFailedError):
            await operation()
        await operation()
        await desk.agree("o-1")
    assert await desk.names("o-1") == ["PaymentAuthorized", "PaymentCaptured", "PaymentRefunded"]
    assert desk.server.requests == {"authorize": 2, "capture": 2, "refund": 2}


async def test_what_is_asked_is_written_down_first(desk: Desk) -> None:
    """An authorisation whose answer was lost, with the process: the intent stands, and voiding finds the money."""
    desk.next(authorize="lost")
    with pytest.raises(ProviderFailedError):
        await desk.authorized("o-1")
    assert (await desk.payment("o-1")).state == "NEW"
    assert (await desk.books("o-1"))[0].state == "authorized"
    hangs = "SELECT operation || ' ' || idempotency_key FROM payments.attempts WHERE answered_at IS NULL"
    assert await desk.database.value(hangs) == f"AUTHORIZE authorize:{payment_id_of('o-1')}"
    await desk.payments.void("o-1")
    assert (await desk.books("o-1"))[0].state == "voided"
    await desk.agree("o-1")


async def test_the_provider_is_asked_outside_any_transaction(desk: Desk) -> None:
    """While the provider is slow, the payment's row can be locked by others, and holds the intent."""
    waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    ask = desk.adapter.authorize

    async def slow(*arguments: object, **named: object) -> str:
        async with desk.database.engine.begin() as connection:
            await connection.execute(
                text("SELECT 1 FROM payments.payments WHERE order_id = 'o-1' FOR UPDATE NOWAIT")
            )
            intents = text("SELECT count(*) FROM payments.attempts WHERE order_id = 'o-1'")
            assert (await connection.execute(intents)).scalar() == 1
        waiting.set_result(None)
        return await ask(*arguments, **named)  # type: ignore[arg-type]

    desk.adapter.authorize = slow  # type: ignore[method-assign]
    await desk.authorized("o-1")
    assert waiting.done()


async def test_a_late_authorisation_takes_nothing(desk: Desk) -> None:
    """Voided before it was asked for: the provider is not even asked."""
    await desk.payments.void("o-1")
    with pytest.raises(IllegalTransitionError, match="VOIDED"):
        await desk.authorized("o-1")
    assert desk.server.requests == {}
    assert await desk.names("o-1") == []
    await desk.agree("o-1")


async def test_a_void_that_overtakes_an_authorisation(desk: Desk) -> None:
    """Voided while the provider is being asked: what it then holds is freed, and the authorisation fails."""
    ask, voided = desk.adapter.authorize, asyncio.Event()
    calls = 0

    async def overtaken(*arguments: object, **named: object) -> str:
        nonlocal calls
        calls += 1
        if calls == 1:
            await voided.wait()
        return await ask(*arguments, **named)  # type: ignore[arg-type]

    desk.adapter.authorize = overtaken  # type: ignore[method-assign]
    late = asyncio.create_task(desk.authorized("o-1"))
    await until(lambda: calls == 1)
    await desk.payments.void("o-1")
    voided.set()
    with pytest.raises(IllegalTransitionError):
        await late
    assert (await desk.books("o-1"))[0].state == "voided"
    await desk.agree("o-1")


async def test_a_void_that_meets_a_capture_gives_the_money_back(desk: Desk) -> None:
    """Taken at the provider, its answer lost: voiding finds it, writes it down and refunds in full, once."""
    await desk.authorized("o-1")
    desk.next(capture="lost")
    with pytest.raises(ProviderFailedError):
        await desk.payments.capture("o-1")
    await desk.payments.void("o-1")
    await desk.payments.void("o-1")
    assert await desk.payments.refund("o-1", str(derived_id("refund", "o-1"))) == OWED
    assert await desk.names("o-1") == ["PaymentAuthorized", "PaymentCaptured", "PaymentRefunded"]
    assert (await desk.books("o-1"))[0].refunded == OWED
    await desk.agree("o-1")


async def test_nothing_is_captured_once_it_is_being_freed(desk: Desk) -> None:
    """A void whose provider does not answer keeps a later capture from being asked for."""
    await desk.authorized("o-1")
    desk.next(void="error")
    with pytest.raises(ProviderFailedError):
        await desk.payments.void("o-1")
    with pytest.raises(IllegalTransitionError, match="taken back"):
        await desk.payments.capture("o-1")
    with pytest.raises(IllegalTransitionError, match="taken back"):
        await desk.authorized("o-1")
    assert desk.server.requests["capture"] == 0
    await desk.payments.void("o-1")
    await desk.agree("o-1")


@pytest.mark.parametrize(
    ("token", "error", "code"),
    [
        ("tok_declined", CardDeclinedError, "DECLINED"),
        ("tok_insufficient_funds", InsufficientFundsError, "INSUFFICIENT_FUNDS"),
    ],
)
async def test_a_refusal_is_final(desk: Desk, token: str, error: type[Exception], code: str) -> None:
    """A declined authorisation fails the payment: the same refusal for a repeat, one event, without a flow."""
    for _ in range(2):
        with pytest.raises(error):
            await desk.authorized("o-1", token)
    await desk.payments.void("o-1")
    (failed,) = await desk.database.published(source=SOURCE, subject="o-1")
    assert (failed.name, failed.event.to_json()["code"]) == ("PaymentFailed", code)
    assert "flow" not in failed.extensions
    assert (await desk.payment("o-1")).state == "FAILED"
    assert desk.server.requests == {"authorize": 1}


async def test_no_money_when_it_is_taken(desk: Desk) -> None:
    """A capture that is refused leaves the authorisation, which failing the payment frees."""
    await desk.authorized("o-1", "tok_capture_insufficient_funds")
    with pytest.raises(InsufficientFundsError):
        await desk.payments.capture("o-1")
    assert await desk.payments.fail("o-1", "INSUFFICIENT_FUNDS", "no money")
    assert await desk.payments.fail("o-1", "INSUFFICIENT_FUNDS", "no money")
    assert await desk.names("o-1") == ["PaymentAuthorized", "PaymentVoided", "PaymentFailed"]
    await desk.agree("o-1")


async def test_a_payment_that_cannot_fail_any_more(desk: Desk) -> None:
    """Given up after an answer that was lost: the money was taken, so the payment has succeeded."""
    await desk.authorized("o-1")
    desk.next(capture="lost")
    with pytest.raises(ProviderFailedError):
        await desk.payments.capture("o-1")
    assert not await desk.payments.fail("o-1", "UNAVAILABLE", "no answer")
    assert await desk.names("o-1") == ["PaymentAuthorized", "PaymentCaptured"]
    await desk.agree("o-1")


async def test_no_more_is_refunded_than_was_captured(desk: Desk) -> None:
    """Ten refunds of 15.00 at once of 40.00: two are given, eight refused, and the rest is 10.00."""
    await desk.captured("o-1")
    results = await asyncio.gather(
        *(desk.payments.refund("o-1", f"r-{number}", Decimal("15.00")) for number in range(10)),
        return_exceptions=True,
    )
    assert sorted(type(result).__name__ for result in results) == ["Decimal"] * 2 + ["RefundRefusedError"] * 8
    assert desk.server.requests["refund"] == 2
    assert await desk.payments.refund("o-1", "r-rest") == Decimal("10.00")
    await desk.agree("o-1")


async def test_refunds_under_way_count(desk: Desk) -> None:
    """A refund whose answer was lost holds its amount, and is given once when it is asked for again."""
    await desk.captured("o-1")
    desk.next(refund="lost")
    with pytest.raises(ProviderFailedError):
        await desk.payments.refund("o-1", "r-1", Decimal("30.00"))
    with pytest.raises(RefundRefusedError, match=r"10\.00 is left"):
        await desk.payments.refund("o-1", "r-2", Decimal("10.01"))
    assert desk.server.requests["refund"] == 1, "what is above the rest is not even asked for"
    assert await desk.payments.refund("o-1", "r-1", Decimal("99.00")) == Decimal("30.00"), "the first wish"
    await desk.agree("o-1")


@pytest.mark.parametrize("amount", ["-1", "0.001", "NaN", "1e20", "40.01"])
async def test_refunds_that_make_no_sense(desk: Desk, amount: str) -> None:
    """An amount below nothing, between cents, above what was taken, or none at all is refused."""
    await desk.captured("o-1")
    with pytest.raises(RefundRefusedError):
        await desk.payments.refund("o-1", "r-1", Decimal(amount))
    with pytest.raises(RefundRefusedError):
        await desk.payments.refund("o-1", "r-1", Decimal(amount))
    assert desk.server.requests["refund"] == 0


async def test_a_refund_of_what_was_never_taken(desk: Desk) -> None:
    """No payment, or a voided one: 0.00 is given back. One that is held: freed in full, never in part."""
    assert await desk.payments.refund("direct", "r-1", Decimal("5.00")) == 0
    assert await desk.payments.payment("direct") is None
    await desk.authorized("o-1")
    with pytest.raises(IllegalTransitionError, match="nothing is captured"):
        await desk.payments.refund("o-1", "r-2", Decimal("5.00"))
    assert await desk.payments.refund("o-1", "r-3") == 0
    assert (await desk.payment("o-1")).state == "VOIDED"
    assert await desk.payments.refund("o-1", "r-2", Decimal("5.00")) == 0
    await desk.agree("o-1")


async def test_a_refund_belongs_to_one_order(desk: Desk) -> None:
    """An id that was used for another order is refused."""
    await desk.captured("o-1")
    await desk.captured("o-2")
    await desk.payments.refund("o-1", "r-1", Decimal("1.00"))
    with pytest.raises(RefundRefusedError, match="another order"):
        await desk.payments.refund("o-2", "r-1", Decimal("1.00"))


@pytest.mark.parametrize(("amount", "currency"), [("-1", "EUR"), ("0.001", "EUR"), ("1", "eur"), ("1", "")])
async def test_amounts_that_nobody_can_hold(desk: Desk, amount: str, currency: str) -> None:
    """An amount or a currency that is none is refused before anything is written or asked."""
    with pytest.raises(InvalidOrderError):
        await desk.payments.authorize("o-1", Decimal(amount), currency, "tok_visa")
    assert await desk.payments.payment("o-1") is None


async def test_one_order_one_amount(desk: Desk) -> None:
    """Another amount under the same order, while the first is open, is refused."""
    desk.next(authorize="error")
    with pytest.raises(ProviderFailedError):
        await desk.authorized("o-1")
    with pytest.raises(IllegalTransitionError, match=r"over 40\.00 EUR"):
        await desk.authorized("o-1", amount=Decimal("39.00"))


async def test_the_checks(desk: Desk) -> None:
    """Each model and the card check say no for their tokens, and only once something is held."""
    with pytest.raises(Exception, match="no payment of order"):
        await desk.payments.check_fraud("o-0", "v1")
    for order_id, token in (("o-1", "tok_fraud"), ("o-2", "tok_fraud_v2"), ("o-3", "tok_invalid_card")):
        await desk.authorized(order_id, token)
    for order_id, model in (("o-1", "v1"), ("o-1", "v2"), ("o-2", "v2")):
        with pytest.raises(FraudDetectedError, match="95 of 100"):
            await desk.payments.check_fraud(order_id, model)  # type: ignore[arg-type]
    await desk.payments.check_fraud("o-2", "v1")
    await desk.payments.check_fraud("o-3", "v2")
    with pytest.raises(CardInvalidError, match="expired"):
        await desk.payments.validate_card("o-3")
    await desk.payments.validate_card("o-1")


async def test_counts_name_every_state(desk: Desk) -> None:
    """Payments are counted by state."""
    await desk.captured("o-1")
    await desk.payments.void("o-2")
    counts = await desk.payments.counts()
    assert (counts["CAPTURED"], counts["VOIDED"], counts["NEW"]) == (1, 1, 0)
    assert [one.order_id for one in await desk.payments.payments("CAPTURED")] == ["o-1"]
