"""The payment provider: the adapter that the services ask, and the local one that answers it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx

from infra.errors import MisuseError
from infra.settings import Settings
from services.payments.breaker import BreakerOptions, GuardedProvider
from services.payments.http_provider import HttpPaymentProvider
from services.payments.provider import PaymentProvider
from services.upstream.provider import Books, Faults, ProviderServer


@asynccontextmanager
async def opened_provider(settings: Settings) -> AsyncIterator[PaymentProvider]:
    """The provider at ``payments.url``, behind the circuit breaker of this process."""
    payments = settings.payments
    async with httpx.AsyncClient(base_url=payments.url, timeout=payments.timeout) as client:
        options = BreakerOptions(payments.breaker_failures, payments.breaker_rest)
        yield GuardedProvider(HttpPaymentProvider(client), options)


@asynccontextmanager
async def serving_provider(
    settings: Settings, faults: Faults, *, port: int | None = None
) -> AsyncIterator[ProviderServer]:
    """The local provider, serving at ``payments.url`` or at ``port``, its books in the upstream database.

    Raises :class:`MisuseError` where ``payments.url`` is no address of this machine, and as
    :func:`tidegate.wiring.services.open_services`.
    """
    from tidegate.wiring.services import open_sessions

    address = httpx.URL(settings.payments.url)
    if port is None and (address.host not in {"127.0.0.1", "localhost"} or address.port is None):
        raise MisuseError(
            f"payments.url is {settings.payments.url}: the local provider serves on this machine only; give it a "
            "--port, or set TIDEGATE_PAYMENTS__URL=http://127.0.0.1:8466"
        )
    async with (
        open_sessions(settings, upstream=True) as sessions,
        ProviderServer(Books(sessions), faults, port=port or address.port or 0) as server,
    ):
        yield server
