"""A mended letter put beside the one that it was made from, and redriven; the audit trail has both."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Final
from uuid import UUID

from consumers.bridge.dead_letters import DeadLetters
from consumers.replay.audit import AuditTrail, RunRequest
from consumers.replay.letters import FoundLetter
from consumers.replay.mending import Mended
from consumers.replay.place import Place
from consumers.replay.redriving import remembering
from consumers.replay.resend import Bridge, Parcel, Sent
from consumers.replay.runs import RunReport, execute

EDITED: Final = "edited"
"""What became of a letter that another was made from."""


async def publish_and_redrive(
    request: RunRequest,
    found: FoundLetter,
    mended: Mended,
    *,
    dead_letters: DeadLetters,
    bridge: Bridge,
    trail: AuditTrail,
    stop: asyncio.Event,
) -> RunReport:
    """Publish ``mended`` as a letter, and send it through ``bridge``; how that run ended.

    First the letter, then its delivery: whatever is killed between the two leaves the mended letter in its topic,
    where ``dlq redrive`` finds it. Once it is there, ``found`` is done with and left out of other runs.
    """

    async def parcels() -> AsyncIterator[list[Parcel]]:
        partition, offset = await dead_letters.publish(mended.letter)
        record = replace(found.record, topic=mended.letter.topic, partition=partition, offset=offset)
        yield [Parcel(mended.letter.record, taken_from=record)]

    remember = remembering(trail)

    async def after(run_id: UUID, sent: Sequence[Sent]) -> None:
        await trail.remember_redriven(run_id, [(Place.of(found.record), EDITED)])
        await remember(run_id, sent)

    return await execute(trail, bridge, request, parcels(), stop, after=after)
