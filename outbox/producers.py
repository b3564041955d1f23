"""aiokafka's producers as the relay wants them: started within a deadline, and let go without waiting."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from infra.finishing import to_the_end
from outbox.options import RelayOptions

_log = structlog.get_logger()


async def started_producer(
    connection: dict[str, Any], options: RelayOptions, *, transactional_id: str | None = None
) -> AIOKafkaProducer:
    """A producer that is connected, ``acks=all``, idempotent; with a ``transactional_id`` it has also shut out every
    other producer of that id, and whatever they had not committed is aborted.

    ``connection`` are aiokafka's options that say where the brokers are. Raises aiokafka's errors, or
    TimeoutError, when none answers in ``options.delivery_timeout`` seconds.
    """
    timeout_ms = int(options.delivery_timeout * 1000)
    transactions: dict[str, Any] = {}
    if transactional_id is not None:
        transactions = {
            "transactional_id": transactional_id,
            # Longer than anything that a transaction waits for: what ends one early shuts its producer out.
            "transaction_timeout_ms": 3 * timeout_ms,
            # The broker is still writing the last commit's markers when the next transaction begins, and says
            # NotEnoughReplicas or ConcurrentTransactions for a few milliseconds.
            "retry_backoff_ms": options.transaction_backoff_ms,
        }
    producer = AIOKafkaProducer(
        **connection,
        enable_idempotence=True,
        acks="all",
        compression_type=options.compression,
        max_batch_size=options.batch_bytes,
        request_timeout_ms=timeout_ms,
        **transactions,
    )
    try:
        await asyncio.wait_for(producer.start(), options.delivery_timeout)
    except BaseException:
        await abandon(producer)
        raise
    return producer


async def abandon(producer: AIOKafkaProducer) -> None:
    """Close a producer without waiting for what it could not send: the next one sends it. Six seconds at most, and to
    the end although this task be cancelled.

    ``stop()`` waits for unsent batches for as long as the broker is away, and its sender would go on trying
    behind our back. So the sender is ended first; aiokafka offers no other way.
    """
    await to_the_end(_closed(producer))


async def _closed(producer: AIOKafkaProducer) -> None:
    sender = producer._sender.sender_task
    if sender is not None and not sender.done():
        sender.cancel()
        await asyncio.wait([sender], timeout=1)
    try:
        await asyncio.wait_for(producer.stop(), timeout=5)
    except (TimeoutError, KafkaError, OSError, asyncio.CancelledError) as error:  # the last is the sender's
        _log.debug("producer closed unfinished", error=repr(error))


def transactional_id(generation: UUID, group: int) -> str:
    """The name under which the group of one database is published: one producer at a time has it."""
    return f"tidegate-relay-{generation}-{group}"
