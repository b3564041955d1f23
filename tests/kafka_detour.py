"""Kafka's clients led through another port: a broker tells them its own address, which a proxy is not at."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from typing import Any

import aiokafka.client
from aiokafka.conn import create_conn

_PORTS: ContextVar[dict[int, int]] = ContextVar("_PORTS", default={})  # noqa: B039 - never changed


@contextmanager
def detours() -> Iterator[Callable[[int, int], AbstractContextManager[None]]]:
    """While it lasts, what it gives leads connections of aiokafka to one port to another, in the tasks that are started
    under it and for as long as they live."""

    async def through(host: str, port: int, **options: Any) -> Any:
        return await create_conn(host, _PORTS.get().get(port, port), **options)

    aiokafka.client.create_conn = through
    try:
        yield _detour
    finally:
        aiokafka.client.create_conn = create_conn


@contextmanager
def _detour(port: int, other: int) -> Iterator[None]:
    token = _PORTS.set({port: other})
    try:
        yield
    finally:
        _PORTS.reset(token)
