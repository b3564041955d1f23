"""Modules are loaded by one thread, and what runs beside it asks for them the same way."""

from __future__ import annotations

import ast
import asyncio
import importlib
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import infra.local
from infra.loading import load

ENDS = ("one_end", "other_end")
MODULE = """
import threading
began = threading.get_ident()
import together
together.meet()
import {other}
whole = True
seen_whole = hasattr({other}, "whole")
"""


@pytest.fixture
def circle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """Two modules that import each other. In two threads at once, each is begun before the other imports it."""
    together = ModuleType("together")
    barrier = threading.Barrier(2)
    together.meet = barrier.wait  # type: ignore[attr-defined]
    for name, other in zip(ENDS, reversed(ENDS), strict=True):
        (tmp_path / f"{name}.py").write_text(MODULE.format(other=other))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(sys.modules, "together", together)
    yield together
    for name in ENDS:
        sys.modules.pop(name, None)


def test_two_threads_that_import_a_circle_see_half_of_it(circle: ModuleType) -> None:
    """What :func:`load` is for: this is Python's answer to the deadlock, and not ours."""
    threads = [threading.Thread(target=importlib.import_module, args=(name,)) for name in ENDS]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {sys.modules[name].seen_whole for name in ENDS} == {True, False}
    assert sys.modules[ENDS[0]].began != sys.modules[ENDS[1]].began


async def test_what_is_loaded_at_once_is_imported_by_one_thread(circle: ModuleType) -> None:
    """From two event loops in two threads, as servers are trained; neither is the thread that imports."""
    circle.meet = lambda: None  # type: ignore[attr-defined]
    others = asyncio.to_thread(lambda: asyncio.run(load(ENDS[1])))
    await asyncio.gather(load(ENDS[0]), others)
    [importer] = {sys.modules[name].began for name in ENDS}
    assert importer != threading.get_ident()


async def test_what_importing_raises_comes_out() -> None:
    """And the next one is loaded all the same."""
    with pytest.raises(ModuleNotFoundError, match="nobody_wrote_this"):
        await load("nobody_wrote_this")
    await load("json")


FORK = """
import asyncio, os, sys
from infra.loading import load
asyncio.run(load("json"))
child = os.fork()
asyncio.run(load("json"))
if not child:
    os._exit(7)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_a_forked_child_loads_by_a_thread_of_its_own() -> None:
    """Of its parent's it has only the memory, and would wait for it for ever."""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", FORK], timeout=60, check=False)
    assert done.returncode == 7


def _unguarded(source: str) -> list[str]:
    """What functions of ``source`` import from elsewhere without having it loaded before."""
    found = []
    for function in ast.walk(ast.parse(source)):
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        loaded = {
            word.value
            for call in ast.walk(function)
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "load"
            for word in call.args
            if isinstance(word, ast.Constant)
        }
        for statement in ast.walk(function):
            if isinstance(statement, ast.ImportFrom):
                names = {str(statement.module)}
            elif isinstance(statement, ast.Import):
                names = {alias.name for alias in statement.names}
            else:
                continue
            ours = {
                name
                for name in names
                if name.split(".")[0] in {"infra", "tidegate", *sys.stdlib_module_names}
            }
            found += sorted(f"{function.name}: {name}" for name in names - ours - loaded)
    return found


@pytest.mark.parametrize(
    "path", sorted(Path(infra.local.__file__).parent.glob("*.py")), ids=lambda path: path.stem
)
def test_nothing_that_starts_servers_imports_a_client_by_itself(path: Path) -> None:
    """Servers are started while their user loads what it needs."""
    assert _unguarded(path.read_text()) == []


def test_an_import_by_itself_is_found() -> None:
    """The rule can be broken."""
    source = "async def f():\n    await load('httpx')\n    import httpx\n    from temporalio.client import Client\n"
    assert _unguarded(source) == ["f: temporalio.client"]
