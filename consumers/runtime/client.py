"""The Kafka client of a consumer: made, started, closed; also one that hangs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, Final

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.errors import KafkaError

from consumers.errors import MissingTopicError
from consumers.runtime.options import RuntimeOptions
from infra.clients.kafka import aiokafka_options
from infra.errors import UnavailableError
from infra.settings import KafkaSettings

_CLOSE_WITHIN: Final = 1.5
_START_WITHIN: Final = 30.0

_log = structlog.get_logger()


async def start_client(settings: KafkaSettings, options: RuntimeOptions) -> Any:
    """A client that has found its brokers and is not yet in a group. Raises :class:`UnavailableError`."""
    client = AIOKafkaConsumer(
        **aiokafka_options(settings),
        group_id=options.group_id,
        group_instance_id=options.member,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
        # the same partition of every topic in one place: an order's events meet in one process
        partition_assignment_strategy=(RangePartitionAssignor,),
        session_timeout_ms=int(options.session_timeout * 1000),
        heartbeat_interval_ms=int(options.session_timeout * 1000 / 4),
        rebalance_timeout_ms=int(options.rebalance_timeout * 1000),
        max_poll_interval_ms=300_000,
    )
    try:
        async with asyncio.timeout(_START_WITHIN):
            await client.start()
    except (KafkaError, OSError, TimeoutError) as error:
        await close_client(client)
        raise UnavailableError(
            f"Kafka at {settings.bootstrap_servers} does not answer: {error or type(error).__name__}"
        ) from error
    except asyncio.CancelledError:
        await close_client(client)
        raise
    return client


async def require_topics(client: Any, topics: Sequence[str]) -> None:
    """Raise :class:`MissingTopicError` for one of ``topics`` that is not on the broker."""
    there = await client.topics()
    missing = [topic for topic in topics if topic not in there]
    if missing:
        raise MissingTopicError(f"no topic {', '.join(missing)} on the broker: run `tidegate topics apply`")


async def close_client(client: Any) -> None:
    """Leave the group and close, within seconds, whatever state the client is in."""
    if await _ends(client.stop()):
        return
    _log.warning("left the group without a word")
    # `stop` waits for the coordinator first; where that hangs, fetcher and connections would be left open, and
    # heartbeats, which open connections of their own, would have the whole group wait for us at its next rebalance.
    parts = [_resign(client._coordinator)] if client._coordinator is not None else []
    parts += [client._fetcher.close()] if client._fetcher is not None else []
    await asyncio.gather(*map(_ends, parts))
    await _ends(client._client.close())


async def _resign(coordinator: Any) -> None:
    """What the coordinator's own ``close`` does once it has waited for its work."""
    await coordinator._stop_heartbeat_task()
    await coordinator._maybe_leave_group()


async def _ends(closing: Any) -> bool:
    """Whether ``closing`` ended in time and well; it is a task of its own, as aiokafka lets cancellation out."""
    task = asyncio.ensure_future(closing)
    done, _ = await asyncio.wait({task}, timeout=_CLOSE_WITHIN)
    if not done:
        task.cancel()
        await asyncio.wait({task}, timeout=_CLOSE_WITHIN)
        return False
    if task.cancelled():
        return False
    if (error := task.exception()) is not None:
        _log.warning("a client did not close in good order", reason=f"{type(error).__name__} {error}")
    return error is None


class Listener(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka has no types
    """aiokafka calls it around a rebalance of ``client``. It swallows what is raised here, so nothing may be."""

    def __init__(
        self,
        client: Any,
        revoked: Callable[[Any], Awaitable[None]],
        assigned: Callable[[Any, Iterable[TopicPartition]], None],
    ) -> None:
        self._client = client
        self._revoked = revoked
        self._assigned = assigned

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        if revoked:
            await self._revoked(self._client)

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        self._assigned(self._client, assigned)
