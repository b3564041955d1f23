"""Claims about ids kept on disk, and about looking up those that were not met before."""

from __future__ import annotations

import json
import os
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from schemas.catalog import Catalog, Schema
from schemas.codec import Codec
from schemas.errors import RegistryUnavailableError, UnknownSchemaError
from schemas.events import PickCompleted
from schemas.id_cache import CachedIds, IdCache, entry
from schemas.ids import SchemaIds
from schemas.lookup import SchemaLookup

PICKED = PickCompleted(order_id="o-1", picked_at=datetime(2026, 11, 21, tzinfo=UTC))
EVENT = Catalog.load().of("PickCompleted")


def test_what_was_kept_is_found_again(tmp_path: Path) -> None:
    """Ids and writers' schemas survive the process."""
    cache = IdCache(tmp_path, "http://registry")
    cache.save(CachedIds({entry(EVENT): 7}, {7: EVENT.schema}))
    assert cache.load().of(EVENT) == 7
    assert cache.load().writers == {7: EVENT.schema}


def test_two_registries_do_not_meet(tmp_path: Path) -> None:
    """Another address is another file: ids of one registry mean nothing in another."""
    IdCache(tmp_path, "http://one").save(CachedIds({entry(EVENT): 7}))
    assert IdCache(tmp_path, "http://two").load() == CachedIds()
    assert IdCache(tmp_path, "http://one/").load().of(EVENT) == 7


def test_password_in_an_address_is_not_written_down(tmp_path: Path) -> None:
    """Neither the name of the file nor what is in it tells the address."""
    IdCache(tmp_path, "http://me:secret@registry").save(CachedIds({entry(EVENT): 7}))
    (path,) = tmp_path.iterdir()
    assert "secret" not in path.name + path.read_text()


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"ids": 1, "writers": 2}', '{"ids": {"a": "b"}, "writers": {}}']
)
def test_damaged_file_counts_as_empty(tmp_path: Path, text: str) -> None:
    """A file half written by a crash long ago costs a question to the registry, not a start."""
    cache = IdCache(tmp_path, "http://registry")
    cache.path.write_text(text)
    assert cache.load() == CachedIds()


def test_folder_that_cannot_be_written_stops_nobody(tmp_path: Path) -> None:
    """Without a cache everything works while the registry does."""
    (tmp_path / "file").write_text("in the way")
    cache = IdCache(tmp_path / "file", "http://registry")
    cache.save(CachedIds({entry(EVENT): 7}))
    assert cache.load() == CachedIds()


def test_registries_not_used_for_long_are_forgotten(tmp_path: Path) -> None:
    """Files of registries that came and went, as in tests, do not pile up."""
    old, new = IdCache(tmp_path, "http://old"), IdCache(tmp_path, "http://new")
    old.save(CachedIds({entry(EVENT): 7}))
    long_ago = time.time() - 100 * 86_400
    os.utime(old.path, (long_ago, long_ago))
    new.save(CachedIds({entry(EVENT): 8}))
    assert (old.path.exists(), new.path.exists()) == (False, True)


class Source:
    """A registry that knows one schema, counts its questions, and can be away."""

    def __init__(self, known: dict[int, Schema]) -> None:
        self.known = known
        self.asked: list[int] = []
        self.away = False

    async def fetch(self, schema_id: int) -> Schema:
        """As the real one."""
        self.asked.append(schema_id)
        if self.away:
            raise RegistryUnavailableError
        if schema_id not in self.known:
            raise UnknownSchemaError(schema_id)
        return self.known[schema_id]


def with_id(value: bytes, schema_id: int) -> bytes:
    """The same body under another schema id."""
    return value[:1] + schema_id.to_bytes(4, "big") + value[5:]


async def test_unknown_id_is_asked_for_once() -> None:
    """The second record with the same new id costs nothing."""
    codec, source = Codec(SchemaIds.local()), Source({500: EVENT.schema})
    lookup = SchemaLookup(codec, source)
    value = with_id(codec.encode(PICKED), 500)
    assert [await lookup.decode(value), await lookup.decode(value)] == [PICKED, PICKED]
    assert codec.decode(value) == PICKED
    assert source.asked == [500]


async def test_flood_of_bad_ids_is_no_flood_of_requests() -> None:
    """An id that the registry does not know is not asked for again soon; later it is."""
    codec, source = Codec(SchemaIds.local()), Source({})
    value = with_id(codec.encode(PICKED), 501)
    lookup = SchemaLookup(codec, source)
    for _ in range(5):
        with pytest.raises(UnknownSchemaError):
            await lookup.type_of(value)
    assert source.asked == [501]
    forgetful = SchemaLookup(codec, source, forget_after=-1)
    for _ in range(2):
        with pytest.raises(UnknownSchemaError):
            await forgetful.type_of(value)
    source.known[501] = EVENT.schema
    assert await forgetful.decode(value) == PICKED


async def test_registry_that_is_away_does_not_make_a_record_bad() -> None:
    """While the registry cannot be asked the error is another one, and nothing is remembered."""
    codec, source = Codec(SchemaIds.local()), Source({502: EVENT.schema})
    lookup = SchemaLookup(codec, source)
    value = with_id(codec.encode(PICKED), 502)
    source.away = True
    with pytest.raises(RegistryUnavailableError):
        await lookup.decode(value)
    source.away = False
    assert await lookup.decode(value) == PICKED


def test_file_is_plain_json(tmp_path: Path) -> None:
    """Ops can read it."""
    cache = IdCache(tmp_path, "http://registry")
    cache.save(CachedIds({entry(EVENT): 7}, {7: EVENT.schema}))
    assert json.loads(cache.path.read_text())["writers"]["7"]["name"] == "PickCompleted"
