"""Workflows that are one building block each, for the tests of the blocks."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial

from temporalio import workflow
from temporalio.common import RawValue, RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError

from workflows.activities.contracts.base import ActivityContract
from workflows.blocks.endings import ClockRanOutError, LeftEarlyError, RunIsFullError
from workflows.blocks.entity import Entity
from workflows.blocks.fan_out import collect_all, run_all
from workflows.blocks.gate import Gate, GateState
from workflows.blocks.saga import Saga
from workflows.contracts.base import SignalContract
from workflows.signals import Inbox

QUEUE = "blocks"
ONCE = RetryPolicy(maximum_attempts=1)


@dataclass(frozen=True)
class Receipt:
    """A fact."""

    order_id: str
    note: str = ""


@dataclass(frozen=True)
class GateRun:
    """How a gate is to be waited at, and what the run before had."""

    subject: str
    clock_days: float | None = None
    remind_days: float | None = None
    work_before: bool = False
    began: str | None = None
    fact: Receipt | None = None
    state: GateState | None = None
    runs: int = 1


@dataclass(frozen=True)
class GateEnd:
    """How the wait ended: after how many days since the first run began, in which run."""

    how: str
    note: str | None
    days: float
    runs: int


RECEIVED = SignalContract("Received", Receipt)
RARELY = RetryPolicy(initial_interval=timedelta(days=20))
"""A reminder that did not succeed is under way for very long."""

REMIND = ActivityContract("Remind", QUEUE, str, type(None), retry=RARELY)
WORK = ActivityContract("Work", QUEUE, str, str, retry=ONCE, start_to_close=timedelta(minutes=1))


@workflow.defn
class GateWorkflow:
    """Waits at one gate."""

    @workflow.init
    def __init__(self, run: GateRun) -> None:
        self._subject = run.subject
        self._left = False
        self._inbox = Inbox(order_id=run.subject)
        self.gate: Gate[Receipt] = Gate(
            "Received",
            clock=None if run.clock_days is None else timedelta(days=run.clock_days),
            remind_every=None if run.remind_days is None else timedelta(days=run.remind_days),
            fact=run.fact,
            state=run.state,
        )

    @workflow.run
    async def run(self, run: GateRun) -> GateEnd:
        """Wait as told."""
        began = datetime.fromisoformat(run.began) if run.began else workflow.now()
        how, note = "PASSED", None
        if run.work_before:
            await WORK(self._subject)
        try:
            receipt = await self.gate.wait(leave=lambda: self._left, remind=self._remind)
        except ClockRanOutError as error:
            how, note = "LATE", str(error)
        except LeftEarlyError:
            how = "LEFT"
        except RunIsFullError:
            await workflow.wait_condition(workflow.all_handlers_finished)
            workflow.continue_as_new(
                replace(
                    run,
                    began=began.isoformat(),
                    fact=self.gate.fact,
                    state=self.gate.state,
                    work_before=False,
                    runs=run.runs + 1,
                )
            )
        else:
            note = receipt.note
        return GateEnd(how, note, (workflow.now() - began) / timedelta(days=1), run.runs)

    async def _remind(self, number: int) -> None:
        await REMIND(f"{self._subject}:{number}")

    @workflow.signal(name=RECEIVED.name)
    def received(self, raw: RawValue) -> None:
        """The fact."""
        if receipt := self._inbox.receive(RECEIVED, raw):
            self.gate.pass_with(receipt)

    @workflow.signal
    def leave(self, raw: RawValue) -> None:
        """Wait no longer."""
        self._left = True

    @workflow.signal
    def noise(self, raw: RawValue) -> None:
        """Nothing, to fill the run."""

    @workflow.query
    def waiting_for(self) -> str | None:
        """The gate's sentence."""
        return self.gate.waiting_for

    @workflow.query
    def unused(self) -> list[str]:
        """Why signals were not used."""
        return [failure.reason for failure in self._inbox.failures]


@dataclass(frozen=True)
class Diary:
    """What an entity was told so far."""

    idle_days: float | None = None
    read: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()
    touched_at: str | None = None
    runs: int = 1


@workflow.defn
class DiaryWorkflow:
    """Writes down what it is told, until it is told to end, or nothing."""

    @workflow.init
    def __init__(self, diary: Diary) -> None:
        self._entity: Entity[str] = Entity(
            idle=None if diary.idle_days is None else timedelta(days=diary.idle_days),
            unread=diary.unread,
            touched_at=diary.touched_at,
        )
        self._read = list(diary.read)

    @workflow.run
    async def run(self, diary: Diary) -> Diary:
        """Take one after the other."""
        try:
            while True:
                word = await self._entity.next()
                self._read.append(word)
                if word == "end":
                    break
        except ClockRanOutError:
            self._read.append("idle")
        except RunIsFullError:
            await self._entity.continue_as_new(
                lambda: replace(
                    diary,
                    read=tuple(self._read),
                    unread=self._entity.unread,
                    touched_at=self._entity.touched_at,
                    runs=diary.runs + 1,
                )
            )
        await workflow.wait_condition(workflow.all_handlers_finished)
        return replace(diary, read=tuple(self._read), unread=self._entity.unread)

    @workflow.signal
    async def tell(self, word: str) -> None:
        """Take a word; a slow one takes its time before it is put down."""
        if word.startswith("slow"):
            await WORK(word)
        self._entity.tell(word)

    @workflow.update
    async def write(self, word: str) -> int:
        """Take a word; how many are unread."""
        self._entity.tell(word)
        return len(self._entity.unread)

    @write.validator
    def _check(self, word: str) -> None:
        if not word:
            raise ApplicationError("nothing to write", type="InvalidWordError")


@dataclass(frozen=True)
class FanOutRun:
    """What is to be done at once."""

    jobs: tuple[str, ...]
    limit: int | None = None
    collect: bool = False


@workflow.defn
class FanOutWorkflow:
    """Does several pieces of work at once."""

    @workflow.run
    async def run(self, run: FanOutRun) -> list[str]:
        """The results, or the failures, in the order of the work."""
        work = [partial(WORK, job) for job in run.jobs]
        if run.collect:
            outcomes = await collect_all(work, limit=run.limit)
            return [outcome.result or f"failed: {_cause(outcome.error)}" for outcome in outcomes]
        try:
            return await run_all(work, limit=run.limit)
        except ActivityError as error:
            return [f"failed: {_cause(error)}"]


@dataclass(frozen=True)
class Image:
    """Which image."""

    image_id: str


TWICE = RetryPolicy(initial_interval=timedelta(milliseconds=50), maximum_attempts=2)
QUICKLY = RetryPolicy(initial_interval=timedelta(milliseconds=50), maximum_attempts=0)

BUILD_IMAGE = ActivityContract("BuildImage", QUEUE, Image, type(None), retry=TWICE)
TEST_IMAGE = ActivityContract("TestImage", QUEUE, Image, type(None), retry=TWICE)
SIGN_AND_PUBLISH = ActivityContract("SignAndPublish", QUEUE, Image, type(None), retry=TWICE)
DELETE_IMAGE = ActivityContract("DeleteImage", QUEUE, Image, type(None), retry=QUICKLY)
WITHDRAW_IMAGE = ActivityContract("WithdrawImage", QUEUE, Image, type(None), retry=QUICKLY)
STEPS_OF_AN_IMAGE = (BUILD_IMAGE, TEST_IMAGE, SIGN_AND_PUBLISH, DELETE_IMAGE, WITHDRAW_IMAGE)


@dataclass(frozen=True)
class Progress:
    """Where the example stands: its step, what was undone, and what its owner refused to undo."""

    step: str
    undone: tuple[str, ...]
    refused: tuple[str, ...]


@workflow.defn
class ExampleWorkflow:
    """The example of seed 004, "Decision", made of the blocks: build, test, sign and publish, else take it back."""

    @workflow.init
    def __init__(self, image: Image) -> None:
        self._step = "BUILDING"
        self._undo = Saga(image, (DELETE_IMAGE, WITHDRAW_IMAGE))

    @workflow.run
    async def run(self, image: Image) -> str:
        """Publish ``image``, or fail with nothing left of it."""
        try:
            self._undo.push(DELETE_IMAGE)
            await BUILD_IMAGE(image)
            self._step = "TESTING"
            await TEST_IMAGE(image)
            self._step = "PUBLISHING"
            self._undo.push(WITHDRAW_IMAGE)
            await SIGN_AND_PUBLISH(image)
        except ActivityError as error:
            await self._undo.compensate(lambda _: None)
            raise ApplicationError(f"{self._step}: {error.cause}", type="NotPublishedError") from error
        self._undo.settle()
        self._step = "PUBLISHED"
        return self._step

    @workflow.query
    def progress(self) -> Progress:
        """Where it stands."""
        return Progress(self._step, self._undo.done, self._undo.refused)


def _cause(error: Exception | None) -> str:
    return str(error.cause if isinstance(error, ActivityError) else error)
