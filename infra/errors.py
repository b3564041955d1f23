"""The one tree of errors.

    TidegateError
    ├── MisuseError          the caller asked for something that cannot be (exit status 2)
    │   └── InvalidInputError    a file, a line or a field that does not hold what it must
    ├── UnavailableError     a server that is needed does not answer; trying again may help
    ├── StackError           the local stack cannot be started or stopped
    ├── PayloadRefusedError  a payload is not encrypted as it must be, or its key is missing
    └── (each room adds its own below, in its `errors.py`)

A message says what happened, to which thing (topic, partition, offset, workflow id), and
what to do. The command prints it as one line; the traceback is for ``--debug``.
"""

from __future__ import annotations


class TidegateError(Exception):
    """Something that tidegate knows how to name went wrong."""

    exit_status = 1

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or (type(self).__doc__ or "").strip())


class MisuseError(TidegateError):
    """The caller asked for something that cannot be."""

    exit_status = 2


class InvalidInputError(MisuseError):
    """An input does not hold what it must."""


class UnavailableError(TidegateError):
    """A server that is needed does not answer."""


class StackError(TidegateError):
    """The local stack cannot be started or stopped."""


class PayloadRefusedError(TidegateError):
    """A payload is not encrypted as it must be, or cannot be decrypted."""
