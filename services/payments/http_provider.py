"""The payment provider over HTTP: the adapter for ``tidegate simulate payments``, and a model for real ones.

    POST /authorizations                  {reference, amount, currency, payment_token}  201 {authorization_id}
    POST /authorizations/{id}/capture     {amount, currency}                             200
    POST /authorizations/{id}/void        {}                                             200
    POST /authorizations/{id}/refunds     {amount, currency}                             201
    GET  /authorizations/{id}/fraud-score?model=v2                                       200 {score}
    GET  /cards/{payment_token}                                                          200 {problem}

Each POST carries its ``Idempotency-Key``. 402 is a refusal, 409 says that the authorisation is ``captured`` or
``voided``, 422 that a refund is too large, each with a ``code``. Anything else is no answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final
from urllib.parse import quote

import httpx

from services.errors import (
    CardDeclinedError,
    CardInvalidError,
    InsufficientFundsError,
    PaymentRefusedError,
    ProviderFailedError,
    RefundRefusedError,
)
from services.payments.provider import AuthorizationClosedError, FraudModel

IDEMPOTENCY_KEY: Final = "Idempotency-Key"

_REFUSALS: Final[Mapping[str, type[PaymentRefusedError]]] = {
    "card_declined": CardDeclinedError,
    "insufficient_funds": InsufficientFundsError,
    "card_invalid": CardInvalidError,
}


class HttpPaymentProvider:
    """A :class:`services.payments.provider.PaymentProvider` behind ``client``.

    The client carries the base address and the time limit. Nothing is retried here: Temporal does, where it can be
    seen, and always under the same key.
    """

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def authorize(
        self, payment_id: str, amount: Decimal, currency: str, payment_token: str, *, key: str
    ) -> str:
        """Hold ``amount``; the provider's id of what is held."""
        body = {
            "reference": payment_id,
            "amount": str(amount),
            "currency": currency,
            "payment_token": payment_token,
        }
        answer = await self._post("/authorizations", body, key)
        return str(_field(answer, "authorization_id"))

    async def capture(self, authorization_id: str, amount: Decimal, currency: str, *, key: str) -> None:
        """Take what is held."""
        body = {"amount": str(amount), "currency": currency}
        await self._post(f"/authorizations/{quote(authorization_id, safe='')}/capture", body, key)

    async def void(self, authorization_id: str, *, key: str) -> None:
        """Free what is held."""
        await self._post(f"/authorizations/{quote(authorization_id, safe='')}/void", {}, key)

    async def refund(self, authorization_id: str, amount: Decimal, currency: str, *, key: str) -> None:
        """Give ``amount`` back."""
        body = {"amount": str(amount), "currency": currency}
        await self._post(f"/authorizations/{quote(authorization_id, safe='')}/refunds", body, key)

    async def fraud_score(self, authorization_id: str, model: FraudModel) -> int:
        """From 0 to 100."""
        path = f"/authorizations/{quote(authorization_id, safe='')}/fraud-score?model={model}"
        return int(_field(await self._ask("GET", path), "score"))

    async def card_problem(self, payment_token: str) -> str | None:
        """Why the card cannot be used, or ``None``."""
        problem = _field(await self._ask("GET", f"/cards/{quote(payment_token, safe='')}"), "problem")
        return None if problem is None else str(problem)

    async def _post(self, path: str, body: Mapping[str, str], key: str) -> Mapping[str, Any]:
        return await self._ask("POST", path, body, {IDEMPOTENCY_KEY: key})

    async def _ask(
        self,
        method: str,
        path: str,
        body: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Mapping[str, Any]:
        try:
            response = await self._client.request(method, path, json=body, headers=headers)
            answer = response.json() if response.status_code < 500 else {}
        except (httpx.HTTPError, ValueError) as error:
            raise ProviderFailedError(
                f"the payment provider at {self._client.base_url} gave no answer to {method} {path}: "
                f"{error or type(error).__name__}"
            ) from error
        if not isinstance(answer, dict):
            answer = {}
        if response.is_success:
            return answer
        raise _refusal(response.status_code, answer) or ProviderFailedError(
            f"the payment provider at {self._client.base_url} answered {method} {path} with status "
            f"{response.status_code}"
        )


def _refusal(status: int, answer: Mapping[str, Any]) -> Exception | None:
    """What an answer says no with, or ``None`` where it says nothing that can be relied on."""
    code, message = str(answer.get("code")), str(answer.get("message", "the payment provider says no"))
    match status:
        case 402 if code in _REFUSALS:
            return _REFUSALS[code](message)
        case 409 if code in {"captured", "voided"}:
            return AuthorizationClosedError(message, captured=code == "captured")
        case 422 if code == "refund_too_large":
            return RefundRefusedError(message)
    return None


def _field(answer: Mapping[str, Any], name: str) -> Any:
    try:
        return answer[name]
    except KeyError:
        raise ProviderFailedError(f"the payment provider's answer has no {name}") from None
