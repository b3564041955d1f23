"""``python -m schemas.generate``: write the typed events and docs/events.md from ``schemas/avro``.

``--check`` writes nothing and fails when a file is not what would be written. ``--keep`` first adds each
schema that is new or changed to its ``versions/`` folder, after the compatibility check has passed.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from infra.errors import TidegateError
from infra.topics import load
from schemas.catalog import FOLDER, Catalog, EventSchema
from schemas.compatibility import full_transitive
from schemas.errors import IncompatibleSchemaError, SchemaError
from schemas.event_page import events_page
from schemas.python_source import module_name, module_source, nested_names, package_source
from schemas.rules import broken_rules, unkept

_ROOT = Path(__file__).parent.parent


def generated_files(catalog: Catalog) -> dict[Path, str]:
    """Every generated file and the text that it must hold, formatted."""
    topics: dict[str, list[EventSchema]] = {}
    for event in catalog.events:
        topics.setdefault(event.topic, []).append(event)
    package = _ROOT / "schemas" / "events"
    files = {
        package / f"{module_name(name)}.py": module_source(name, events) for name, events in topics.items()
    }
    names = {
        topic: [event.name for event in events]
        + sorted({name.rpartition(".")[2] for event in events for name in nested_names(event)})
        for topic, events in topics.items()
    }
    files[package / "__init__.py"] = package_source(names, [event.name for event in catalog.events])
    files[_ROOT / "docs" / "events.md"] = events_page(load(), catalog)
    return {path: _formatted(path, text) for path, text in files.items()}


def stale_files(catalog: Catalog) -> dict[Path, str | None]:
    """Generated files that do not hold what they must, with the text; None for one that nothing generates."""
    files = generated_files(catalog)
    stale: dict[Path, str | None] = {
        path: text for path, text in files.items() if not path.exists() or path.read_text("utf-8") != text
    }
    stale.update(dict.fromkeys(set((_ROOT / "schemas" / "events").glob("*.py")) - set(files)))
    return stale


def keep(catalog: Catalog, folder: Path = FOLDER) -> list[Path]:
    """Keep the current schema of each event whose newest kept version is another one; the files written.

    Raises SchemaError for a schema that breaks a rule, IncompatibleSchemaError for one that would break a
    reader; then nothing is written.
    """
    changed = [event for event in catalog.events if unkept(event)]
    for event in changed:
        for line in broken_rules(event):
            raise SchemaError(line)
        for problem in full_transitive(event):
            raise IncompatibleSchemaError(str(problem))
    written = []
    for event in changed:
        source = folder / event.topic / f"{event.name}.avsc"
        target = source.parent / "versions" / f"{event.name}.{event.version + 1}.avsc"
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(source.read_bytes())
        written.append(target)
    return written


def main(arguments: list[str] | None = None) -> int:
    """Run the command; the result is its exit status."""
    parser = argparse.ArgumentParser(prog="python -m schemas.generate", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, fail when a file is stale")
    parser.add_argument("--keep", action="store_true", help="first keep new and changed schemas as versions")
    options = parser.parse_args(arguments)
    try:
        return _check() if options.check else _write(keeping=options.keep)
    except TidegateError as error:
        sys.stderr.write(f"schemas.generate: {error}\n")
        return error.exit_status


def _check() -> int:
    stale = ", ".join(_shown(path) for path in sorted(stale_files(Catalog.load())))
    if stale:
        raise SchemaError(f"not what the schemas say: {stale}; run `python -m schemas.generate`")
    return 0


def _write(*, keeping: bool) -> int:
    for path in keep(Catalog.load()) if keeping else []:
        sys.stdout.write(f"kept {_shown(path)}\n")
    for path, text in sorted(stale_files(Catalog.load()).items()):
        if text is None:
            path.unlink()
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")
        sys.stdout.write(f"{'removed' if text is None else 'wrote'} {_shown(path)}\n")
    return 0


def _shown(path: Path) -> str:
    return str(path.relative_to(_ROOT))


def _formatted(path: Path, text: str) -> str:
    if path.suffix != ".py":
        return text
    command = [sys.executable, "-m", "ruff", "format", "--stdin-filename", str(path), "-"]
    fix = [sys.executable, "-m", "ruff", "check", "--select", "I,RUF022", "--fix", "--quiet"]
    for step in ([*fix, *command[4:]], command):
        done = subprocess.run(step, input=text, capture_output=True, text=True, check=False, cwd=_ROOT)
        if done.returncode:
            raise SchemaError(f"ruff cannot format {path.name}: {done.stderr.strip() or done.stdout.strip()}")
        text = done.stdout
    return text


if __name__ == "__main__":
    raise SystemExit(main())
