"""Claims about a real registry: what is registered, what it refuses, and what happens when it is away."""

from __future__ import annotations

import copy
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from infra.local import Component, running_stack
from infra.settings import RegistrySettings
from schemas.catalog import Catalog, EventSchema, SchemaVersion
from schemas.codec import Codec
from schemas.errors import IncompatibleSchemaError, RegistryUnavailableError, UnknownSchemaError
from schemas.events import EVENTS, PickCompleted
from schemas.id_cache import CachedIds, IdCache, entry
from schemas.ids import SchemaIds
from schemas.lookup import SchemaLookup
from schemas.registry import Registry
from tests.stack import TEST_OPTIONS

SUBJECT = "wms.warehouse-tidegate.wms.warehouse.PickCompleted"
PICKED = PickCompleted(order_id="o-1", wave_id=None, picked_at=datetime(2026, 11, 21, tzinfo=UTC))


@pytest.fixture
async def registry(registry_url: str, tmp_path: Path) -> AsyncIterator[Registry]:
    """The session's registry, with a cache of the test's own."""
    async with Registry(RegistrySettings(url=registry_url), cache=tmp_path) as opened:
        yield opened


def other_event(unique: str, *versions: dict[str, Any]) -> Catalog:
    """A catalog with PickCompleted on a topic of the test's own, in ``versions``, the last one current."""
    real = Catalog.load().of("PickCompleted")
    kept = tuple(SchemaVersion(number, schema) for number, schema in enumerate(versions, start=1))
    return Catalog((EventSchema(f"{real.topic}.{unique}", real.name, versions[-1], kept),))


def with_field(name: str, **more: Any) -> dict[str, Any]:
    """The schema of PickCompleted with one field more."""
    schema = copy.deepcopy(Catalog.load().of("PickCompleted").schema)
    schema["fields"].append({"name": name, "type": ["null", "string"], "doc": "d", **more})
    return schema


async def test_every_event_is_registered_under_its_own_subject(registry: Registry, registry_url: str) -> None:
    """One subject an event, by topic and record name; FULL_TRANSITIVE on each; twice changes nothing."""
    ids = await registry.register_all()
    assert set(ids.ids) == set(EVENTS)
    assert len(set(ids.ids.values())) == len(EVENTS)
    assert (await registry.register_all()).ids == ids.ids
    async with httpx.AsyncClient(base_url=registry_url + "/") as http:
        assert SUBJECT in (await http.get("subjects")).json()
        assert (await http.get(f"config/{SUBJECT}")).json() == {"compatibilityLevel": "FULL_TRANSITIVE"}
        assert len((await http.get(f"subjects/{SUBJECT}/versions")).json()) == 1


async def test_resolving_gives_the_ids_that_were_registered(registry: Registry) -> None:
    """What resolve() finds is what register_all() gave, and an event encoded with it names its schema."""
    registered = await registry.register_all()
    resolved = await registry.resolve()
    assert resolved.ids == registered.ids
    codec = Codec(resolved)
    assert codec.decode(codec.encode(PICKED)) == PICKED


async def test_all_kept_versions_are_registered_oldest_first(
    registry_url: str, tmp_path: Path, unique: str
) -> None:
    """A new registry gets the history too, so that it compares with all of it."""
    first, second = Catalog.load().of("PickCompleted").schema, with_field("note", default=None)
    catalog = other_event(unique, first, second)
    async with Registry(RegistrySettings(url=registry_url), cache=tmp_path, catalog=catalog) as registry:
        await registry.register_all()
    async with httpx.AsyncClient(base_url=registry_url + "/") as http:
        versions = await http.get(f"subjects/{catalog.events[0].subject}/versions")
    assert len(versions.json()) == 2


async def test_registry_refuses_what_would_break_a_reader(
    registry_url: str, tmp_path: Path, unique: str
) -> None:
    """Past our own check, the registry is the second net: its refusal is one named line."""
    for versions in ([Catalog.load().of("PickCompleted").schema], [with_field("must")]):
        catalog = other_event(unique, *versions)
        async with Registry(RegistrySettings(url=registry_url), cache=tmp_path, catalog=catalog) as registry:
            if versions[0]["fields"][-1]["name"] == "must":
                with pytest.raises(IncompatibleSchemaError, match="does not fit") as caught:
                    await registry.resolve()
                assert catalog.events[0].subject in str(caught.value)
            else:
                await registry.register_all()


async def test_schema_behind_an_id_is_fetched_once(
    registry: Registry, registry_url: str, tmp_path: Path
) -> None:
    """An id not met before costs one request; then it is on disk."""
    ids = await registry.register_all()
    cache = IdCache(tmp_path, registry_url)
    cache.save(CachedIds())
    schema = await registry.fetch(ids.of(PickCompleted))
    assert schema["name"] == "PickCompleted"
    assert cache.load().writers == {ids.of(PickCompleted): schema}


async def test_id_that_the_registry_does_not_know_is_one_line(registry: Registry) -> None:
    """A record with a made-up id is bad; the registry said so."""
    with pytest.raises(
        UnknownSchemaError, match="schema id 987654 is unknown to the registry at http"
    ) as caught:
        await registry.fetch(987654)
    assert "\n" not in str(caught.value)


async def test_ids_met_at_run_time_are_looked_up(registry: Registry) -> None:
    """A codec that starts with other ids learns those of the registry from the records that it meets."""
    value = Codec(await registry.register_all()).encode(PICKED)
    stranger = SchemaLookup(Codec(SchemaIds(dict.fromkeys(EVENTS, 0), {})), registry)
    assert await stranger.type_of(value) == PickCompleted.TYPE
    assert await stranger.decode(value) == PICKED
    with pytest.raises(UnknownSchemaError):
        await stranger.decode(b"\x00\x00\x98\x76\x54")


async def test_ids_of_a_registry_that_was_emptied_are_forgotten(
    registry: Registry, registry_url: str, tmp_path: Path
) -> None:
    """One id that the registry now gives differently shows that nothing kept of it holds."""
    cache, event = IdCache(tmp_path, registry_url), Catalog.load().of("PickCompleted")
    cache.save(CachedIds({entry(event): 987654}, {987654: event.schema}))
    resolved = await registry.resolve()
    assert resolved.of(PickCompleted) != 987654
    assert 987654 not in resolved.writers
    assert cache.load().of(event) == resolved.of(PickCompleted)


async def test_second_start_needs_no_registry(tmp_path: Path) -> None:
    """Who has started once starts again with the registry stopped; who has not is told in one line."""
    cache = tmp_path / "cache"
    async with running_stack(tmp_path / "home", {Component.REGISTRY}, TEST_OPTIONS) as stack:
        settings = RegistrySettings(url=stack.addresses.registry_url)
        async with Registry(settings, cache=cache) as registry:
            first = await registry.resolve()
        await stack.kill(Component.REGISTRY)
        async with Registry(settings, cache=cache, retries=0) as registry:
            again = await registry.resolve()
            assert again.ids == first.ids
            codec = Codec(again)
            assert codec.decode(Codec(first).encode(PICKED)) == PICKED
            with pytest.raises(RegistryUnavailableError, match="does not answer"):
                await registry.fetch(987654)
        async with Registry(settings, cache=tmp_path / "empty", retries=0) as registry:
            with pytest.raises(RegistryUnavailableError, match="is it running"):
                await registry.resolve()
        changed = replace(Catalog.load().of("PickCompleted"), schema=with_field("note", default=None))
        catalog = Catalog(
            tuple(changed if one.name == changed.name else one for one in Catalog.load().events)
        )
        async with Registry(settings, cache=cache, retries=0, catalog=catalog) as registry:
            with pytest.raises(RegistryUnavailableError):
                await registry.resolve()  # an id of the old schema must not stand for the new one
