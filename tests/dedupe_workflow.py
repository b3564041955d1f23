"""Workflows that keep what they are told, for the tests of signal deduplication."""

from __future__ import annotations

from collections.abc import Sequence

from temporalio import workflow
from temporalio.common import RawValue


@workflow.defn
class Tally:
    """Keeps every word that it is told, in order, across its runs. ``next`` begins a new run, ``end`` ends it."""

    @workflow.init
    def __init__(self, told: list[str]) -> None:
        self.told = list(told)

    @workflow.run
    async def run(self, told: list[str]) -> list[str]:
        """Listen until told to end."""
        await workflow.wait_condition(
            lambda: self.told[-1:] in (["next"], ["end"]) or workflow.info().is_continue_as_new_suggested()
        )
        await workflow.wait_condition(workflow.all_handlers_finished)
        if self.told[-1:] != ["end"]:
            workflow.continue_as_new([*self.told, "|"])
        return self.told

    @workflow.signal
    def tell(self, word: str) -> None:
        """Take one word."""
        self.told.append(word)

    @workflow.query
    def words(self) -> list[str]:
        """What it was told so far; ``|`` stands where a run ended."""
        return self.told


@workflow.defn
class Chime:
    """Notes in its memo each word that it takes, so that every one of them is a command in its history."""

    @workflow.init
    def __init__(self, chimed: list[str]) -> None:
        self.told: list[str] = []
        self.chimed = list(chimed)

    @workflow.run
    async def run(self, chimed: list[str]) -> list[str]:
        """Listen until told to end; begin a new run where that is suggested and nothing is left to chime."""
        while self.chimed[-1:] != ["end"]:
            await workflow.wait_condition(
                lambda: bool(self.told) or workflow.info().is_continue_as_new_suggested()
            )
            if not self.told:
                workflow.continue_as_new([*self.chimed, "|"])
            self.chimed.append(self.told.pop(0))
            workflow.upsert_memo({"chimed": len(self.chimed)})
        return self.chimed

    @workflow.signal
    def tell(self, word: str) -> None:
        """Take one word."""
        self.told.append(word)

    @workflow.query
    def words(self) -> list[str]:
        """What it has chimed so far; ``|`` stands where a run ended."""
        return self.chimed


@workflow.defn
class Deaf:
    """Never looks whether it is asked for a new run."""

    def __init__(self) -> None:
        self.told: list[str] = []

    @workflow.run
    async def run(self, _: list[str]) -> list[str]:
        """Listen until told to end."""
        await workflow.wait_condition(lambda: self.told[-1:] == ["end"])
        return self.told

    @workflow.signal
    def tell(self, word: str) -> None:
        """Take one word."""
        self.told.append(word)

    @workflow.query
    def words(self) -> list[str]:
        """What it was told so far."""
        return self.told


@workflow.defn
class Idle:
    """Takes any signal, does nothing, and begins a new run where that is suggested."""

    @workflow.run
    async def run(self) -> None:
        """Wait to be asked."""
        await workflow.wait_condition(lambda: workflow.info().is_continue_as_new_suggested())
        workflow.continue_as_new()

    @workflow.signal(dynamic=True)
    def hear(self, name: str, arguments: Sequence[RawValue]) -> None:
        """Take it, and leave it."""
