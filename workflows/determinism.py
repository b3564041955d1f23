"""A static check: nothing that a workflow reaches decides by clock, chance, environment or hash.

It starts at the modules of the workflows and follows their imports through our own packages, since a helper
breaks replay as well as the workflow that calls it. Three nets hold together, each for what the others let
through: this one, the sandbox, and the replay of stored histories under several hash seeds (facts, "Temporal").

A line that is known to be harmless says so: ``# determinism: <reason>``. Run it with
``python -m workflows.determinism``.
"""

from __future__ import annotations

import ast
import importlib.util
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

OURS: Final = ("tidegate", "consumers", "workflows", "services", "outbox", "schemas", "infra", "tests")
"""Packages whose modules are followed."""

ALLOWED_ELSEWHERE: Final = ("temporalio",)
"""Packages of others that a workflow may import."""

FORBIDDEN_MODULES: Final = {
    "random": "use workflow.random()",
    "secrets": "use workflow.random()",
    "time": "use workflow.now() and workflow.sleep()",
    "os": "pass what is needed as an argument",
    "pathlib": "read files in an activity",
    "io": "read files in an activity",
    "tempfile": "use files in an activity",
    "shutil": "use files in an activity",
    "socket": "speak to others in an activity",
    "ssl": "speak to others in an activity",
    "urllib": "speak to others in an activity",
    "http": "speak to others in an activity",
    "subprocess": "start processes in an activity",
    "multiprocessing": "start processes in an activity",
    "threading": "use asyncio",
    "concurrent": "use asyncio",
    "queue": "use asyncio.Queue",
    "signal": "workers handle signals of the system",
    "locale": "pass what is needed as an argument",
    "platform": "pass what is needed as an argument",
    "getpass": "pass what is needed as an argument",
}
"""Modules of the standard library that a workflow must not import, and what to do instead."""

FORBIDDEN_CALLS: Final = {
    "datetime.now": "use workflow.now()",
    "datetime.utcnow": "use workflow.now()",
    "datetime.today": "use workflow.now()",
    "date.today": "use workflow.now()",
    "uuid1": "use workflow.uuid4() or derived_id()",
    "uuid4": "use workflow.uuid4() or derived_id()",
    "uuid.uuid1": "use workflow.uuid4() or derived_id()",
    "uuid.uuid4": "use workflow.uuid4() or derived_id()",
    "asyncio.wait": "use workflow.wait(): asyncio's is built on sets",
    "asyncio.as_completed": "use workflow.as_completed(): asyncio's is built on sets",
    "asyncio.to_thread": "use an activity",
    "asyncio.run": "await it",
    "hash": "it differs from process to process: use derived_id() or hashlib",
    "id": "it differs from process to process",
    "open": "read files in an activity",
    "input": "wait for a signal",
    "print": "use workflow.logger",
    "globals": "keep state in the workflow",
    "eval": "say what is meant",
    "exec": "say what is meant",
}
"""What a workflow must not call, as it is written, and what to do instead."""

_ORDERING: Final = frozenset({"list", "tuple", "iter", "next", "enumerate", "zip", "map", "filter"})
_SET_METHODS: Final = frozenset({"union", "intersection", "difference", "symmetric_difference", "copy"})


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """One line that may decide differently on replay."""

    path: str
    line: int
    what: str
    instead: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.what}: {self.instead}"


def check_module(name: str) -> list[Finding]:
    """What is wrong in the module ``name`` and in everything of ours that it imports, in order of place."""
    return sorted(
        finding for path in reached_from(name) for finding in check_source(path.read_text(), str(path))
    )


def reached_from(name: str) -> list[Path]:
    """The files of the module ``name`` and of every module of ours that it imports, directly or not."""
    paths: dict[str, Path] = {}
    waiting = [name]
    while waiting:
        module = waiting.pop()
        if module in paths or module.partition(".")[0] not in OURS:
            continue
        try:
            spec = importlib.util.find_spec(module)
        except ModuleNotFoundError:
            continue  # `from package import name`, where the name is no module
        if spec is None or spec.origin is None:
            continue
        paths[module] = Path(spec.origin)
        waiting.extend(parent for parent in _parents(module))
        waiting.extend(imported for _, imported in _imports(ast.parse(paths[module].read_text())))
    return list(paths.values())


def check_source(source: str, path: str = "<source>") -> list[Finding]:
    """What is wrong in one module's text."""
    tree = ast.parse(source)
    excused = {number for number, line in enumerate(source.splitlines(), 1) if "# determinism: " in line}
    found = [*_forbidden_imports(tree), *_forbidden_calls(tree), *_set_orders(tree)]
    return [
        Finding(path, line, what, instead) for line, what, instead in sorted(found) if line not in excused
    ]


Found = tuple[int, str, str]


def _forbidden_imports(tree: ast.AST) -> Iterator[Found]:
    for line, module in _imports(tree):
        top = module.partition(".")[0]
        if top in FORBIDDEN_MODULES:
            yield line, f"imports {top}", FORBIDDEN_MODULES[top]
        elif top not in (*OURS, *ALLOWED_ELSEWHERE) and top not in sys.stdlib_module_names:
            yield line, f"imports {top}", "use it in an activity"
    for node in ast.walk(tree):
        if isinstance(node, ast.Global):
            yield node.lineno, f"global {', '.join(node.names)}", "keep state in the workflow"


def _forbidden_calls(tree: ast.AST) -> Iterator[Found]:
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        for name, instead in FORBIDDEN_CALLS.items():
            if called == name or ("." in name and called.endswith(f".{name}")):
                yield node.lineno, f"calls {called}()", instead


def _set_orders(tree: ast.AST) -> Iterator[Found]:
    """Places where the order of a set's members matters: it differs with the hash seed."""
    sets = _names_of_sets(tree)
    instead = "use a dict, or sorted()"
    for node in ast.walk(tree):
        if isinstance(node, ast.For | ast.AsyncFor | ast.comprehension) and _is_set(node.iter, sets):
            line = node.iter.lineno
            yield line, f"iterates over the set {ast.unparse(node.iter)}", instead
        elif isinstance(node, ast.Starred) and _is_set(node.value, sets):
            yield node.lineno, f"unpacks the set {ast.unparse(node.value)}", instead
        elif isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            orders = called in _ORDERING or called.endswith((".join", ".fromkeys"))
            if orders and any(_is_set(argument, sets) for argument in node.args):
                yield node.lineno, f"{called}() takes the order of a set", instead
            elif (
                not node.args
                and isinstance(node.func, ast.Attribute)
                and node.func.attr == "pop"
                and _is_set(node.func.value, sets)
            ):
                yield node.lineno, f"{called}() takes any member of a set", instead


def _names_of_sets(tree: ast.AST) -> frozenset[str]:
    """Names and attributes that are somewhere assigned or annotated as a set."""
    names: dict[str, None] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and _is_set(node.value, frozenset(names)):
            names.update(dict.fromkeys(ast.unparse(target) for target in node.targets))
        elif isinstance(node, ast.AnnAssign) and _is_set_type(node.annotation):
            names[ast.unparse(node.target)] = None
        elif isinstance(node, ast.arg) and node.annotation is not None and _is_set_type(node.annotation):
            names[node.arg] = None
    return frozenset(names)


def _is_set_type(annotation: ast.expr) -> bool:
    text = ast.unparse(annotation).strip("'\"").rpartition(".")[2]
    return text.partition("[")[0] in {"set", "frozenset", "Set", "FrozenSet", "AbstractSet", "MutableSet"}


def _is_set(node: ast.expr, known: frozenset[str]) -> bool:
    match node:
        case ast.Set() | ast.SetComp():
            return True
        case ast.Name() | ast.Attribute():
            return ast.unparse(node) in known
        case ast.Call(func=ast.Name(id="set" | "frozenset")):
            return True
        case ast.Call(func=ast.Attribute(value=value, attr=method)) if method in _SET_METHODS:
            return _is_set(value, known)
        case ast.BinOp(left=left, op=ast.BitOr() | ast.BitAnd() | ast.Sub() | ast.BitXor(), right=right):
            return _is_set(left, known) or _is_set(right, known)
    return False


def _imports(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and module of each import that happens at run time; ``from a import b`` is both ``a`` and ``a.b``."""
    for node in _at_run_time(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None and node.level == 0:
            yield node.lineno, node.module
            if node.module.partition(".")[0] in OURS:
                yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def _at_run_time(tree: ast.AST) -> Iterator[ast.AST]:
    """Every node but those under ``if TYPE_CHECKING``."""
    for child in ast.iter_child_nodes(tree):
        if isinstance(child, ast.If) and ast.unparse(child.test).endswith("TYPE_CHECKING"):
            continue
        yield child
        yield from _at_run_time(child)


def _parents(module: str) -> Iterable[str]:
    parts = module.split(".")
    return (".".join(parts[:count]) for count in range(1, len(parts)))


def main() -> int:
    """Check the module of every workflow of every queue; print what is found; the exit status."""
    from workflows.worker import WORKFLOWS

    modules = dict.fromkeys(workflow.__module__ for workflows in WORKFLOWS.values() for workflow in workflows)
    findings = sorted(dict.fromkeys(finding for module in modules for finding in check_module(module)))
    for finding in findings:
        sys.stderr.write(f"{finding}\n")
    return 1 if findings else 0


if __name__ == "__main__":
    raise SystemExit(main())
