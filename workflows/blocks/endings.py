"""Why a wait of a workflow ended without what was waited for."""

from __future__ import annotations

from temporalio import workflow


class ClockRanOutError(Exception):
    """The fact did not come in time. The message is a sentence for people."""


class LeftEarlyError(Exception):
    """The workflow had a reason of its own to wait no longer, say a cancellation."""


class RunIsFullError(Exception):
    """The history is long enough: continue as new, from the wait that is under way."""


def run_is_full() -> bool:
    """Whether the server, or the count of signals in ``workflows.dedupe``, suggests a new run."""
    return workflow.info().is_continue_as_new_suggested()
