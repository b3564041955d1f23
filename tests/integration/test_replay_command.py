"""``tidegate replay``, ``tidegate dlq`` and ``tidegate analytics`` as people run them."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import signal
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest
import pytest_asyncio

from infra.local import Component, Stack
from tests.analytics_support import history, line
from tests.forked import ForkedProcess, fork_tidegate
from tests.replay_support import Ground, prepared_ground
from tests.stack import SessionStack, fresh_database
from tests.waiting import until
from tidegate.wiring.replay import open_trail


@pytest_asyncio.fixture(loop_scope="session")
async def ground(stack: Stack, postgres_dsn: str, unique: str, tmp_path: Path) -> AsyncIterator[Ground]:
    async with prepared_ground(stack, postgres_dsn, unique, tmp_path) as ground:
        for number in range(3):
            await ground.publish(history(f"{unique}-{number}", (line(),)))
        yield ground


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def idle_ground(
    servers: SessionStack, stack: Stack, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Ground]:
    """One ground for all tests that change nothing."""
    server = (await servers.having(Component.POSTGRES)).postgres_dsn
    assert server is not None
    async with (
        fresh_database(server) as dsn,
        prepared_ground(stack, dsn, secrets.token_hex(4), tmp_path_factory.mktemp("idle")) as ground,
    ):
        yield ground


async def started(environment: Mapping[str, str], *words: str) -> ForkedProcess:
    return await fork_tidegate(*words, environment={**os.environ, **environment})


async def tidegate(environment: Mapping[str, str], *words: str) -> tuple[int, str, str]:
    process = await started(environment, *words)
    out, err = await asyncio.wait_for(process.communicate(), 120)
    return process.returncode or 0, out.decode(), err.decode()


async def test_a_dry_run_and_then_the_real_one_as_json(ground: Ground) -> None:
    """The same selection twice: what would be done, then what was done; afterwards the history has one run."""
    environment = ground.environment()
    words = ("replay", ground.topic, "--from-offset", "0", "--type", "OrderSubmitted", "--json")
    status, out, _ = await tidegate(environment, *words)
    assert status == 0
    would = json.loads(out)
    assert would["by_type"] == {"tidegate.oms.orders.OrderSubmitted": {"records": 3, "start": 3}}
    status, out, _ = await tidegate(environment, *words, "--execute")
    did = json.loads(out)
    assert (status, did["status"], did["outcomes"]) == (0, "finished", {"started": 3})
    status, out, _ = await tidegate(environment, "replay", "--history", "--json")
    assert [(run["run_id"], run["records"]) for run in json.loads(out)["runs"]] == [(did["run_id"], 3)]


async def test_ctrl_c_stops_a_replay_and_the_audit_row_says_so(ground: Ground) -> None:
    """SIGINT in the middle: exit status 130, one line, a row that says stopped."""
    process = await started(ground.environment(), "replay", ground.topic, "--execute", "--rate", "1")
    async with open_trail(ground.settings) as trail:

        async def begun() -> bool:
            return any(run["records"] for run in await trail.runs(1))

        await until(begun, what="the replay shows progress in its audit row")
        process.send_signal(signal.SIGINT)
        _, err = await asyncio.wait_for(process.communicate(), 120)
        assert process.returncode == 130
        assert err.decode().splitlines()[-1].startswith("tidegate: stopped after")
        assert [run["status"] for run in await trail.runs(1)] == ["stopped"]


@pytest.mark.parametrize(
    ("words", "status", "sentence"),
    [
        (("replay", "nowhere"), 2, "the broker has no topic nowhere"),
        (("replay", "{topic}", "--from-time", "yesterday"), 2, "'yesterday' is no time"),
        (("replay", "{topic}", "--from-offset", "5", "--to-offset", "5"), 2, "is not below"),
        (("replay",), 2, "which topic?"),
        (("dlq", "list", "nowhere"), 2, "the broker has no topic nowhere.dlq"),
        (("dlq", "list", "--reason", "bad luck"), 2, "no dead letter has the reason bad luck"),
        (("dlq", "show", "{topic}.dlq"), 2, "is no place"),
        (("dlq", "show", "{topic}.dlq:0:7"), 2, "no record stands at"),
    ],
)
async def test_misuse_is_one_line_and_status_2(
    idle_ground: Ground, words: tuple[str, ...], status: int, sentence: str
) -> None:
    """No traceback, nothing before it, and it says what to do."""
    found, _, err = await tidegate(
        idle_ground.environment(), *(word.replace("{topic}", idle_ground.topic) for word in words)
    )
    assert found == status
    assert len(err.splitlines()) == 1, err
    assert sentence in err


@pytest.mark.parametrize("words", [("replay", "oms.orders"), ("dlq", "list"), ("analytics",)])
async def test_a_broker_that_is_not_there_is_one_line_and_status_1(
    idle_ground: Ground, words: tuple[str, ...]
) -> None:
    """The address is in the sentence."""
    environment = {**idle_ground.environment(), "TIDEGATE_KAFKA__BOOTSTRAP_SERVERS": "127.0.0.1:1"}
    status, _, err = await tidegate(environment, *words)
    assert status == 1
    assert err.splitlines()[-1].startswith("tidegate: Kafka at 127.0.0.1:1 does not answer"), err
    assert "Traceback" not in err


async def test_dlq_list_shows_what_there_is_as_json(idle_ground: Ground) -> None:
    """An empty dead-letter topic is an empty list, not an error."""
    status, out, _ = await tidegate(idle_ground.environment(), "dlq", "list", idle_ground.topic, "--json")
    assert (status, json.loads(out)) == (0, {"counts": [], "letters": []})
