"""What can be said of payments without a database or a provider."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from temporalio.exceptions import ApplicationError

from infra.errors import InvalidInputError
from services.errors import (
    CardDeclinedError,
    IllegalTransitionError,
    InsufficientFundsError,
    ProviderFailedError,
    ProviderRestingError,
    RefundRefusedError,
)
from services.payments.breaker import BreakerOptions, GuardedProvider
from services.payments.http_provider import _refusal
from services.payments.provider import AuthorizationClosedError, FraudModel
from services.payments.refunds import as_money
from services.payments.states import PAYMENT, PaymentState
from services.upstream.provider.faults import ERROR, LOST, Chance, Faults
from tests.waiting import until
from workflows.activities.payments import PaymentActivities
from workflows.contracts.payment import PAYMENT_FAILURE_CODES, PAYMENT_UNAVAILABLE, PaymentRequest
from workflows.policies import NOT_RETRIED, PAYMENT_V1, STANDARD

STATES = {
    "NEW": {"authorize": "AUTHORIZED", "decline": "FAILED"},
    "AUTHORIZED": {"authorize": "", "capture": "CAPTURED", "void": "VOIDED"},
    "CAPTURED": {
        "authorize": "",
        "capture": "",
        "refund_a_part": "PARTIALLY_REFUNDED",
        "refund_the_rest": "REFUNDED",
    },
    "PARTIALLY_REFUNDED": {
        "authorize": "",
        "capture": "",
        "refund_a_part": "PARTIALLY_REFUNDED",
        "refund_the_rest": "REFUNDED",
    },
    "REFUNDED": {"authorize": "", "capture": ""},
    "VOIDED": {"void": ""},
    "FAILED": {"decline": "", "void": ""},
}
"""Where each operation leads; "" where it was done; whatever is missing is illegal."""


@pytest.mark.parametrize("state", PaymentState)
@pytest.mark.parametrize("operation", PAYMENT.rules)
def test_every_operation_in_every_state(state: PaymentState, operation: str) -> None:
    """The whole table: nothing leads out of VOIDED, FAILED and REFUNDED, and nothing is taken in them."""
    leads = STATES[state].get(operation)
    if leads is None:
        with pytest.raises(IllegalTransitionError):
            PAYMENT.step(operation, state, "o-1")
    else:
        assert (PAYMENT.step(operation, state, "o-1") or "") == leads


@pytest.mark.parametrize(
    ("text", "money"),
    [
        ("1", "1.00"),
        ("1.50", "1.50"),
        ("1.500", "1.50"),
        ("1.505", None),
        ("1e16", None),
        ("inf", None),
        ("NaN", None),
    ],
)
def test_what_is_money(text: str, money: str | None) -> None:
    """Two places and sixteen digits before them; nothing is rounded in silence."""
    assert as_money(Decimal(text)) == (None if money is None else Decimal(money))


def test_refusals_are_not_retried() -> None:
    """Each type that a payment may fail with for good is one that no policy retries; the last is no refusal."""
    for kind in PAYMENT_FAILURE_CODES:
        assert (kind in NOT_RETRIED) == kind.endswith(
            ("FraudDetectedError", "FundsError", "InvalidError", "DeclinedError")
        )
    assert PAYMENT_UNAVAILABLE not in NOT_RETRIED
    for policy, attempts in ((STANDARD, 3), (PAYMENT_V1, 5)):
        assert (policy.maximum_attempts, policy.non_retryable_error_types) == (attempts, NOT_RETRIED)


@pytest.mark.parametrize(
    ("status", "answer", "kind"),
    [
        (402, {"code": "card_declined"}, CardDeclinedError),
        (402, {"code": "insufficient_funds"}, InsufficientFundsError),
        (409, {"code": "captured"}, AuthorizationClosedError),
        (422, {"code": "refund_too_large"}, RefundRefusedError),
        (402, {"code": "something_new"}, type(None)),
        (409, {"code": "key_in_use"}, type(None)),
        (400, {}, type(None)),
        (404, {"code": "captured"}, type(None)),
        (429, {}, type(None)),
    ],
)
def test_only_what_the_provider_has_said_is_a_refusal(
    status: int, answer: dict[str, str], kind: type
) -> None:
    """A status or a code that is not known is no refusal: the outcome is open, and it is asked again."""
    assert type(_refusal(status, answer)) is kind


# --- The circuit breaker ------------------------------------------------------------------------------


class Moody:
    """A provider that counts how often it is asked, and answers as it is told."""

    def __init__(self) -> None:
        self.asked = 0
        self.error: Exception | None = None

    async def capture(self, authorization_id: str, amount: Decimal, currency: str, *, key: str) -> None:
        self.asked += 1
        if self.error is not None:
            raise self.error

    async def authorize(self, *_: Any, **__: Any) -> str:
        raise AssertionError("only captures are asked for")

    async def void(self, authorization_id: str, *, key: str) -> None:
        raise AssertionError("only captures are asked for")

    async def refund(self, *_: Any, **__: Any) -> None:
        raise AssertionError("only captures are asked for")

    async def fraud_score(self, authorization_id: str, model: FraudModel) -> int:
        raise AssertionError("only captures are asked for")

    async def card_problem(self, payment_token: str) -> str | None:
        raise AssertionError("only captures are asked for")


async def ask(provider: GuardedProvider) -> str:
    """What a capture ends with: the name of its error, or OK."""
    try:
        await provider.capture("a-1", Decimal(1), "EUR", key="k")
    except Exception as error:
        return type(error).__name__
    return "OK"


async def test_a_provider_that_is_down_is_left_alone() -> None:
    """After five failures in a row it is not touched any more; every call fails at once, and says until when."""
    moody = Moody()
    guarded = GuardedProvider(moody, BreakerOptions(failures=5, rest=60))
    moody.error = ProviderFailedError("down")
    assert [await ask(guarded) for _ in range(7)] == ["ProviderFailedError"] * 5 + [
        "ProviderRestingError"
    ] * 2
    assert moody.asked == 5
    with pytest.raises(ProviderRestingError) as resting:
        await guarded.capture("a-1", Decimal(1), "EUR", key="k")
    assert 0 < resting.value.seconds <= 60


async def test_an_answer_closes_the_circuit_and_a_failure_opens_it_again() -> None:
    """When it has rested the provider is asked again: one failure, and it rests again; an answer, and all is well."""
    moody = Moody()
    guarded = GuardedProvider(moody, BreakerOptions(failures=2, rest=0.05))
    moody.error = ProviderFailedError("down")
    assert [await ask(guarded) for _ in range(2)] == ["ProviderFailedError"] * 2

    async def asked_again() -> bool:
        return await ask(guarded) == "ProviderFailedError"

    await until(asked_again)
    assert moody.asked == 3
    assert await ask(guarded) == "ProviderRestingError"
    moody.error = None

    async def answered() -> bool:
        return await ask(guarded) == "OK"

    await until(answered)
    moody.error = ProviderFailedError("down")
    assert [await ask(guarded) for _ in range(3)] == ["ProviderFailedError"] * 2 + ["ProviderRestingError"]


@pytest.mark.parametrize(
    "answer",
    [CardDeclinedError("no"), RefundRefusedError("no"), AuthorizationClosedError("no", captured=True)],
)
async def test_a_refusal_is_an_answer(answer: Exception) -> None:
    """However many cards are declined, the circuit stays closed; a refusal in between breaks a row of failures."""
    moody = Moody()
    guarded = GuardedProvider(moody, BreakerOptions(failures=2, rest=60))
    for error in (answer, answer, answer, ProviderFailedError("down"), answer, ProviderFailedError("down")):
        moody.error = error
        assert await ask(guarded) == type(error).__name__
    assert moody.asked == 6


async def test_an_activity_waits_until_the_provider_has_rested() -> None:
    """While the circuit is open an attempt fails retryably, and says when the next one makes sense."""

    class Resting:
        async def capture(self, order_id: str) -> None:
            raise ProviderRestingError("it rests", 7.0)

    with pytest.raises(ApplicationError) as failed:
        await PaymentActivities(Resting()).capture_payment(PaymentRequest("o-1"))  # type: ignore[arg-type]
    assert not failed.value.non_retryable
    assert failed.value.type not in NOT_RETRIED
    assert failed.value.next_retry_delay == timedelta(seconds=8)


# --- The local provider's faults ----------------------------------------------------------------------


def test_the_same_seed_the_same_world() -> None:
    """What is refused depends on the payment alone; what goes wrong, on the attempt."""
    faults = Faults(seed=7, decline=0.3, error=0.3, lost=0.3)

    def run() -> list[tuple[str | None, ...]]:
        chance = Chance(faults)
        return [
            (
                chance.refusal(f"p-{number}", "tok_visa"),
                *(chance.mishap("capture", f"p-{number}") for _ in range(4)),
            )
            for number in range(50)
        ]

    first = run()
    assert first == run()
    assert {refusal for refusal, *_ in first} == {None, "card_declined"}
    assert {mishap for _, *mishaps in first for mishap in mishaps} == {None, ERROR, LOST}
    assert any(mishaps[0] != mishaps[1] for _, *mishaps in first)


@pytest.mark.parametrize("share", [0.1, 0.5])
def test_shares_are_kept(share: float) -> None:
    """Of 2,000 payments about as many are refused as was asked for."""
    chance = Chance(Faults(seed=1, decline=share))
    refused = sum(chance.refusal(f"p-{number}", "tok_visa") is not None for number in range(2_000))
    assert abs(refused / 2_000 - share) < 0.05


def test_a_script_comes_before_chance() -> None:
    """The next requests of an operation meet what the script says, in order, and then chance decides."""
    chance = Chance(Faults(script={"capture": ("lost", "ok", "error")}))
    assert [chance.mishap("capture", "p") for _ in range(4)] == [LOST, None, ERROR, None]
    assert chance.mishap("void", "p") is None


@pytest.mark.parametrize(
    "document", [{"declined": 1}, {"decline": 2}, {"error": -1}, {"delay": -1}, {"delay": float("inf")}]
)
def test_faults_that_make_no_sense(document: dict[str, Any]) -> None:
    """A name that there is not and a share out of range are refused."""
    with pytest.raises(InvalidInputError):
        Faults.from_json(document)
