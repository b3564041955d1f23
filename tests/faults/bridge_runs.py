"""Whole runs of a bridge through its faults, on servers that may be killed, and what the checker finds afterwards."""

from __future__ import annotations

import os
import random
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from infra.local import Component, StackOptions, running_stack
from tests.bridge_support import bridge_world
from tests.faults.bridge_acts import ACTS, SELDOM, Act, Faults
from tests.faults.bridge_checker import Finding, check
from tests.faults.bridge_ordeal import Run, members
from tests.faults.bridge_plan import make_plan
from tests.faults.bridge_recipient import Recipients
from tests.faults.bridge_wire import WireFaults, faulty_wire

_PARTITIONS = 8


def seed_of_this_run() -> int:
    """``TIDEGATE_TEST_SEED`` where it is set, else any; printed, for pytest to show it where a test fails."""
    given = os.environ.get("TIDEGATE_TEST_SEED")
    seed = int(given) if given else secrets.randbelow(2**32)
    print(f"TIDEGATE_TEST_SEED={seed} repeats this run")
    return seed


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a run; with ``seed`` it can be repeated."""

    seed: int
    acts: tuple[str, ...]
    findings: tuple[Finding, ...]
    sent_twice: tuple[str, ...]
    rebalances: int
    answers_lost: Mapping[str, int]


async def through_all_faults(
    seed: int,
    home: Path,
    postgres_dsn: str,
    registry_url: str,
    unique: str,
    *,
    keys: int,
    events: int,
    rounds: int = 1,
    acts: Sequence[Act] = ACTS,
) -> Result:
    """Let ``events`` events go through ``acts`` in ``rounds`` rounds, each in an order of its own.

    The broker and the Temporal that are killed are started for it.
    """
    chance = random.Random(f"{seed}/faults")
    drawn = [act for _ in range(rounds) for act in chance.sample(acts, len(acts))]
    options = StackOptions(fsync=False, temporal_on_file=True)
    async with running_stack(home, {Component.KAFKA, Component.TEMPORAL}, options) as stack:
        addresses = stack.addresses
        assert addresses.bootstrap_servers is not None
        assert addresses.temporal_address is not None
        async with bridge_world(
            postgres_dsn=postgres_dsn,
            bootstrap_servers=addresses.bootstrap_servers,
            registry_url=registry_url,
            temporal_address=addresses.temporal_address,
            unique=unique,
            partitions=_PARTITIONS,
        ) as world:
            plan = make_plan(seed, prefix=world.topic, keys=keys, events=events, chunks=len(drawn))
            run = Run(world, plan, Recipients(world.client, world.topic))
            with faulty_wire(WireFaults(seed=seed, lost=SELDOM)) as wire:
                async with members(world, 3) as three, run.recipients.lively():
                    faults = Faults(stack, run, three, wire, chance)
                    await faults.happen(drawn)
                    happened = await run.happened()
    return Result(
        seed=seed,
        acts=tuple(faults.drawn),
        findings=check(happened),
        sent_twice=tuple(faults.sent_twice),
        rebalances=faults.rebalances,
        answers_lost=dict(+wire.lost),
    )
