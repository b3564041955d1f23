"""A circuit breaker around the payment provider: one that is down is left alone for a while.

Source: 002, "Payment workers: 2 replicas with circuit breaker"; docs/decisions/0012.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from purgatory import AsyncCircuitBreakerFactory
from purgatory.domain.model import OpenedState

from services.errors import ProviderRestingError, ServiceError
from services.payments.provider import FraudModel, PaymentProvider, ProviderFailedError

_CIRCUIT: Final = "payment-provider"


@dataclass(frozen=True, slots=True)
class BreakerOptions:
    """When the circuit opens, and for how long.

    ``failures``: so many in a row open it. ``rest``: seconds until the provider is asked again; the first answer then
    closes the circuit, the first failure opens it for another ``rest``.
    """

    failures: int = 5
    rest: float = 10.0


class GuardedProvider:
    """``provider`` behind a circuit breaker. One for each process: what it knows is what it has seen.

    Only :class:`services.errors.ProviderFailedError` and what is not an answer at all counts as a failure: a
    refusal is an answer. While the circuit is open every call raises
    :class:`services.errors.ProviderRestingError` at once, and the provider is not touched.
    """

    def __init__(self, provider: PaymentProvider, options: BreakerOptions | None = None) -> None:
        self._provider = provider
        self._options = options or BreakerOptions()
        answers = (ServiceError, lambda error: not isinstance(error, ProviderFailedError))
        self._circuits = AsyncCircuitBreakerFactory(
            default_threshold=self._options.failures,
            default_ttl=self._options.rest,
            exclude=[answers, asyncio.CancelledError],
        )

    async def authorize(
        self, payment_id: str, amount: Decimal, currency: str, payment_token: str, *, key: str
    ) -> str:
        """As the provider's."""
        async with self._closed_circuit():
            return await self._provider.authorize(payment_id, amount, currency, payment_token, key=key)

    async def capture(self, authorization_id: str, amount: Decimal, currency: str, *, key: str) -> None:
        """As the provider's."""
        async with self._closed_circuit():
            await self._provider.capture(authorization_id, amount, currency, key=key)

    async def void(self, authorization_id: str, *, key: str) -> None:
        """As the provider's."""
        async with self._closed_circuit():
            await self._provider.void(authorization_id, key=key)

    async def refund(self, authorization_id: str, amount: Decimal, currency: str, *, key: str) -> None:
        """As the provider's."""
        async with self._closed_circuit():
            await self._provider.refund(authorization_id, amount, currency, key=key)

    async def fraud_score(self, authorization_id: str, model: FraudModel) -> int:
        """As the provider's."""
        async with self._closed_circuit():
            return await self._provider.fraud_score(authorization_id, model)

    async def card_problem(self, payment_token: str) -> str | None:
        """As the provider's."""
        async with self._closed_circuit():
            return await self._provider.card_problem(payment_token)

    @asynccontextmanager
    async def _closed_circuit(self) -> AsyncIterator[None]:
        try:
            async with await self._circuits.get_breaker(_CIRCUIT):
                yield
        except OpenedState as opened:
            seconds = max(0.0, opened.opened_at + self._options.rest - time.time())
            raise ProviderRestingError(
                f"the payment provider failed {self._options.failures} times in a row: it is asked again in "
                f"{seconds:.0f} s",
                seconds,
            ) from None
