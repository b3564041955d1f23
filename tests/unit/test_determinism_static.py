"""The static check finds what would decide differently on replay, and finds nothing in our workflows."""

from __future__ import annotations

from pathlib import Path

import pytest

from workflows.determinism import check_module, check_source, reached_from
from workflows.worker import PASSED_THROUGH, WORKFLOWS

MODULES = sorted({workflow.__module__ for workflows in WORKFLOWS.values() for workflow in workflows})


@pytest.mark.parametrize("module", MODULES)
def test_a_workflow_and_all_it_imports_are_deterministic(module: str) -> None:
    """No clock, chance, environment, file, network, or order of a set, however far from the workflow."""
    assert [str(finding) for finding in check_module(module)] == []


@pytest.mark.parametrize("module", PASSED_THROUGH)
def test_what_the_sandbox_lets_through_is_deterministic(module: str) -> None:
    """The sandbox does not watch these modules, so this check must."""
    assert [str(finding) for finding in check_module(module)] == []


@pytest.mark.parametrize("module", MODULES)
def test_a_workflow_reaches_nothing_that_the_sandbox_was_not_told(module: str) -> None:
    """What a workflow imports of ours is passed through on purpose, or is the workflow's own module."""
    root = Path(__file__).parents[2]
    reached = {
        ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")
        for path in reached_from(module)
    }
    packages = {"workflows", "workflows.activities", "services", "infra"}  # nothing stands in their __init__
    passed = {name for name in reached if any(name == p or name.startswith(f"{p}.") for p in PASSED_THROUGH)}
    assert reached - packages - passed == {module}


@pytest.mark.parametrize(
    "line",
    [
        "import random",
        "from os import environ",
        "import time as clock",
        "import requests",
        "def f():\n    from socket import socket",
        "from datetime import datetime\nnow = datetime.now()",
        "import datetime\nnow = datetime.datetime.utcnow()",
        "from datetime import date\nd = date.today()",
        "import uuid\nx = uuid.uuid4()",
        "from uuid import uuid1\nx = uuid1()",
        "import asyncio\nasync def f(t):\n    await asyncio.wait(t)",
        "x = hash('a')",
        "x = open('file')",
        "def f():\n    global x\n    x = 1",
        "for x in {1, 2}:\n    pass",
        "x = [y for y in {z for z in range(3)}]",
        "known = set()\nx = list(known)",
        "known: set[str] = set()\nfor x in known:\n    pass",
        "class A:\n    def f(self):\n        self.seen = set()\n        return ','.join(self.seen)",
        "def f(names: frozenset[str]):\n    return [*names]",
        "known = {1, 2}\nfirst = known.pop()",
        "for x in {1} | {2}:\n    pass",
        "for x in set([1]).union([2]):\n    pass",
    ],
)
def test_what_does_not_replay_is_found(line: str) -> None:
    """Each of these has broken somebody's replay."""
    assert check_source(line), line


@pytest.mark.parametrize(
    "line",
    [
        "from temporalio import workflow\nnow = workflow.now()",
        "import asyncio\nasync def f(t):\n    await asyncio.gather(*t)",
        "from uuid import UUID, uuid5\nx = uuid5(UUID(int=0), 'a')",
        "x = 1 in {1, 2}",
        "for x in sorted({1, 2}):\n    pass",
        "for x in {'a': 1}:\n    pass",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import random",
        "x = hash('a')  # determinism: only compared within one activation",
    ],
)
def test_what_replays_is_left_alone(line: str) -> None:
    """A check that cries wolf is switched off."""
    assert check_source(line) == []


def test_a_helper_far_from_the_workflow_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The check follows imports: a helper of a helper that reads the clock is named with its line."""
    package = tmp_path / "tests_of_determinism"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "flow.py").write_text("from tests_of_determinism.helper import f\n")
    (package / "helper.py").write_text("from tests_of_determinism import deep\nf = deep.f\n")
    (package / "deep.py").write_text("import time\n\ndef f():\n    return time.time()\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr("workflows.determinism.OURS", ("tests_of_determinism",))
    findings = check_module("tests_of_determinism.flow")
    assert [(Path(finding.path).name, finding.line) for finding in findings] == [("deep.py", 1)]
