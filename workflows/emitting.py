"""The ids of the facts that a workflow emits.

Source: design §7, "Emitting".
"""

from __future__ import annotations

from temporalio import workflow

from infra.ids import derived_id


def emitted_event_id(step: str, occurrence: int = 1) -> str:
    """The id of the event that this workflow emits at ``step`` for the ``occurrence``-th time.

    Retries, replays, resets and continue-as-new give the same id, so the outbox takes one row; a new cycle
    of a long-lived workflow is a new occurrence.
    """
    return str(derived_id("emit", workflow.info().workflow_id, step, occurrence))
