"""The codec of a process, with the ids of its registry."""

from __future__ import annotations

from dataclasses import dataclass

from infra.settings import Settings
from schemas.codec import Codec
from schemas.lookup import SchemaLookup
from schemas.registry import Registry


@dataclass(frozen=True, slots=True)
class Schemas:
    """What a process needs to read and write events. Close it when the process stops."""

    registry: Registry
    codec: Codec
    lookup: SchemaLookup

    async def close(self) -> None:
        """End the connections to the registry."""
        await self.registry.close()


async def open_schemas(settings: Settings) -> Schemas:
    """The codec with the ids that the registry gives to our events, or the cache where it does not answer.

    Raises RegistryUnavailableError when neither has them.
    """
    registry = Registry(settings.registry)
    try:
        codec = Codec(await registry.resolve())
    except BaseException:
        await registry.close()
        raise
    return Schemas(registry, codec, SchemaLookup(codec, registry))
