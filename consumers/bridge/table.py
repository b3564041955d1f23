"""The routing table as the bridge asks it: by the type in a record's headers, before anything is decoded."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from consumers.bridge.route import Route
from schemas.envelope import Envelope
from schemas.event import Event


class RoutingTable:
    """Routes by the full name of their event, and the types that are known but that nobody routes."""

    def __init__(self, routes: Sequence[Route], events: Iterable[type[Event]]) -> None:
        self._by_event: dict[str, tuple[Route, ...]] = {}
        for route in routes:
            self._by_event[route.event] = (*self._by_event.get(route.event, ()), route)
        self._by_name = {route.name: route for route in routes}
        self._topic_of = {event.TYPE: event.TOPIC for event in events}
        self._unrouted = {name.encode(): name for name in self._topic_of if name not in self._by_event}

    @property
    def topics(self) -> tuple[str, ...]:
        """The topics that hold a routed event, sorted: those that the bridge reads."""
        return tuple(sorted({self._topic_of[event] for event in self._by_event}))

    def unrouted(self, headers: Iterable[tuple[str, bytes]]) -> str | None:
        """The type that ``headers`` name if it is known and nobody routes it; None asks for a closer look."""
        found: str | None = None
        for name, value in headers:
            if name == "ce_type":
                found = self._unrouted.get(value)
        return found

    def knows(self, type_: str) -> bool:
        """Whether a schema of this release describes events of this type."""
        return type_ in self._topic_of

    def wanting(self, envelope: Envelope) -> tuple[Route, ...]:
        """The routes of the envelope's type whose ``when`` its headers fulfil."""
        return tuple(
            route for route in self._by_event.get(envelope.type, ()) if route.wants(envelope.extensions)
        )

    def routed(self, type_: str) -> tuple[Route, ...]:
        """The routes of this type, whatever their ``when`` says."""
        return self._by_event.get(type_, ())

    def named(self, name: str) -> Route | None:
        """The route with this name, None where this release has none."""
        return self._by_name.get(name)
