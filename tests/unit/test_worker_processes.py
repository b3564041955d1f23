"""Which worker processes `tidegate run` starts, and what one worker may do at once."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from temporalio.common import VersioningBehavior

from infra.errors import MisuseError
from infra.settings import Settings, WorkersSettings
from tidegate.processes import DIRECT_QUEUES, loop_processes, member_name
from tidegate.supervisor import ProcessSpec
from tidegate.wiring.workflows import QUEUES
from workflows.queues import queue_named
from workflows.worker import Deployment, limits_of, worker_identity


def workers(**options: object) -> dict[str, ProcessSpec]:
    """The worker processes, by name."""
    specs = loop_processes(Path(), **options)  # type: ignore[arg-type]
    return {spec.name: spec for spec in specs if spec.name.startswith("worker-")}


def test_every_queue_has_one_worker_unless_told() -> None:
    """One process a queue; the direct path needs fewer."""
    assert list(workers()) == [f"worker-{queue}" for queue in QUEUES]
    assert list(workers(queues=DIRECT_QUEUES)) == [f"worker-{queue}" for queue in DIRECT_QUEUES]


def test_replicas_have_numbers_of_their_own() -> None:
    """Three order workers have three identities; the others keep their one. Source: 002, "Scaling Considerations"."""
    found = workers(workers=WorkersSettings(replicas={"order-processing": 3}))
    assert [name for name in found if "order-processing" in name] == [
        "worker-order-processing",
        "worker-order-processing-2",
        "worker-order-processing-3",
    ]
    assert found["worker-order-processing-3"].arguments == (
        *("worker", "--queue", "order-processing", "--number", "3"),
    )
    assert len(found) == len(QUEUES) + 2


def test_each_worker_serves_its_metrics_on_a_port_of_its_own() -> None:
    """One after the other, from the first."""
    found = workers(workers=WorkersSettings(metrics_port=9400, replicas={"order-processing": 2}))
    ports = [spec.arguments[spec.arguments.index("--health-port") + 1] for spec in found.values()]
    assert ports == [str(9400 + number) for number in range(len(found))]


def test_replicas_of_an_unknown_queue_are_refused() -> None:
    """A typing error would otherwise leave a queue with one worker, and nobody would know."""
    with pytest.raises(
        MisuseError, match=r"no worker serves ordr-processing: the queues are order-processing"
    ):
        workers(workers=WorkersSettings(replicas={"ordr-processing": 3}))


def test_replicas_are_a_setting_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """From the environment, as JSON."""
    monkeypatch.setenv("TIDEGATE_WORKERS__REPLICAS", '{"order-processing": 3, "payment-processing": 2}')
    assert Settings().workers.replicas == {"order-processing": 3, "payment-processing": 2}


def test_the_recommended_numbers_and_limits_are_those_of_the_seed() -> None:
    """002: 3 order workers, 2 payment workers, 5 concurrent security activities; one name for each worker."""
    assert queue_named("order-processing").recommended == 3
    assert queue_named("payment-processing").recommended == 2
    assert limits_of("security-scanning", connections=100).activities == 5
    assert limits_of("oms", connections=8).activities == 16
    assert queue_named("ORDER_TASK_QUEUE") == queue_named("order-processing")
    assert worker_identity("order-processing", 1) == "order-processing-worker-1"


@pytest.mark.parametrize(
    ("pinned", "behavior"), [(True, VersioningBehavior.PINNED), (False, VersioningBehavior.AUTO_UPGRADE)]
)
def test_a_deployment_says_how_its_runs_are_versioned(pinned: bool, behavior: VersioningBehavior) -> None:
    """Pinned runs stay; the others move on, guarded by markers."""
    config = Deployment("tidegate", "0.2.0", pinned).config()
    assert config.use_worker_versioning
    assert config.default_versioning_behavior == behavior
    assert (config.version.deployment_name, config.version.build_id) == ("tidegate", "0.2.0")


def test_worker_versioning_is_off_unless_a_build_is_named() -> None:
    """A versioned worker gets no work before an operator has made its version current: never by default."""
    assert WorkersSettings().build_id is None


def test_a_bridge_has_one_name_where_it_runs_and_no_other_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same at every start in a home; another in another home, and on another machine."""
    monkeypatch.chdir(tmp_path)
    name = member_name(Path("home"))
    [bridge] = [spec for spec in loop_processes(tmp_path / "home") if spec.name == "bridge"]
    assert bridge.arguments == ("bridge", "--member", name)
    monkeypatch.setattr(socket, "gethostname", lambda: "müller's machine")
    elsewhere = member_name(Path("home"))
    assert elsewhere.startswith("bridge-m-ller-s-machine-")
    assert len({name, elsewhere, member_name(Path("other"))}) == 3
