"""The demo: start what is missing, let orders through the loop, watch them, audit the run.

Servers take seconds to start and libraries seconds to import, so the two happen at once: this module imports little,
and what a run needs (:mod:`tidegate.demo_run`, the server that children are forked from) is loaded meanwhile. Each
server is prepared as soon as it answers, while others still start.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from infra.errors import MisuseError
from infra.loading import load
from infra.local import EVERYTHING, Component, StackAddresses, running_stack
from infra.local.choice import addresses_given, settings_given
from infra.local.detached import start_detached
from infra.local.stack import choose_factories, process_factories
from infra.running import read_state
from infra.settings import Settings
from tidegate.console import note
from tidegate.demo_options import DemoOptions
from tidegate.supervisor import warm_up

if TYPE_CHECKING:
    from tidegate.result import RunResult

_Prepare = Callable[[Settings, Collection[Component]], Awaitable[None]]


async def run_demo(settings: Settings, options: DemoOptions) -> RunResult:
    """Run the demo and return what it came to; everything it started has ended, unless ``keep`` is set.

    A run that gets stuck is said to be so, is audited as it stands, and does not add up.
    """
    loading = asyncio.create_task(load("tidegate.demo_run"))
    warming = asyncio.create_task(asyncio.to_thread(warm_up))

    async def prepare(running: Settings, components: Collection[Component]) -> None:
        await loading
        from tidegate import bootstrap

        await bootstrap.prepare(running, components)

    if options.orders_file is not None:
        await loading
        from tidegate.demo_run import goods

        goods(options)  # a bad line is said before anything starts
    async with _servers(settings, prepare, keep=options.keep) as running:
        await asyncio.gather(loading, warming)
        from tidegate.demo_run import run_on

        return await run_on(running, options)


@asynccontextmanager
async def _servers(settings: Settings, prepare: _Prepare, *, keep: bool) -> AsyncIterator[Settings]:
    """The settings of servers that run and are prepared: those that were given, those of the stack that runs here, or
    new ones.
    """
    home = settings.home

    began = time.monotonic()

    async def upon(component: Component, addresses: StackAddresses) -> None:
        await prepare(Settings(home=home, **addresses.as_settings()), {component})
        note(f"{component} is ready after {time.monotonic() - began:.1f} s")

    if read_state(home) is not None:
        note(f"using the servers that run in {home}")
        await prepare(settings, EVERYTHING)
        yield settings
        return
    given = settings_given()
    if keep:
        if (home / "data").exists():
            raise MisuseError(
                f"{home / 'data'} holds what an earlier stack stored, and a demo would delete it: to forget it, run "
                "`tidegate up --fresh --detach` and then `tidegate demo`; to keep it, set another TIDEGATE_HOME"
            )
        start_detached(home, ["up"], note)
        await prepare(Settings(home=home), EVERYTHING)
        yield Settings(home=home)
        note(f"the servers stay up: `tidegate status` shows them, `tidegate down` ends them ({home})")
        return
    factories = choose_factories() if given.local_docker else process_factories()
    note(f"starting servers for this run in {home}")
    async with running_stack(home, given=addresses_given(given), factories=factories, upon=upon, report=note):
        yield Settings(home=home)
