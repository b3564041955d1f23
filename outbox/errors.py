"""Errors of the outbox, below :class:`infra.errors.TidegateError`.

TidegateError
├── RelayRefusedError    the relay must not run as things are; a person has to decide
├── LeaseLostError       another relay owns the shards now (handled inside the relay)
├── PublisherBrokenError the producer cannot go on; a new one can (handled inside the relay)
└── MisuseError
    └── NotParkedError   there is no such parked row
"""

from __future__ import annotations

from infra.errors import MisuseError, TidegateError


class RelayRefusedError(TidegateError):
    """The relay must not run as things are; the message says what to do."""


class LeaseLostError(TidegateError):
    """Another relay owns these shards now."""


class PublisherBrokenError(TidegateError):
    """The producer cannot go on; a new one can, from the stored cursor."""


class NotParkedError(MisuseError):
    """There is no such parked row."""
