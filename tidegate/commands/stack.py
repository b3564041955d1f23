"""``tidegate up``, ``down``, ``status``, ``doctor``: the local servers, from the command line."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from infra.errors import StackError
from infra.local import Component, StackOptions
from infra.local.choice import addresses_given, settings_given
from infra.local.detached import start_detached
from infra.local.state import end_stack
from infra.running import StackState, read_state
from tidegate.console import JsonOption, emit_json, emit_table, note, run, say, serve

if TYPE_CHECKING:
    from infra.local.doctor import Finding

_LOOK_EVERY = 0.5  # seconds, for a server that ended by itself


def register(app: typer.Typer) -> None:
    """Add the commands."""

    @app.command()
    def up(
        component: Annotated[
            list[Component] | None, typer.Option(help="Start only this one; may be repeated. Default: all.")
        ] = None,
        detach: bool = typer.Option(
            False, "--detach", help="Return when all run; `tidegate down` ends them."
        ),
        fresh: bool = typer.Option(False, "--fresh", help="Forget what the last stack here stored."),
        dynamic_config_value: Annotated[
            list[str] | None, typer.Option(help="KEY=VALUE for Temporal; may be repeated.")
        ] = None,
        json: JsonOption = False,
    ) -> None:
        """Start PostgreSQL, Kafka, the schema registry and Temporal on this machine.

        A server whose address is given (`TIDEGATE_KAFKA__BOOTSTRAP_SERVERS=…`) is used as it is. The others
        run in Docker where an engine answers, and as local processes otherwise (with
        `TIDEGATE_LOCAL_DOCKER=false` always so). They listen on free ports of 127.0.0.1; state, logs and data
        are in `.tidegate` (`TIDEGATE_HOME`). Ctrl-C ends them all.

        Example: `tidegate up --detach && tidegate status`
        """
        wanted = frozenset(component or Component)
        home = settings_given().home
        if detach:
            arguments = [f"--component={name}" for name in sorted(wanted)]
            arguments += [f"--dynamic-config-value={value}" for value in dynamic_config_value or ()]
            start_detached(home, ["up", *arguments, *(["--fresh"] if fresh else [])], note)
            _show(_required_state(home), json=json)
            return
        options = StackOptions(keep_data=True, temporal_dynamic_config=tuple(dynamic_config_value or ()))
        serve(lambda stop: _run_stack(home, wanted, options, stop, fresh=fresh, json=json))

    @app.command()
    def down(json: JsonOption = False) -> None:
        """End the stack that runs here. What it stored stays for the next `tidegate up`.

        Example: `tidegate down`
        """
        home = settings_given().home
        ended = end_stack(home)
        if json:
            emit_json({"ended": ended, "home": str(home)})
        else:
            say(f"the stack in {home} has ended" if ended else f"no stack runs in {home}")

    @app.command()
    def status(json: JsonOption = False) -> None:
        """Say what runs where: versions, addresses, logs, and the link to Temporal's web UI.

        Exit status 1 when no stack runs here, or one of its servers has ended.

        Example: `tidegate status --json`
        """
        home = settings_given().home
        state = read_state(home)
        if state is None:
            if json:
                emit_json({"running": False, "home": str(home)})
            else:
                say(f"no stack runs in {home}; start one with `tidegate up`")
            raise typer.Exit(1)
        _show(state, json=json)
        if not all(server.running for server in state.servers.values()):
            raise typer.Exit(1)

    @app.command()
    def fetch(
        tests: bool = typer.Option(False, "--tests", help="Fetch what only the tests need, too."),
        json: JsonOption = False,
    ) -> None:
        """Fetch and build what the local servers need, without starting any; the first time takes minutes.

        `tidegate up` and `tidegate demo` do the same when something is missing. What is there is left as it is.

        Example: `tidegate fetch --tests`
        """
        from infra.local.fetch import fetch_everything
        from infra.local.stack import choose_factories, process_factories

        settings = settings_given()
        factories = choose_factories() if settings.local_docker else process_factories()
        given = addresses_given(settings)
        fetched = run(fetch_everything(factories, given=given, tests=tests, report=note))
        if json:
            emit_json({"ready": sorted(fetched)})
        else:
            say(f"ready to be started: {', '.join(sorted(fetched)) or 'nothing, all servers are given'}")

    @app.command()
    def doctor(json: JsonOption = False) -> None:
        """Say what the local stack needs, what of it is here, and how to get the rest.

        Fetches and starts nothing. Exit status 1 when something is missing that tidegate cannot get itself.

        Example: `tidegate doctor`
        """
        from infra.local.doctor import (
            examine,  # here, because `status` and `down` do without the servers' clients
        )

        findings = examine(settings_given())
        if json:
            emit_json({"ok": not _hopeless(findings), "findings": [asdict(finding) for finding in findings]})
        else:
            emit_table(
                "tidegate doctor",
                [asdict(finding) for finding in findings],
                ["what", "state", "detail", "cure"],
            )
        if _hopeless(findings):
            raise typer.Exit(1)


async def _run_stack(
    home: Path,
    wanted: frozenset[Component],
    options: StackOptions,
    stop: asyncio.Event,
    *,
    fresh: bool,
    json: bool,
) -> None:
    from infra.local.stack import choose_factories, process_factories, running_stack

    settings = settings_given()
    starting = asyncio.current_task()
    loop = asyncio.get_running_loop()
    watching = loop.create_task(_cancel_when_asked(stop, starting))
    factories = choose_factories() if settings.local_docker else process_factories()
    try:
        async with running_stack(
            home,
            wanted,
            options,
            given=addresses_given(settings),
            factories=factories,
            fresh=fresh,
            report=note,
        ):
            watching.cancel()
            _show(_required_state(home), json=json)
            await _watch(home, stop)
    except asyncio.CancelledError:
        if not stop.is_set():
            raise
    finally:
        watching.cancel()


async def _cancel_when_asked(stop: asyncio.Event, task: asyncio.Task[Any] | None) -> None:
    """A signal while the servers start ends that at once."""
    await stop.wait()
    if task is not None:
        task.cancel()


async def _watch(home: Path, stop: asyncio.Event) -> None:
    """Wait for ``stop``; say once when a server has ended by itself."""
    told: set[str] = set()
    while not stop.is_set():
        state = _required_state(home)
        for name, server in state.servers.items():
            if not server.running and name not in told:
                told.add(name)
                note(f"{name} has ended by itself: see {server.log}")
        try:
            await asyncio.wait_for(stop.wait(), _LOOK_EVERY)
        except TimeoutError:
            continue


def _required_state(home: Path) -> StackState:
    state = read_state(home)
    if state is None:
        raise StackError(f"the stack in {home} has ended; its logs are in {home / 'logs'}")
    return state


def _show(state: StackState, *, json: bool) -> None:
    addresses = _addresses(state)
    if json:
        emit_json(
            {
                "running": True,
                **state.settings,
                "servers": {
                    name: {
                        "state": "running" if server.running else "ended",
                        "origin": server.origin,
                        "version": server.version,
                        "addresses": addresses.get(name, {}),
                        "pid": server.process.pid if server.process else None,
                        "log": server.log,
                    }
                    for name, server in state.servers.items()
                },
                "owner": state.owner.pid,
            }
        )
        return
    for name, server in state.servers.items():
        shown = "running" if server.running else "ended"
        first, *others = [*addresses.get(name, {}).values(), "", ""][:2]
        say(f"{name:9} {shown:8} {server.origin:8} {server.version:15} {first}")
        for other in filter(None, others):
            say(f"{'':43} {other}")
    ui = state.settings.get("temporal", {}).get("ui_url")
    if ui:
        say(f"\nTemporal's web UI: {ui}")


def _addresses(state: StackState) -> dict[str, dict[str, str]]:
    """The addresses of each server, without what is no address."""
    return {
        group: {name: value for name, value in values.items() if name != "namespace"}
        for group, values in state.settings.items()
    }


def _hopeless(findings: list[Finding]) -> bool:
    return any(finding.state == "missing" for finding in findings)
