"""Writes the parts of a new workflow into a source tree: what passes the checks, to be filled with its meaning.

Templates stand in ``tidegate/templates/workflow``. The shared registries get one line each, and the tools of the
tree format what was written.
"""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Final

from infra.errors import InvalidInputError, MisuseError
from workflows.contracts.base import CONTEXT_QUEUES

_TEMPLATES: Final = Path(__file__).parent / "templates" / "workflow"
_NAME: Final = re.compile(r"([A-Z][a-z0-9]+)+")
_SUBJECT: Final = re.compile(r"[a-z]+(_[a-z]+)*")


@dataclass(frozen=True, slots=True)
class NewWorkflow:
    """A workflow that is to be: ``GoodsInspection``, about a ``lot``, with activities of the context ``ims``.

    Raises :class:`InvalidInputError` for names that would not fit.
    """

    name: str
    subject: str
    context: str

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name) or self.name.endswith("Workflow"):
            raise InvalidInputError(
                f"a workflow is named like GoodsInspection, without the word Workflow, and not {self.name!r}"
            )
        if not _SUBJECT.fullmatch(self.subject) or self.subject.endswith("_id"):
            raise InvalidInputError(f"a subject is named like lot, and not {self.subject!r}")
        if self.context not in CONTEXT_QUEUES:
            raise InvalidInputError(f"no context is called {self.context!r}: {', '.join(CONTEXT_QUEUES)}")

    @property
    def module(self) -> str:
        """The name of its modules: ``goods_inspection``."""
        return "_".join(self._words)

    @property
    def constant(self) -> str:
        """The name of its contract: ``GOODS_INSPECTION``."""
        return self.module.upper()

    @property
    def files(self) -> dict[str, Path]:
        """Which template goes where, from the root of the tree."""
        return {
            "contract": Path("workflows/contracts") / f"{self.module}.py",
            "activities": Path("workflows/activities/contracts") / f"{self.module}.py",
            "workflow": Path("workflows") / f"{self.module}.py",
            "scenarios": Path("tests/replay") / f"{self.module}.py",
            "test": Path("tests/integration") / f"test_{self.module}_workflow.py",
        }

    def text(self, template: str) -> str:
        """The filled template."""
        return Template((_TEMPLATES / f"{template}.py.txt").read_text()).substitute(
            Name=self.name,
            NAME=self.constant,
            module=self.module,
            words=" ".join(self._words),
            dashed="-".join(self._words),
            subject=self.subject,
            context=self.context,
        )

    @property
    def _words(self) -> list[str]:
        return [word.lower() for word in re.findall(r"[A-Z][a-z0-9]*", self.name)]


def write(new: NewWorkflow, root: Path) -> list[Path]:
    """Write ``new`` into the source tree at ``root``; the files that were written or changed.

    Raises :class:`MisuseError` where ``root`` is no source tree of tidegate, or holds one of the files already.
    """
    if not (root / "workflows/contracts/__init__.py").exists() or not (root / "tests/replay").exists():
        raise MisuseError(f"{root} is no source tree of tidegate: run this at the root of a checkout")
    there = [path for path in new.files.values() if (root / path).exists()]
    if there:
        raise MisuseError(f"{there[0]} is there already: choose another name, or delete it first")
    texts = {root / path: new.text(template) for template, path in new.files.items()}
    for name, edits in _registrations(new).items():
        texts[root / name] = _registered(root / name, edits)
    for path, text in texts.items():  # only now: what cannot be done is known before anything is written
        path.write_text(text)
    _tidy(list(texts), root)
    return list(texts)


Edit = tuple[str, str]
"""A regular expression, and the text that goes before its first match."""


def _registrations(new: NewWorkflow) -> dict[str, list[Edit]]:
    """What each registry gets."""
    reported = f"{new.constant}_REPORTED"
    return {
        "workflows/contracts/__init__.py": [
            (
                r"\nWORKFLOWS: Final = ",
                f"from workflows.contracts.{new.module} import {new.constant}, {reported}\n",
            ),
            (r"\)\n\"\"\"Every workflow there is", f"    {new.constant},\n"),
            (r"}\n\"\"\"The signals that each", f"    {new.constant}: ({reported},),\n"),
        ],
        "workflows/worker.py": [
            (r"\nWORKFLOWS: Final", f"from workflows.{new.module} import {new.name}Workflow\n"),
            (r"    \),\n    CART_TASK_QUEUE", f"        {new.name}Workflow,\n"),
        ],
        "workflows/policies.py": [
            (
                r"\Z",
                f"\n{new.constant}_CLOCK: Final = timedelta(hours=24)\n"
                f'"""How long a {" ".join(new.module.split("_"))} waits for its report."""\n',
            ),
        ],
        "tests/replay/scenarios.py": [
            (r"from tests\.waiting ", f"from tests.replay import {new.module}\n"),
            (
                r"}\n\"\"\"What is recorded for each workflow",
                f'    "{new.name}Workflow": {new.module}.SCENARIOS,\n',
            ),
        ],
    }


def _registered(path: Path, edits: list[Edit]) -> str:
    """The file's text with each addition before the first place that its pattern finds."""
    text = path.read_text()
    for place, added in edits:
        found = re.search(place, text)
        if found is None:
            raise MisuseError(
                f"{path} has changed its shape, nothing in it looks like {place!r}: mend tidegate/scaffold.py"
            )
        text = text[: found.start()] + added + text[found.start() :]
    return text


def _tidy(paths: list[Path], root: Path) -> None:
    """Sort imports and format, as ``make format`` does, where the tree's tools are installed."""
    ruff = Path(sys.executable).with_name("ruff")
    if not ruff.exists():
        return
    for words in (("check", "--fix", "--quiet", "--select", "I"), ("format", "--quiet")):
        subprocess.run([str(ruff), *words, *map(str, paths)], cwd=root, check=False)


def next_steps(new: NewWorkflow) -> list[str]:
    """What is left for a person, in order."""
    return [
        f"say what starts it and what it waits for, in consumers/bridge/routes.py: "
        f"on(<Event>).start({new.constant}), "
        f'on(<Event>).signal({new.constant}_REPORTED).to("{new.module.replace("_", "-")}-{{{new.subject}_id}}")',
        f"implement Begin{new.name} and Undo{new.name} in workflows/activities/{new.context}.py",
        f"fill in the steps, then record its histories: "
        f"`python -m tests.replay.record --workflow {new.name}Workflow`",
        f'run `make check` and `make test ARGS="tests/integration/test_{new.module}_workflow.py tests/replay"`',
        "give it a row in docs/workflows.md",
    ]
