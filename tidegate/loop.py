"""The loop as a whole, run and watched from one place: by the demo, by fault tests, by benchmarks."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from infra.errors import TidegateError
from infra.locks import only_loop
from infra.settings import Settings
from tidegate.audit.analytics import differences
from tidegate.audit.checks import audit
from tidegate.audit.collect import collect_evidence
from tidegate.bootstrap import prepare, process_environment, with_known_ids
from tidegate.observer import Observer
from tidegate.processes import DIRECT_QUEUES, loop_processes, upstream_processes
from tidegate.progress import Progress
from tidegate.result import RunResult
from tidegate.supervisor import Supervisor
from tidegate.wiring.workflows import QUEUES

_LOOK_EVERY = 0.5
_LOOKS_TO_BELIEVE = 2
"""A run is over when it looks so twice: between two steps of an order there is an instant without lag."""


class NotSettledError(TidegateError):
    """The run did not come to its end in time."""


class Loop:
    """A running loop. Made by :func:`running_loop`."""

    def __init__(self, settings: Settings, supervisor: Supervisor, observer: Observer) -> None:
        self.settings = settings
        self.supervisor = supervisor
        self._observer = observer
        self._started = time.monotonic()

    async def progress(self) -> Progress:
        """A look at the run."""
        return await self._observer.look()

    async def settle(
        self,
        *,
        seconds: float,
        not_before: Callable[[], bool] = lambda: True,
        watch: Callable[[Progress], None] = lambda _: None,
    ) -> Progress:
        """Wait until ``not_before`` says that no more will come and nothing is in flight; show each look to ``watch``.

        Raises :class:`NotSettledError` with what is still in flight when ``seconds`` have passed.
        """
        deadline = time.monotonic() + seconds
        quiet = 0
        while True:
            complete = not_before()  # asked first: what it has just finished is in the look
            progress = await self.progress()
            watch(progress)
            quiet = quiet + 1 if complete and progress.settled else 0
            if quiet == _LOOKS_TO_BELIEVE:
                return progress
            if time.monotonic() > deadline:
                raise NotSettledError(
                    f"after {seconds:g} s the run is not at its end: {progress.line()}; look at the logs in "
                    f"{self.settings.home / 'logs'}, or give it longer with --timeout"
                )
            await asyncio.sleep(_LOOK_EVERY)

    async def result(self) -> RunResult:
        """Audit the run as it stands now."""
        seconds = time.monotonic() - self._started
        evidence = await collect_evidence(self.settings)
        return RunResult(
            progress=await self.progress(),
            findings=audit(evidence),
            analytics_differences=await differences(self.settings),
            seconds=seconds,
            order_milliseconds=await self._observer.order_milliseconds(),
        )


@asynccontextmanager
async def running_loop(
    settings: Settings,
    *,
    upstream_options: Sequence[str] | None = (),
    label_options: Sequence[str] = (),
    everything: bool = False,
    prepared: bool = False,
) -> AsyncIterator[Loop]:
    """Prepare databases, topics and subjects, unless they are ``prepared``, and run every process until the block is
    left.

    ``upstream_options`` are the words of ``tidegate simulate`` that the floor and the carrier get (None: the two do
    not run, and nobody picks or packs but the caller),
    ``label_options`` those of ``tidegate worker`` that say how the carrier's label desk behaves. The direct path of
    design §7 is served, or ``everything``. Raises :class:`MisuseError` where a loop runs in this home already.
    """
    settings = with_known_ids(settings)
    queues = QUEUES if everything else DIRECT_QUEUES
    outside = (
        () if upstream_options is None else upstream_processes(tuple(upstream_options), everything=everything)
    )
    supervisor = Supervisor(
        (*loop_processes(settings.home, queues=queues, label_options=tuple(label_options)), *outside),
        log_folder=settings.home / "logs",
        environment=process_environment(settings),
    )
    with only_loop(settings.home):
        if not prepared:
            await prepare(settings)
        await supervisor.start()
        try:
            async with Observer(settings) as observer:
                yield Loop(settings, supervisor, observer)
        finally:
            await supervisor.stop()
