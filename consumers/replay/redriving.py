"""Dead letters on their way: back through the bridge, with the original bytes and coordinates, or out of the world."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from uuid import UUID

from consumers.bridge.dead_letters import DeadLetter
from consumers.bridge.delivery import Outcome
from consumers.replay.audit import AuditTrail
from consumers.replay.letters import FoundLetter, LetterBox, LetterFilter
from consumers.replay.place import Place
from consumers.replay.resend import Parcel, Sent


class Skipped:
    """Letters that were left where they are, by reason."""

    def __init__(self) -> None:
        self.redriven_before = 0
        self.not_ours = 0


async def letters_to_send(
    box: LetterBox,
    topics: Sequence[str],
    wanted: LetterFilter,
    *,
    again: bool,
    skipped: Skipped,
    limit: int | None = None,
) -> AsyncIterator[list[Parcel]]:
    """The letters of the dead-letter ``topics`` that fit, as they were before they died; at most ``limit`` of them.

    Left out, and counted in ``skipped``: what was done with before unless ``again`` is asked for, and records that
    tidegate did not put there.
    """
    async for batch in _left(box, topics, wanted, again=again, skipped=skipped, limit=limit):
        yield [Parcel(letter.record, taken_from=found.record) for found, letter in batch]


async def letters_to_discard(
    box: LetterBox, topics: Sequence[str], wanted: LetterFilter, *, skipped: Skipped, limit: int | None = None
) -> AsyncIterator[list[Parcel]]:
    """The same letters as they stand in their dead-letter topic, without what was done with before."""
    async for batch in _left(box, topics, wanted, again=False, skipped=skipped, limit=limit):
        yield [Parcel(found.record, taken_from=found.record) for found, _ in batch]


async def _left(
    box: LetterBox,
    topics: Sequence[str],
    wanted: LetterFilter,
    *,
    again: bool,
    skipped: Skipped,
    limit: int | None,
) -> AsyncIterator[list[tuple[FoundLetter, DeadLetter]]]:
    left = limit
    for topic in topics:
        async for batch in box.read(topic, wanted):
            taken: list[tuple[FoundLetter, DeadLetter]] = []
            for found in batch:
                if found.letter is None:
                    skipped.not_ours += 1
                elif found.redriven and not again:
                    skipped.redriven_before += 1
                elif left is None or len(taken) < left:
                    taken.append((found, found.letter))
            if taken:
                yield taken
            if left is not None:
                left -= len(taken)
                if left == 0:
                    return


def remembering(trail: AuditTrail) -> Callable[[UUID, Sequence[Sent]], Awaitable[None]]:
    """What is to be called after letters were sent, so that the next redrive leaves them out."""

    async def remember(run_id: UUID, sent: Sequence[Sent]) -> None:
        letters = [(Place.of(one.parcel.taken_from), _worst(one.outcomes)) for one in sent]
        await trail.remember_redriven(run_id, letters)

    return remember


def _worst(outcomes: Sequence[str]) -> str:
    """One word for a letter with several routes: it is not mended while one of them made it a dead letter again."""
    for word in (Outcome.DEAD_LETTERED, Outcome.DISCARDED):
        if word in outcomes:
            return word.value
    return ", ".join(sorted(set(outcomes)))
