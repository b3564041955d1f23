"""What a relay must have done, judged by what was committed and what a reader of committed records has read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from aiokafka import ConsumerRecord

from tests.outbox_support import first_occurrences, header, in_order


def wrongs(
    committed: Mapping[str, list[int]], published: Iterable[tuple[str, int]], *, repeats: int = 0
) -> list[str]:
    """What is wrong with ``published``, pairs of key and version in the order of the log; nothing, if all is well.

    At most ``repeats`` pairs may come again: 0 for `transactional`, what was in flight for `idempotent`.
    """
    log = list(published)
    found, expected = first_occurrences(log), in_order(committed)
    wrong = []
    for key in sorted(expected.keys() | found.keys()):
        wanted, had = expected.get(key, []), found.get(key, [])
        if missing := sorted(set(wanted) - set(had)):
            wrong.append(f"lost: {key} {missing}")
        if strange := sorted(set(had) - set(wanted)):
            wrong.append(f"never committed: {key} {strange}")
        if had != sorted(had):
            wrong.append(f"out of order: {key} {had}")
    again = len(log) - len(set(log))
    if again > repeats:
        wrong.append(f"repeated: {again} times, {repeats} at most")
    return wrong


def pairs(records: Iterable[ConsumerRecord]) -> list[tuple[str, int]]:
    """Key and version of each record."""
    return [(record.key.decode(), int(header(record, "ce_sequence"))) for record in records]
