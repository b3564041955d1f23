"""``tidegate dlq redrive`` and ``tidegate dlq discard``: what is done about dead letters, one or many."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Any

import typer

from consumers.replay.errors import StoppedError
from infra.settings import Settings
from tidegate.commands.dlq_filter import (
    EventOption,
    ExecuteOption,
    FromOption,
    KeyOption,
    LimitOption,
    NoteOption,
    Query,
    RateOption,
    ReasonOption,
    ToOption,
    TypeOption,
    WhereArgument,
    query,
)
from tidegate.commands.replay_output import (
    count_progress,
    preview_as_json,
    report_as_json,
    require_whole,
    say_preview,
    say_report,
    tally_progress,
)
from tidegate.console import JsonOption, emit_json, say, serve

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from consumers.replay.audit import Command
    from consumers.replay.letters import LetterBox
    from consumers.replay.redriving import Skipped
    from consumers.replay.resend import Bridge, Parcel
    from tidegate.wiring.replay import Resending


def register(dlq: typer.Typer) -> None:
    """Add the commands."""
    _add_redrive(dlq)
    _add_discard(dlq)


def _add_redrive(dlq: typer.Typer) -> None:
    @dlq.command()
    def redrive(
        where: WhereArgument = None,
        reason: ReasonOption = None,
        type_: TypeOption = None,
        key: KeyOption = None,
        event: EventOption = None,
        from_time: FromOption = None,
        to_time: ToOption = None,
        execute: ExecuteOption = False,
        again: Annotated[bool, typer.Option("--again", help="Also what was done with before.")] = False,
        limit: LimitOption = None,
        rate: RateOption = None,
        note: NoteOption = None,
        json: JsonOption = False,
    ) -> None:
        """Send dead letters back through the bridge, as they were; without `--execute`, say what that would do.

        The ledger is asked for every letter: what has had its effect has none now. A letter that was sent back is
        remembered and left out the next time, so that a run which was stopped is continued by the same command. Each
        run is recorded: `tidegate replay --history`.

        Example: `tidegate dlq redrive oms.orders --reason unknown_schema --from-time 2h --execute --rate 50`
        """
        asked = query(
            where,
            reasons=reason,
            types=type_,
            keys=key,
            events=event,
            from_time=from_time,
            to_time=to_time,
        )
        _Deed("redrive", asked, limit, rate, note, again).start(execute=execute, json=json)


def _add_discard(dlq: typer.Typer) -> None:
    @dlq.command()
    def discard(
        where: WhereArgument = None,
        reason: ReasonOption = None,
        type_: TypeOption = None,
        key: KeyOption = None,
        event: EventOption = None,
        from_time: FromOption = None,
        to_time: ToOption = None,
        execute: ExecuteOption = False,
        limit: LimitOption = None,
        rate: RateOption = None,
        note: NoteOption = None,
        json: JsonOption = False,
    ) -> None:
        """Give dead letters up for good; without `--execute`, say what that would do.

        The ledger says `discarded` on each route, so that no replay and no redrive delivers the event, and a key that
        the letter holds goes on within seconds. The letter itself stays in its topic. There is no way back.

        Example: `tidegate dlq discard oms.orders.dlq:3:17 --note "sent twice by the storefront" --execute`
        """
        asked = query(
            where,
            reasons=reason,
            types=type_,
            keys=key,
            events=event,
            from_time=from_time,
            to_time=to_time,
        )
        _Deed("discard", asked, limit, rate, note, again=False).start(execute=execute, json=json)


class _Deed:
    """Something done to all letters that fit: first said, then done."""

    def __init__(
        self,
        command: Command,
        asked: Query,
        limit: int | None,
        rate: float | None,
        note: str | None,
        again: bool,
    ) -> None:
        self._command = command
        self._asked = asked
        self._limit = limit
        self._rate = rate
        self._note = note
        self._again = again

    def start(self, *, execute: bool, json: bool) -> None:
        """Say what would be done, or do it; Ctrl-C stops either between two letters."""
        serve(lambda stop: self._do(stop, json) if execute else self._say(stop, json))

    async def _say(self, stop: asyncio.Event, json: bool) -> None:
        from consumers.replay.redriving import Skipped
        from consumers.replay.runs import preview
        from tidegate.wiring.replay import dead_letter_topics, open_resending

        settings = Settings()
        skipped = Skipped()
        async with open_resending(settings) as parts:
            topics = await dead_letter_topics(settings.kafka, self._asked.topic)
            box = await parts.look.letter_box(topics)
            parcels = self._parcels(box, topics, skipped)
            found = await preview(self._taker(parts), parcels, parts.look.type_of, stop, count_progress())
        if stop.is_set():
            raise StoppedError(f"stopped after looking at {found.records} letters; nothing was done")
        if json:
            emit_json({"dry_run": True, "topics": topics, **preview_as_json(found), **_skipped(skipped)})
        else:
            say_preview(found, f"tidegate dlq {self._command}")
            _say_skipped(skipped)

    async def _do(self, stop: asyncio.Event, json: bool) -> None:
        from consumers.replay.audit import RunRequest, person
        from consumers.replay.redriving import Skipped, remembering
        from consumers.replay.runs import execute
        from tidegate.wiring.replay import dead_letter_topics, open_resending

        settings = Settings()
        skipped = Skipped()
        async with open_resending(settings) as parts:
            topics = await dead_letter_topics(settings.kafka, self._asked.topic)
            box = await parts.look.letter_box(topics)
            request = RunRequest(
                command=self._command,
                topic=", ".join(topics),
                selection=self._selection(),
                actor=person(),
                rate=self._rate,
            )
            report = await execute(
                parts.look.trail,
                self._taker(parts),
                request,
                self._parcels(box, topics, skipped),
                stop,
                progress=tally_progress(),
                after=remembering(parts.look.trail),
            )
        if json:
            emit_json({"dry_run": False, "topics": topics, **report_as_json(report), **_skipped(skipped)})
        else:
            say_report(report)
            _say_skipped(skipped)
        require_whole(report, "letters")

    def _taker(self, parts: Resending) -> Bridge:
        return parts.bridge if self._command == "redrive" else parts.discarder

    def _parcels(self, box: LetterBox, topics: list[str], skipped: Skipped) -> AsyncIterator[list[Parcel]]:
        from consumers.replay.redriving import letters_to_discard, letters_to_send

        wanted, limit = self._asked.letters, self._limit
        if self._command == "discard":
            return letters_to_discard(box, topics, wanted, skipped=skipped, limit=limit)
        return letters_to_send(box, topics, wanted, again=self._again, skipped=skipped, limit=limit)

    def _selection(self) -> dict[str, Any]:
        told = {"again": self._again, "limit": self._limit, "note": self._note}
        return {**self._asked.letters.describe(), **{name: value for name, value in told.items() if value}}


def _skipped(skipped: Skipped) -> dict[str, int]:
    return {"skipped_redriven_before": skipped.redriven_before, "skipped_not_ours": skipped.not_ours}


def _say_skipped(skipped: Skipped) -> None:
    if skipped.redriven_before:
        say(f"left out, done with before: {skipped.redriven_before} (`redrive --again` takes them too)")
    if skipped.not_ours:
        say(f"left out, not put there by tidegate: {skipped.not_ours}")
