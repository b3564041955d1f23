"""What every typed event is. The classes themselves are generated: ``python -m schemas.generate``."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Self

from schemas.primitives import JSON


class Record:
    """A value made from an Avro record: frozen, comparable, with typed fields."""

    __slots__ = ()

    TYPE: ClassVar[str]
    """Full name of the Avro record."""

    @abstractmethod
    def to_record(self) -> dict[str, Any]:
        """The fields as Avro's own types: decimals as bytes, times as microseconds.

        Raises ValueError or TypeError for a value that the schema cannot hold.
        """

    @classmethod
    @abstractmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        """The value whose :meth:`to_record` is ``record``; ValueError, TypeError or KeyError when none is."""

    @abstractmethod
    def to_json(self) -> dict[str, JSON]:
        """The fields as JSON: decimals as text with all their digits, times in ISO 8601 with a Z."""

    @classmethod
    @abstractmethod
    def from_json(cls, data: Mapping[str, JSON]) -> Self:
        """The value whose :meth:`to_json` is ``data``; ValueError naming a field that is wrong or unknown."""


class Event(Record):
    """Something that happened, as one record of a topic."""

    __slots__ = ()

    TOPIC: ClassVar[str]
    """The topic that the event belongs to."""

    KEY: ClassVar[str]
    """Name of the field that holds the id of the aggregate: the record's key in Kafka."""

    @property
    def key(self) -> str:
        """Id of the aggregate, the record's key in Kafka."""
        return str(getattr(self, self.KEY))
