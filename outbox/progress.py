"""Where the groups stand that one session owns: in its memory, and stored now and then."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from uuid import UUID

from outbox.cursor import Cohort, Cursor, merged
from outbox.cursors import Cursors
from outbox.options import RelayOptions


class Progress:
    """The cohorts of a session, and which of their cursors the database does not have yet."""

    def __init__(self, cursors: Cursors, options: RelayOptions) -> None:
        self.cohorts: list[Cohort] = []
        self.epochs: dict[int, int] = {}
        """Since which epoch each group is ours."""
        self.mark = 0
        """A sequence value that was read before a transaction of ours that has ended: the floor of what is looked at
        from now on (:mod:`outbox.cursor`)."""
        self.last_id = 0
        """The sequence's value at the last look."""
        self._cursors = cursors
        self._options = options
        self._clock = asyncio.get_running_loop().time
        self._unstored: set[Cohort] = set()
        self._named: dict[int, UUID | None] = {}
        self._stored_at = 0.0

    def keep(self, epochs: Mapping[int, int]) -> dict[int, int]:
        """Forget the groups that are no longer ours at the epoch that we know; the rest of ``epochs``, which are
        new."""
        kept = {group for group, epoch in self.epochs.items() if epochs.get(group) == epoch}
        unstored = {group for cohort in self._unstored for group in cohort.groups}
        cohorts = [replace(cohort, groups=cohort.groups & kept) for cohort in self.cohorts]
        self.cohorts = [cohort for cohort in cohorts if cohort.groups]
        self._unstored = {cohort for cohort in self.cohorts if cohort.groups & unstored}
        self.epochs = {group: epochs[group] for group in kept}
        return {group: epoch for group, epoch in epochs.items() if group not in kept}

    async def load(self, groups: Iterable[int]) -> dict[int, Cursor]:
        """The stored cursors of ``groups``."""
        loaded = await self._cursors.load(groups)
        found = {group: cohort.cursor for cohort in loaded for group in cohort.groups}
        for group, cursor in found.items():
            self._named[group] = cursor.window.name if cursor.window else None
        return found

    def add(self, cursors: Mapping[int, Cursor], epochs: Mapping[int, int]) -> None:
        """These groups are ours now, and stand at ``cursors``."""
        self.epochs.update(epochs)
        new = [Cohort(frozenset({group}), cursor) for group, cursor in sorted(cursors.items())]
        together = merged([*self.cohorts, *new])
        unstored = {group for cohort in self._unstored for group in cohort.groups}
        self.cohorts = together
        self._unstored = {cohort for cohort in together if cohort.groups & unstored}

    def moved(self, place: int, cohort: Cohort, *, stale: bool = True) -> None:
        """The cohort at ``place`` stands elsewhere now; ``stale`` when its stored cursor would publish rows again."""
        was_unstored = self.cohorts[place] in self._unstored
        self._unstored.discard(self.cohorts[place])
        self.cohorts[place] = cohort
        if stale or was_unstored:
            self._unstored.add(cohort)

    def merge(self) -> None:
        """Put together what stands at one place."""
        unstored = {group for cohort in self._unstored for group in cohort.groups}
        self.cohorts = merged(self.cohorts)
        self._unstored = {cohort for cohort in self.cohorts if cohort.groups & unstored}

    @property
    def between_windows(self) -> bool:
        """Whether no group is in the middle of a window."""
        return all(cohort.cursor.window is None for cohort in self.cohorts)

    @property
    def cursors(self) -> dict[int, Cursor]:
        """Where each group stands."""
        return {group: cohort.cursor for cohort in self.cohorts for group in cohort.groups}

    async def store(self, *, at_once: bool) -> int:
        """Store the cursors that moved, not more often than asked for; how many were. All acknowledgements are in by
        now.

        A cursor that moved over nothing but other tables' transactions is stored now and then as well, for
        retention and the next start. Raises :class:`LeaseLostError`.
        """
        since = self._clock() - self._stored_at
        if not at_once and since < self._options.store_every:
            return 0
        due = set(self.cohorts) if since >= self._options.lease else self._unstored & set(self.cohorts)
        for cohort in due:
            await self._store(cohort)
        if due:
            self._stored_at = self._clock()
            self._unstored -= due
        return len(due)

    async def name(self, cohort: Cohort, groups: Sequence[int]) -> None:
        """See that the database knows the window of ``cohort`` for each of ``groups``, before Kafka does.

        The storing transaction ends after the window's snapshot was taken, and is on disk: no number that the
        snapshot has seen is given out again, not even after a crash of the server.
        """
        name = cohort.cursor.window.name if cohort.cursor.window else None
        fresh = frozenset(group for group in groups if self._named.get(group) != name)
        if fresh:
            await self._store(replace(cohort, groups=fresh))

    async def _store(self, cohort: Cohort) -> None:
        last_id = self.last_id
        await self._cursors.store(cohort, self.epochs)
        # The storing transaction drew its number after last_id was read, and has ended.
        self.mark = max(self.mark, last_id)
        self._named.update(
            dict.fromkeys(cohort.groups, cohort.cursor.window.name if cohort.cursor.window else None)
        )
