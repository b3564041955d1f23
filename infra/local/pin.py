"""``python -m infra.local.pin``: resolve the servers' dependencies anew and write their pins.

For whoever raises a version: change it in ``SETS`` (Temporal's is ``temporal_binary.CLI_VERSION``), run this, read the
difference, commit.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Final

from jgo.maven import Artifact

from infra.local.cache import report_to_stderr
from infra.local.maven import maven
from infra.local.pinned import PINS, Pin
from infra.local.temporal_binary import CLI_PACKAGE, CLI_PINS, CLI_VERSION, find_go, go_environment

SETS: Final[dict[str, tuple[str, ...]]] = {
    # slf4j-simple: Kafka's own logging backend comes with its distribution only
    "kafka": ("org.apache.kafka:kafka_2.13:4.1.2", "org.slf4j:slf4j-simple:1.7.36"),
    # the peer of tests/benchmarks/bench_relay.py; no part of any stack
    "debezium": (
        "io.debezium:debezium-connector-postgres:3.7.0.Final",
        "org.apache.kafka:connect-runtime:4.3.1",
        # the version that connect-runtime asks for, which jgo takes for the newest in the depth of the tree
        *(f"org.eclipse.jetty:jetty-{part}:12.0.34" for part in ("security", "server", "session")),
        "org.eclipse.jetty.ee10:jetty-ee10-servlet:12.0.34",
        "org.slf4j:slf4j-simple:1.7.36",
    ),
    "temporal-test-server": ("io.temporal:temporal-test-server:1.38.0", "org.slf4j:slf4j-simple:1.7.36"),
}
SQLITE_VERSION: Final = "1.51.0"
"""What Temporal's development server keeps its data in. Before 1.44.3, as in CLI 1.5.1, it can answer `interrupted (9)`
to every statement (temporalio/temporal#9198). This is the one of CLI 1.9.1 (docs/decisions/0001)."""
ARCHIVES: Final[dict[str, str]] = {
    "registry": "io.apicurio:apicurio-registry-app:3.3.3:tar.gz:all",
}


def main() -> None:
    """Write every file in ``pins/``."""
    with tempfile.TemporaryDirectory() as scratch:
        context = maven(Path(scratch))
        for name, coordinates in SETS.items():
            report_to_stderr(f"{name}: resolving {', '.join(coordinates)}")
            dependencies = [context.create_dependency(coordinate) for coordinate in coordinates]
            _, nodes = context.resolver.get_dependency_list(dependencies)
            artifacts = [dependency.artifact for dependency in dependencies] + [
                node.dep.artifact for node in nodes
            ]
            _write(name, artifacts)
        for name, coordinate in ARCHIVES.items():
            group, artifact, version, packaging, classifier = coordinate.split(":")
            component = context.project(group, artifact).at_version(version)
            _write(name, [component.artifact(classifier, packaging)])
    _pin_temporal()


def _pin_temporal() -> None:
    report_to_stderr(f"temporal: resolving {CLI_PACKAGE} {CLI_VERSION}")
    module = f"""module tidegate/temporal

go 1.25.0

require (
	github.com/temporalio/cli v{CLI_VERSION}
	modernc.org/sqlite v{SQLITE_VERSION}
)
"""
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        (scratch / "go.mod").write_text(module)
        (scratch / "temporal.go").write_text(f'package temporal\n\nimport _ "{CLI_PACKAGE}"\n')
        subprocess.run(
            [find_go(report_to_stderr), "mod", "tidy"], cwd=scratch, env=go_environment(), check=True
        )
        CLI_PINS.mkdir(parents=True, exist_ok=True)
        for name in ("go.mod", "go.sum"):
            shutil.copy(scratch / name, CLI_PINS)


def _write(name: str, artifacts: list[Artifact]) -> None:
    lines = {
        Pin(
            artifact.groupId,
            artifact.artifactId,
            artifact.version,
            artifact.packaging,
            artifact.classifier,
            hashlib.sha256(Path(artifact.resolve()).read_bytes()).hexdigest(),
        )
        for artifact in artifacts
    }
    PINS.mkdir(exist_ok=True)
    text = "\n".join(sorted(f"{pin.coordinate} {pin.sha256}" for pin in lines))
    (PINS / f"{name}.txt").write_text(f"# written by `python -m infra.local.pin`\n{text}\n")
    report_to_stderr(f"{name}: {len(lines)} file(s) pinned")


if __name__ == "__main__":
    main()
