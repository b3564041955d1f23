"""The registry's REST API, spoken through the client of confluent-kafka, with errors that are ours.

That client costs 0.4 s of CPU to import and to make (OAuth, JOSE, TLS): :mod:`schemas.registry` loads this module when
it first has a question, and most processes never have one.
"""

from __future__ import annotations

import importlib
import json
import warnings
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

from infra.settings import RegistrySettings
from schemas.catalog import Schema, canonical
from schemas.errors import IncompatibleSchemaError, RegistryRefusedError, RegistryUnavailableError

with warnings.catch_warnings():
    # authlib, which the client imports, warns on import of a package that it would rather see; and it shows
    # its warnings whatever was asked for, from the import of its own module on: so that one comes first.
    importlib.import_module("authlib.deprecate")
    warnings.simplefilter("ignore")
    from confluent_kafka.schema_registry import (
        AsyncSchemaRegistryClient,
        ConfigCompatibilityLevel,
        ServerConfig,
    )
    from confluent_kafka.schema_registry import Schema as RegistrySchema
    from confluent_kafka.schema_registry.common._httpx_compat import httpx  # the transport that it chose
    from confluent_kafka.schema_registry.error import SchemaRegistryError

_NOT_FOUND: Final = 404
_CONFLICT: Final = 409
_TOO_MANY_REQUESTS: Final = 429
_SERVER_FAILS: Final = 500

Answer = TypeVar("Answer")


class RegistryClient:
    """Connections to the registry at ``settings.url``. Close it.

    ``timeout`` is seconds per request. Every method raises RegistryUnavailableError when the registry does not answer,
    and RegistryRefusedError when it says no.
    """

    def __init__(self, settings: RegistrySettings, *, timeout: float, retries: int) -> None:
        self._place = settings.shown_url
        self._client: Any = AsyncSchemaRegistryClient(_configuration(settings, timeout, retries))

    async def close(self) -> None:
        """End the connections."""
        await self._client.aclose()

    async def register(self, subject: str, schema: Schema) -> int:
        """Make ``schema`` a version of ``subject``, if it is none; its id.

        Raises IncompatibleSchemaError when the subject holds versions that it does not fit.
        """
        return int(
            await self._ask(subject, lambda: self._client.register_schema(subject, _for_registry(schema)))
        )

    async def require_compatibility(self, subject: str) -> None:
        """Let ``subject`` take only versions that every other version can read and be read by."""
        setting = ServerConfig(compatibility=ConfigCompatibilityLevel.FULL_TRANSITIVE)
        await self._ask(subject, lambda: self._client.set_config(subject, setting))

    async def find(self, subject: str, schema: Schema) -> int | None:
        """The id of ``schema`` in ``subject``; None where it is no version of it."""
        found = await self._ask_for(
            subject, lambda: self._client.lookup_schema(subject, _for_registry(schema))
        )
        return None if found is None else int(found.schema_id)

    async def fetch(self, schema_id: int) -> Any:
        """The schema behind ``schema_id`` as JSON; None where there is none. Raises ValueError for what is no JSON."""
        found = await self._ask_for(f"schema id {schema_id}", lambda: self._client.get_schema(schema_id))
        return None if found is None else json.loads(found.schema_str or "")

    async def _ask_for(self, what: str, request: Callable[[], Awaitable[Answer]]) -> Answer | None:
        try:
            return await self._answer(request)
        except SchemaRegistryError as error:
            if error.http_status_code == _NOT_FOUND:
                return None
            raise self._refusal(what, error) from error

    async def _ask(self, what: str, request: Callable[[], Awaitable[Answer]]) -> Answer:
        try:
            return await self._answer(request)
        except SchemaRegistryError as error:
            raise self._refusal(what, error) from error

    async def _answer(self, request: Callable[[], Awaitable[Answer]]) -> Answer:
        try:
            return await request()
        except SchemaRegistryError as error:
            if error.http_status_code < _SERVER_FAILS and error.http_status_code != _TOO_MANY_REQUESTS:
                raise
            raise RegistryUnavailableError(f"the schema registry at {self._place} fails: {error}") from error
        except (httpx.HTTPError, OSError, ValueError) as error:  # ValueError: an answer that is not JSON
            why = type(error).__name__
            raise RegistryUnavailableError(
                f"the schema registry at {self._place} does not answer ({why}): is it running?"
            ) from error

    def _refusal(
        self, what: str, error: SchemaRegistryError
    ) -> RegistryRefusedError | IncompatibleSchemaError:
        if error.http_status_code == _CONFLICT:
            return IncompatibleSchemaError(
                f"{what}: the registry at {self._place} holds versions that the schema does not fit: "
                f"{error.error_message}"
            )
        return RegistryRefusedError(f"{what}: the registry at {self._place} refused: {error}")


def _for_registry(schema: Schema) -> RegistrySchema:
    return RegistrySchema(canonical(schema), "AVRO")


def _configuration(settings: RegistrySettings, timeout: float, retries: int) -> dict[str, Any]:
    configuration: dict[str, Any] = {
        "url": settings.url,
        "timeout": timeout,
        "max.retries": retries,
        "retries.wait.ms": 200,
        "retries.max.wait.ms": 2000,
    }
    if settings.username is not None:
        password = settings.password.get_secret_value() if settings.password else ""
        configuration["basic.auth.user.info"] = f"{settings.username}:{password}"
    if settings.ssl_cafile is not None:
        configuration["ssl.ca.location"] = str(settings.ssl_cafile)
    return configuration
