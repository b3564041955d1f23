"""Twice is once, for any Temporal worker: signals that a workflow has seen do not reach it again.

    Worker(client, task_queue=…, workflows=[…], plugins=[DedupeSignals()])

:class:`DedupeSignals` is the plugin; :data:`EVENT_ID_HEADER` is what a sender puts into a signal,
:data:`CONTINUE_AS_NEW_UPDATE` what asks a workflow for a new run. docs/dedupe-signals.md is its manual.
"""

from workflows.contracts.base import CONTINUE_AS_NEW_UPDATE, EVENT_ID_HEADER
from workflows.dedupe.memory import SEEN_AT_HEADER, SEEN_HEADER
from workflows.dedupe.plugin import SIGNALS_PER_RUN, DedupeSignals

__all__ = [
    "CONTINUE_AS_NEW_UPDATE",
    "EVENT_ID_HEADER",
    "SEEN_AT_HEADER",
    "SEEN_HEADER",
    "SIGNALS_PER_RUN",
    "DedupeSignals",
]
