"""Whatever is killed, moved, away or not heard of: no event lost, none handled twice, every key in its order.

One run goes through all faults, each with a share of its 2,000 events, in an order that a seed draws;
``TIDEGATE_TEST_SEED`` repeats one. ``make soak`` does the same with 20,000. Source: issue "The best bridge from Kafka
into Temporal", "What must be seen to work".
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.bridge_runs import seed_of_this_run, through_all_faults

EVENTS = 2_000
KEYS = 100


@pytest.mark.timeout(900)
async def test_every_fault_in_one_run(
    tmp_path: Path, postgres_dsn: str, registry_url: str, unique: str
) -> None:
    """Members killed before and after a signal, coming and going every five seconds, Temporal killed, and away for
    30 s, the broker killed, answers lost, SIGTERM: nothing is lost, repeated, out of order or buried without reason."""
    seed = seed_of_this_run()
    result = await through_all_faults(
        seed, tmp_path, postgres_dsn, registry_url, unique, keys=KEYS, events=EVENTS, rounds=1
    )
    assert result.findings == (), result
    assert result.sent_twice == (), result
    assert result.rebalances >= 3, result
    assert set(result.answers_lost) == {"signal", "commit"}, result
