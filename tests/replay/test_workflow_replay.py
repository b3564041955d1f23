"""Every stored history of every workflow replays on today's code: a workflow that runs survives a deployment."""

from __future__ import annotations

from pathlib import Path

import pytest
import pytest_asyncio

from tests.replay.replaying import replay, todays_replayer
from workflows.worker import WORKFLOWS

HISTORIES = Path(__file__).parent / "histories"
STORED = sorted(HISTORIES.glob("*/*/*.json"))


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def failures(request: pytest.FixtureRequest) -> dict[str, str]:
    """What does not replay, by path, of the histories that this run has tests of."""
    here = [
        item
        for item in request.session.items
        if isinstance(item, pytest.Function) and hasattr(item, "callspec")
    ]
    asked = {item.callspec.params["path"] for item in here if item.function is test_a_stored_history_replays}
    return await replay(todays_replayer(), [path for path in STORED if path in asked])


def name_of(path: Path) -> str:
    """How a history is called in the test's output."""
    return str(path.relative_to(HISTORIES).with_suffix(""))


@pytest.mark.parametrize("path", STORED, ids=name_of)
def test_a_stored_history_replays(failures: dict[str, str], path: Path) -> None:
    """Today's code makes the same decisions as the code that wrote the history."""
    assert failures.get(str(path)) is None


@pytest.mark.parametrize(
    "workflow",
    [workflow for workflows in WORKFLOWS.values() for workflow in workflows],
    ids=lambda w: w.__name__,
)
def test_every_workflow_has_stored_histories(workflow: type) -> None:
    """A workflow without a stored history could be changed without anybody noticing."""
    assert [path for path in STORED if path.parts[-3] == workflow.__name__], (
        f"no history of {workflow.__name__}: add scenarios to tests/replay/scenarios.py and run "
        "`python -m tests.replay.record`"
    )


def test_stored_histories_say_nothing_of_the_machine() -> None:
    """No path, host or user of the machine that recorded them is kept."""
    for path in STORED:
        text = path.read_text()
        for trace in ("/home/", "/root/", "/work/", "site-packages", '"identity"'):
            assert trace not in text, f"{name_of(path)} contains {trace}"


async def test_a_history_of_other_decisions_does_not_replay(tmp_path: Path) -> None:
    """The net holds: a history in which another activity was scheduled is reported, and the sound one beside it not."""
    shipped = next(path for path in STORED if path.stem == "shipped")
    other = tmp_path / "OrderFulfillmentWorkflow" / "0" / "other.json"
    other.parent.mkdir(parents=True)
    other.write_text(shipped.read_text().replace("CreatePickWave", "CreateSomethingElse"))
    failures = await replay(todays_replayer(), [shipped, other])
    assert list(failures) == [str(other)]
    assert "nondeterminism" in failures[str(other)].lower().replace("-", "").replace(" ", "")
