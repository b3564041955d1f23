"""On whose behalf events are appended: written on every row that is appended in a context.

An activity runs for a workflow, and ops ask of an event which workflow it came from. The services that
append know of no workflow, so the caller says it around the call.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

_ORIGIN: ContextVar[Mapping[str, str]] = ContextVar("tidegate_origin")


@contextmanager
def on_behalf_of(*, workflow_id: str) -> Iterator[None]:
    """Events appended within carry ``ce_workflowid``, unless they name another themselves."""
    token = _ORIGIN.set({"workflowid": workflow_id})
    try:
        yield
    finally:
        _ORIGIN.reset(token)


def origin() -> Mapping[str, str]:
    """The extensions that the context adds; none outside of :func:`on_behalf_of`."""
    return _ORIGIN.get({})
