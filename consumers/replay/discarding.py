"""Dead letters given up for good: the ledger says so on every route, and what was held goes on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from consumers.bridge.bridge import Planned
from consumers.bridge.dead_letters import DeadLetter
from consumers.bridge.delivery import Delivered, Outcome
from consumers.bridge.ledger import Ledger
from consumers.bridge.reading import PoisonedError, RecordReader
from consumers.bridge.recording import Recorder, Subject
from consumers.bridge.table import RoutingTable
from consumers.runtime.record import ConsumedRecord


class Discarder:
    """What a letter is handed to instead of the bridge: nothing is sent, and nothing will be.

    A letter of one route is discarded on that route. One that was bad as a whole is discarded as such, which releases
    a key that it holds, and on each route that would have wanted the event, so that no replay delivers it once its
    schema is known. A route on which the event has had its effect is left as it is.
    """

    def __init__(self, reader: RecordReader, table: RoutingTable, ledger: Ledger, recorder: Recorder) -> None:
        self._reader = reader
        self._table = table
        self._ledger = ledger
        self._recorder = recorder

    async def handle(
        self, record: ConsumedRecord, *, origin: Literal["replay", "redrive"]
    ) -> list[Delivered]:
        """Discard the letter ``record``; durable after :meth:`flush`."""
        letter = DeadLetter.of(record)
        subject = Subject(
            letter.record,
            letter.event_id,
            (letter.record.header("ce_type") or "").replace("\0", "\ufffd"),
            origin,
        )
        delivered = []
        for route in await self._routes(letter):
            outcome = Outcome.DUPLICATE
            if not await self._ledger.settled(letter.event_id, route):
                outcome = Outcome.DISCARDED
                workflow_id = letter.workflow_id if route == letter.route else None
                await self._ledger.write(self._recorder.entry(subject, route, workflow_id, outcome))
            delivered.append(Delivered(letter.event_id, route, letter.workflow_id, outcome))
        return delivered

    async def preview(self, record: ConsumedRecord) -> list[Planned]:
        """What :meth:`handle` would do."""
        letter = DeadLetter.of(record)
        planned = []
        for route in await self._routes(letter):
            known = await self._ledger.settled(letter.event_id, route)
            would, why = ("nothing", "the ledger has its effect") if known else ("discard", "")
            planned.append(Planned(letter.event_id, route, letter.workflow_id, would, why))
        return planned

    async def flush(self) -> None:
        """Return once what was discarded so far is durable."""
        await self._ledger.flush()

    async def _routes(self, letter: DeadLetter) -> Sequence[str]:
        if letter.route:
            return [letter.route]
        try:
            envelope = await self._reader.envelope(letter.record)
        except PoisonedError:
            return [""]
        return ["", *(route.name for route in self._table.wanting(envelope))]
