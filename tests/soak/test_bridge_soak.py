"""The bridge through every fault five times over, with 20,000 events; `make test` does it once with 2,000."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.bridge_runs import seed_of_this_run, through_all_faults


@pytest.mark.soak
@pytest.mark.timeout(3600)
async def test_twenty_thousand_events_through_every_fault(
    tmp_path: Path, postgres_dsn: str, registry_url: str, unique: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing lost, no effect and no signal twice, every key in its order, no dead letter without a reason."""
    seed = seed_of_this_run()
    result = await through_all_faults(
        seed, tmp_path, postgres_dsn, registry_url, unique, keys=100, events=20_000, rounds=5
    )
    with capsys.disabled():
        print(
            f"\nseed {seed}: {len(result.acts)} faults, {result.rebalances} members came and went, "
            f"answers lost {dict(result.answers_lost)}, findings {len(result.findings)}"
        )
    assert result.findings == (), result
    assert result.sent_twice == (), result
    assert set(result.answers_lost) == {"signal", "commit"}, result
