"""The example in docs/runtime.md runs as it stands there."""

from __future__ import annotations

import ast
import asyncio
import inspect
import re
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from consumers.runtime.consumer import KafkaRuntime
from consumers.runtime.metrics import RuntimeMetrics
from consumers.runtime.options import RuntimeOptions
from consumers.runtime.record import ConsumedRecord
from infra.settings import KafkaSettings
from tests.runtime_support import runtime_world
from tests.waiting import until

PAGE = Path(__file__).parents[2] / "docs" / "runtime.md"


async def test_the_example_reads_a_topic(
    bootstrap_servers: str, unique: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ten lines, taken from the page, print what is in a topic; the address and the topic are this test's."""
    example = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)[0]
    async with runtime_world(bootstrap_servers, unique) as world:
        await world.send([(b"k", b"one"), (b"k", b"two")])
        example = example.replace("127.0.0.1:9092", bootstrap_servers).replace("payments", world.topic)
        stop, printed = asyncio.Event(), list[str]()
        names: dict[str, Any] = {
            "stop": stop,
            "KafkaRuntime": KafkaRuntime,
            "KafkaSettings": KafkaSettings,
            "ConsumedRecord": ConsumedRecord,
            "RuntimeOptions": lambda group_id: RuntimeOptions(group_id=f"{group_id}-{unique}"),
            "RuntimeMetrics": RuntimeMetrics,
            "CollectorRegistry": CollectorRegistry,
            "print": lambda *words: printed.append(" ".join(map(str, words))),
        }
        code = compile(example, str(PAGE), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        running = eval(code, names)  # noqa: S307 - it is our own page
        assert inspect.isawaitable(running)
        task = asyncio.ensure_future(running)
        await until(lambda: len(printed) == 2 or task.done())
        stop.set()
        await task
    assert printed == [f"{world.topic}[0]@0 b'k' b'one'", f"{world.topic}[0]@1 b'k' b'two'"]
