"""How servers are run as containers. The engine is a stand-in that notes what it was asked to do."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from infra.local import EVERYTHING, Component, StackOptions
from infra.local.docker import ComposeServer, ContainerFacts, docker_answers
from tests.containers import ContainerServer

_ENGINE = """#!/bin/sh
rm -f "{up}"
echo "$@" >> "{calls}"
case "$*" in
  "version --format {{{{.Server.Version}}}}") {version} ;;
  "compose version") {compose} ;;
  *" up "*) trap 'exit 0' INT; touch "{up}"; while :; do sleep 0.05; done ;;
esac
"""


class Engine:
    """A stand-in for the ``docker`` client."""

    def __init__(self, folder: Path) -> None:
        self._calls = folder / "calls"
        self._client = folder / "docker"
        self.up = folder / "up"

    def install(self, *, version: str = "exit 0", compose: str = "exit 0") -> None:
        """Make the client; ``version`` and ``compose`` are what it does when asked for those."""
        self._client.write_text(
            _ENGINE.format(calls=self._calls, up=self.up, version=version, compose=compose)
        )
        self._client.chmod(0o755)

    def calls(self) -> list[str]:
        """What it was asked, without the part that names project and files."""
        asked = self._calls.read_text().splitlines() if self._calls.exists() else []
        return [call.rsplit(".yaml ")[-1].rsplit(".json ")[-1] for call in asked]


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Engine:
    """A ``docker`` that goes before a real one."""
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    return Engine(tmp_path)


@pytest.mark.parametrize(
    ("version", "compose", "answers"),
    [("exit 0", "exit 0", True), ("exit 1", "exit 0", False), ("exit 0", "exit 1", False)],
)
def test_docker_counts_when_the_engine_answers_and_compose_is_there(
    engine: Engine, version: str, compose: str, answers: bool
) -> None:
    """A client without an engine, or without compose, is no Docker."""
    engine.install(version=version, compose=compose)
    assert docker_answers() is answers


def test_no_client_is_no_docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without the client runs processes."""
    monkeypatch.setenv("PATH", str(tmp_path))
    assert docker_answers() is False


@pytest.fixture
def ready(monkeypatch: pytest.MonkeyPatch, engine: Engine) -> None:
    """The stand-in's containers answer as soon as it runs them."""

    async def is_up(self: ContainerFacts) -> bool:
        return engine.up.exists()

    monkeypatch.setattr(ContainerFacts, "ready", is_up)


async def test_a_container_lives_as_long_as_its_compose_command(
    engine: Engine, ready: None, tmp_path: Path
) -> None:
    """Start, kill, start, stop and dispose ask the engine for just that, and forget the data at the end."""
    engine.install()
    server = ComposeServer(Component.KAFKA, tmp_path, StackOptions())
    await server.prepare(lambda _: None)
    await server.start()
    assert server.pids
    await server.kill()
    assert not server.pids
    await server.start()
    await server.stop()
    await server.dispose()
    assert engine.calls() == [
        "pull --quiet kafka",
        "down --volumes",
        "up --no-color --no-log-prefix kafka",
        "kill --signal SIGKILL kafka",
        "up --no-color --no-log-prefix kafka",
        "down --volumes",
    ]


async def test_data_that_is_kept_is_never_removed(engine: Engine, ready: None, tmp_path: Path) -> None:
    """With ``keep_data`` no volume is removed, unless the home's own data was."""
    engine.install()
    server = ComposeServer(Component.POSTGRES, tmp_path, StackOptions(keep_data=True))
    await server.prepare(lambda _: None)
    before = len(engine.calls())
    await server.prepare(lambda _: None)
    await server.dispose()
    assert engine.calls()[before:] == ["pull --quiet postgres", "down"]
    shutil.rmtree(StackOptions(keep_data=True).store(tmp_path))
    await server.prepare(lambda _: None)
    assert engine.calls()[-1] == "down --volumes"


def test_two_homes_are_two_projects(tmp_path: Path) -> None:
    """Containers of different stacks, and of different servers of one stack, have nothing in common."""
    commands = {
        tuple(ComposeServer(component, tmp_path / home, StackOptions()).project_name)
        for home in "ab"
        for component in EVERYTHING
    }
    assert len(commands) == 2 * len(EVERYTHING)


def test_temporals_options_reach_the_container(tmp_path: Path) -> None:
    """Dynamic configuration and the file for its history are arguments of the server in the container."""
    options = StackOptions(temporal_on_file=True, temporal_dynamic_config=("frontend.namespaceRPS=20",))
    command = ContainerFacts(Component.TEMPORAL, tmp_path, options).command()
    assert command is not None
    assert command[-4:] == [
        "--db-filename", "/var/temporal/temporal.db", "--dynamic-config-value", "frontend.namespaceRPS=20",
    ]  # fmt: skip


@pytest.mark.parametrize("component", sorted(EVERYTHING))
def test_compose_and_testcontainers_run_the_same(component: Component, tmp_path: Path) -> None:
    """Both name the same image, and their addresses have the same fields."""
    compose = ComposeServer(component, tmp_path, StackOptions())
    container = ContainerServer(component, tmp_path, StackOptions())
    assert compose.version == container.version
    assert compose.addresses().keys() == container.addresses().keys()
