"""Errors of what people do to events. A topic that is not there is a ``consumers.errors.MissingTopicError``.

TidegateError
├── MisuseError
│   ├── InvalidSelectionError   a selection that cannot be
│   ├── InvalidEditError        a mended payload that is no event, or no change
│   └── NoSuchRecordError       no record stands at the place that was named
└── StoppedError                stopped by a signal before the end; what was done is recorded
"""

from __future__ import annotations

from infra.errors import MisuseError, TidegateError


class InvalidSelectionError(MisuseError):
    """A selection of records that cannot be."""


class InvalidEditError(MisuseError):
    """A mended payload that is no event, or an edit that changes nothing."""


class NoSuchRecordError(MisuseError):
    """No record stands at the place that was named."""


class StoppedError(TidegateError):
    """Stopped before the end; what was done until then is recorded."""

    exit_status = 130
