"""The port through which money is held, taken and given back: what a payment provider's adapter must keep to.

To write one (Stripe, Adyen, a bank), make a class with the methods of :class:`PaymentProvider` and hand it to
``Payments``. The operations, the workflow and its retries stay as they are; tidegate's own adapter is
:class:`services.payments.http_provider.HttpPaymentProvider`, of a hundred lines.

Source: 002, "Payment retries must be idempotent to prevent duplicate charges"; design §7.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Literal, Protocol

from services.errors import ProviderFailedError, ServiceError

__all__ = ["AuthorizationClosedError", "FraudModel", "PaymentProvider", "ProviderFailedError"]

FraudModel = Literal["v1", "v2"]
"""Which of the provider's models scores a payment: that of ``CheckFraud`` or that of ``CheckFraudV2``."""


class AuthorizationClosedError(ServiceError):
    """What was held is no longer held. ``captured``: it was taken; otherwise it was freed, or has lapsed."""

    def __init__(self, message: str, *, captured: bool) -> None:
        super().__init__(message)
        self.captured = captured


class PaymentProvider(Protocol):
    """Holds, takes, frees and gives back money.

    What ``Payments`` does: it writes down what it is about to ask, calls a method outside any database
    transaction, and writes down the answer. It calls again, with the same ``key`` and the same arguments, after a
    crash, after an answer that was lost, when two attempts overlap, and to learn what became of a call: an
    authorisation whose answer was lost is asked for once more under its key, to know the id that is to be freed.

    What an adapter must do:

    - Send ``key`` as the provider's idempotency key (``Idempotency-Key`` at Stripe and Adyen), whole and
      unchanged. A call under a key that the provider has seen has no second effect and gives the first answer. This
      alone stands between a lost answer and a second charge. Keys must be remembered for longer than
      an order can wait for its payment (24 h); a provider that forgets sooner, or has no keys, must be asked by
      reference (``payment_id``, in its metadata) before anything is done again.
    - Not retry by itself, or only under the same key and within its time limit. Temporal retries, where it can be seen.
    - Give up by itself within the time limit of the settings (``payments.timeout``, well below the 30 s of an
      activity), raising :class:`services.errors.ProviderFailedError`: the outcome is then not known.
    - Raise ``ProviderFailedError`` for whatever is not an answer: no connection, status 5xx, 429, nonsense,
      and "a call with this key is still under way" (409 at Stripe). It may be raised for anything in doubt;
      never raise a refusal in doubt, for a refusal ends the payment.
    - Raise a refusal (:class:`services.errors.CardDeclinedError`, ``InsufficientFundsError``, ``CardInvalidError``)
      only where the provider has said so, and keep card numbers and names out of the message.
    - Read ``payment_token`` as a reference that the provider gave to the storefront. No card data passes
      through tidegate.

    Amounts are decimals of two places in ``currency`` (ISO 4217); an adapter converts to minor units where its
    provider wants them, and refuses a currency whose minor unit is not 0.01.
    """

    async def authorize(
        self, payment_id: str, amount: Decimal, currency: str, payment_token: str, *, key: str
    ) -> str:
        """Hold ``amount``, and give the provider's id of what is held (at Stripe: of a PaymentIntent with
        ``capture_method=manual``). ``payment_id`` goes along as our reference.

        Raises ``CardDeclinedError`` or ``InsufficientFundsError`` where the provider says no.
        """
        ...

    async def capture(self, authorization_id: str, amount: Decimal, currency: str, *, key: str) -> None:
        """Take all that is held; ``amount`` is what was authorised.

        Raises ``InsufficientFundsError`` where the provider says no for good, :class:`AuthorizationClosedError`
        where nothing is held any more and it was not this key that took it.
        """
        ...

    async def void(self, authorization_id: str, *, key: str) -> None:
        """Free what is held. Where it is free already, nothing happens.

        Raises :class:`AuthorizationClosedError`, ``captured``, where it was taken.
        """
        ...

    async def refund(self, authorization_id: str, amount: Decimal, currency: str, *, key: str) -> None:
        """Give ``amount`` of what was taken back.

        Raises :class:`services.errors.RefundRefusedError` where the provider says no for good.
        """
        ...

    async def fraud_score(self, authorization_id: str, model: FraudModel) -> int:
        """How likely the payment is a fraud, from 0 (not at all) to 100. Has no effect, so it needs no key."""
        ...

    async def card_problem(self, payment_token: str) -> str | None:
        """Why the card cannot be used, in a few words without personal data, or ``None``. Has no effect."""
        ...
