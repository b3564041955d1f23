"""Which schema id stands for which event, and which schema stands behind an id."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from schemas.catalog import Catalog, Schema
from schemas.errors import EncodeError
from schemas.event import Event
from schemas.events import EVENTS


@dataclass(frozen=True, slots=True)
class SchemaIds:
    """Ids of one registry: of each event that is written here, and the writer's schema behind each id."""

    ids: Mapping[type[Event], int]
    """The id that each event is written with."""
    writers: Mapping[int, Schema]
    """The schema behind each id; more than the events' own when records of earlier versions were met."""

    @classmethod
    def local(cls, catalog: Catalog | None = None) -> SchemaIds:
        """Ids without a registry, 1 for the first event of the catalog and so on. For tests and dry runs."""
        schemas = {event.type: event.schema for event in (catalog or Catalog.load()).events}
        numbered = dict(enumerate(EVENTS, start=1))
        return cls(
            {event: number for number, event in numbered.items()},
            {number: schemas[event.TYPE] for number, event in numbered.items()},
        )

    def of(self, event: type[Event]) -> int:
        """The id that ``event`` is written with; EncodeError when it was not registered."""
        try:
            return self.ids[event]
        except KeyError:
            raise EncodeError(f"{event.TYPE} has no schema id: run `tidegate schemas register`") from None
