"""The schema registry: ids for the events that are written here, schemas for the ids that are read here.

Any server that speaks the Confluent REST API. Nothing on the path of an event calls it: ids are resolved at
start and cached on disk; a record with an id not met before costs one request, once.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

import structlog

from infra.errors import MisuseError
from infra.settings import RegistrySettings
from schemas.catalog import Catalog, EventSchema, Schema
from schemas.errors import RegistryUnavailableError, UnknownSchemaError
from schemas.events import EVENTS
from schemas.id_cache import CachedIds, IdCache, default_folder, entry
from schemas.ids import SchemaIds

if TYPE_CHECKING:
    from schemas.registry_client import RegistryClient

_AT_ONCE: Final = 8
_PATIENCE_WITH_CACHE: Final = 5.0


class Registry:
    """One schema registry, and the cache of its ids on disk.

    Use it as an asynchronous context manager, or call :meth:`close`. ``timeout`` is seconds per request.
    Raises MisuseError when no address was given.
    """

    def __init__(
        self,
        settings: RegistrySettings,
        *,
        cache: Path | None = None,
        catalog: Catalog | None = None,
        timeout: float = 10,
        retries: int = 2,
    ) -> None:
        if settings.url is None:
            raise MisuseError(
                "no schema registry address: set TIDEGATE_REGISTRY__URL, or start the local stack "
                "with `tidegate up`"
            )
        self._catalog = catalog or Catalog.load()
        self._prefer_cache = settings.prefer_cache
        self._cache = IdCache(cache or default_folder(), settings.url)
        self._settings = settings
        self._timeout, self._retries = timeout, retries
        self._gate = asyncio.Semaphore(_AT_ONCE)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """End the connections to the registry."""
        if "_client" in vars(self):
            await self._client.close()

    @functools.cached_property
    def _client(self) -> RegistryClient:
        """Loaded and made when the registry is first asked: most processes take their ids from the cache."""
        from schemas.registry_client import RegistryClient

        return RegistryClient(self._settings, timeout=self._timeout, retries=self._retries)

    async def register_all(self) -> SchemaIds:
        """Register every kept version of every event, oldest first, and set FULL_TRANSITIVE on its subject.

        Doing it again changes nothing. Raises IncompatibleSchemaError when the registry holds versions that
        a schema is not compatible with, RegistryRefusedError, RegistryUnavailableError.
        """
        return await self._all(self._register)

    async def resolve(self) -> SchemaIds:
        """The ids of all events: asked of the registry, which learns those it lacks; else from the cache.

        With ``prefer_cache`` in the settings, and all of them in the cache, nobody is asked.
        Raises RegistryUnavailableError when the registry does not answer and the cache lacks an event.
        """
        cached = self._cache.load()
        known = {event.type: cached.of(event) for event in self._catalog.events}
        complete = all(number is not None for number in known.values())
        if complete and self._prefer_cache:
            return self._ids({name: number for name, number in known.items() if number is not None}, cached)
        try:
            async with asyncio.timeout(_PATIENCE_WITH_CACHE if complete else None):
                return await self._all(self._find_or_register)
        except (RegistryUnavailableError, TimeoutError) as error:
            if not complete:
                raise
            structlog.get_logger().warning(
                "registry_down_using_cached_ids", registry=self._settings.shown_url, reason=str(error)
            )
            return self._ids({name: number for name, number in known.items() if number is not None}, cached)

    async def fetch(self, schema_id: int) -> Schema:
        """The writer's schema behind ``schema_id``; afterwards it is in the cache.

        Raises UnknownSchemaError when the registry does not know it either, RegistryUnavailableError when it
        does not answer: then the record must wait, because it may well be good.
        """
        cached = self._cache.load()
        if schema_id in cached.writers:
            return cached.writers[schema_id]
        try:
            schema = await self._client.fetch(schema_id)
        except (ValueError, TypeError, RecursionError) as error:
            raise UnknownSchemaError(schema_id, f"schema id {schema_id} is no Avro schema") from error
        if schema is None:
            place = self._settings.shown_url
            raise UnknownSchemaError(
                schema_id, f"schema id {schema_id} is unknown to the registry at {place}"
            )
        if not isinstance(schema, dict) or schema.get("type") != "record":
            raise UnknownSchemaError(schema_id, f"schema id {schema_id} is no Avro record")
        self._cache.save(CachedIds(cached.ids, {**cached.writers, schema_id: schema}))
        return schema

    async def _all(self, work: Callable[[EventSchema], Awaitable[int]]) -> SchemaIds:
        events = self._catalog.events
        # The first alone: a registry that is down is found out by one request, not by all of them.
        numbers = [await work(event) for event in events[:1]]
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._gated(work, event)) for event in events[1:]]
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None
        numbers += [task.result() for task in tasks]
        ids = {event.type: number for event, number in zip(events, numbers, strict=True)}
        cached = self._cache.load()
        if any(cached.of(event) not in {None, ids[event.type]} for event in events):
            cached = CachedIds()  # a registry that was emptied and numbers anew: nothing kept of it holds
        kept = {**cached.ids, **{entry(event): ids[event.type] for event in events}}
        writers = {**cached.writers, **{ids[event.type]: event.schema for event in events}}
        self._cache.save(CachedIds(kept, writers))
        return self._ids(ids, CachedIds(kept, writers))

    async def _gated(self, work: Callable[[EventSchema], Awaitable[int]], event: EventSchema) -> int:
        async with self._gate:
            return await work(event)

    async def _find_or_register(self, event: EventSchema) -> int:
        found = await self._client.find(event.subject, event.schema)
        return await self._register(event) if found is None else found

    async def _register(self, event: EventSchema) -> int:
        for version in event.versions[:-1]:
            await self._client.register(event.subject, version.schema)
        number = await self._client.register(event.subject, event.schema)
        await self._client.require_compatibility(event.subject)
        return number

    def _ids(self, ids: dict[str, int], cached: CachedIds) -> SchemaIds:
        return SchemaIds({event: ids[event.TYPE] for event in EVENTS if event.TYPE in ids}, cached.writers)
