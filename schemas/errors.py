"""Errors of the schemas room.

TidegateError
├── SchemaError              a schema that is not as it must be
│   └── IncompatibleSchemaError  a change that would break a reader
├── EncodeError              an event that its schema cannot hold
│   └── PersonalDataError        an event that holds more about a person than a reference
├── DecodeError              bytes that are no event; trying again will not help
│   ├── UnknownSchemaError       a schema id that nobody knows
│   └── UnknownEventError        a record type that is not in the catalog
├── RegistryRefusedError     the registry answered, and said no
└── UnavailableError
    └── RegistryUnavailableError the registry does not answer; trying again may help
"""

from __future__ import annotations

from infra.errors import TidegateError, UnavailableError


class SchemaError(TidegateError):
    """A schema is not as it must be."""


class IncompatibleSchemaError(SchemaError):
    """A change of a schema would break one of its readers."""


class EncodeError(TidegateError):
    """An event holds what its schema cannot hold."""


class PersonalDataError(EncodeError):
    """An event holds more about a person than a reference; the message says which field, and shows nothing of it."""


class DecodeError(TidegateError):
    """Bytes that are no event."""


class UnknownSchemaError(DecodeError):
    """A schema id that is neither known here nor in the registry.

    ``schema_id`` is the id; whoever can reach the registry may look it up and decode again.
    """

    def __init__(self, schema_id: int, message: str | None = None) -> None:
        self.schema_id = schema_id
        super().__init__(
            message
            or f"schema id {schema_id} is not known: register the writer's schema, or check the registry"
        )


class UnknownEventError(DecodeError):
    """A record type that the catalog does not hold."""


class RegistryRefusedError(TidegateError):
    """The schema registry refused a request."""


class RegistryUnavailableError(UnavailableError):
    """The schema registry does not answer."""
