"""The plugin: one line at a worker, a replayer or a client.

    Worker(client, task_queue=…, workflows=[…], plugins=[DedupeSignals()])
    Replayer(workflows=[…], plugins=[DedupeSignals()])

No workflow code knows of it. Source: design §6, "Twice is once"; docs/decisions/0016.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from temporalio.plugin import SimplePlugin
from temporalio.worker import Interceptor, WorkflowInboundInterceptor, WorkflowInterceptorClassInput

from workflows.dedupe.run import Decisions, DedupingInbound, Options

REMEMBERED: Final = 1_000
"""How many signals a workflow remembers unless told otherwise. About 65 bytes each, once per run."""

FORGOTTEN_AFTER: Final = timedelta(days=30)
"""How long a workflow remembers a signal unless told otherwise: as long as a topic usually keeps its record."""

SIGNALS_PER_RUN: Final = 8_000
"""After how many signals a run is asked to end unless told otherwise; the server's limit is 10,000."""


class DedupeSignals(SimplePlugin):
    """Drops the repeats of a signal, by the event id in its header, for every workflow of a worker.

    A workflow remembers its latest ``remember`` signals for ``forget_after`` of its own time, across its runs.
    Once a run has taken ``signals_per_run`` signals, ``workflow.info().is_continue_as_new_suggested()`` says yes;
    so it does after the update :data:`~workflows.contracts.base.CONTINUE_AS_NEW_UPDATE`, which every workflow
    then has.

    ``decisions`` says how a run's history tells what was decided:

    - ``"marked"``: the first repeat that is dropped leaves a patch marker, and so does a run that is full. Runs
      that went on without the plugin replay with it as they went, so it may be added at any time.
    - ``"unmarked"``: nothing is left in the history. For workers whose workflows never ran without the plugin.
    - ``"replayed"``: for taking the plugin out. Runs that have begun to drop repeats go on; none begins.

    Bounds are to stay what they are while runs are open that rely on them: other ones would replay differently.
    Raises ``ValueError`` for a bound that is not positive.
    """

    def __init__(
        self,
        *,
        remember: int = REMEMBERED,
        forget_after: timedelta = FORGOTTEN_AFTER,
        signals_per_run: int = SIGNALS_PER_RUN,
        decisions: Decisions = "marked",
    ) -> None:
        if remember < 1 or signals_per_run < 1 or forget_after <= timedelta(0):
            raise ValueError("remember, forget_after and signals_per_run must be positive")
        options = Options(remember, forget_after, signals_per_run, decisions)
        super().__init__("tidegate.DedupeSignals", interceptors=[_Interceptor(options)])


class _Interceptor(Interceptor):
    def __init__(self, options: Options) -> None:
        self._options = options

    def workflow_interceptor_class(
        self,
        input: WorkflowInterceptorClassInput,  # noqa: A002, ARG002 - the signature is the SDK's
    ) -> type[WorkflowInboundInterceptor] | None:
        """The part of it that runs inside a workflow, made anew for each run."""

        class Inbound(DedupingInbound):
            options = self._options

        return Inbound
