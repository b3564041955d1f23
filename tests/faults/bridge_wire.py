"""What goes wrong on the wire of a bridge: answers that are lost, and the death of the process around a signal.

The shim stands in the clients' own classes, below everything of ours: ``signal_workflow_execution`` of Temporal's and
``commit`` of Kafka's consumer. An answer that is lost is the worst kind of failure: the call has had its effect, and
its caller is told that the deadline has passed.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any, Literal
from uuid import uuid4

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import RequestTimedOutError
from temporalio.service import RPCError, RPCStatusCode, WorkflowService

from workflows.contracts.base import EVENT_ID_HEADER


@dataclass(frozen=True, slots=True)
class WireFaults:
    """``lost`` is the share of the calls named by ``loses`` whose answer is lost. ``die`` ends the process by SIGKILL
    at its ``at``-th signal, before Temporal has it or after. ``random_request_ids`` breaks a guard: every try is a new
    one.
    """

    seed: int = 0
    lost: float = 0.0
    loses: Sequence[str] = ("signal", "commit")
    die: Literal["", "before", "after"] = ""
    at: int = 1
    random_request_ids: bool = False

    def to_word(self) -> str:
        """As one word of a command line."""
        return json.dumps(asdict(self))

    @classmethod
    def of(cls, word: str) -> WireFaults:
        """What :meth:`to_word` has written."""
        return cls(**json.loads(word))


class Wire:
    """A wire with ``faults``; ``lost`` counts the lost answers by call, ``sent`` the signals that were tried.

    ``committed`` is set by each commit that Kafka has taken.
    """

    def __init__(self, faults: WireFaults) -> None:
        self.faults = faults
        self.share = faults.lost
        """The share of answers that are lost from now on."""
        self.lost: Counter[str] = Counter()
        self.sent = 0
        self.committed = asyncio.Event()
        self._chance = random.Random(f"{faults.seed}/wire")

    def loses(self, call: str) -> bool:
        """Whether the answer to this call is lost."""
        lost = call in self.faults.loses and self._chance.random() < self.share
        self.lost[call] += lost
        return lost

    def signal_begins(self, request: Any) -> None:
        """A signal is about to be sent."""
        self.sent += 1
        if self.faults.random_request_ids:
            request.request_id = str(uuid4())
        self._die("before")

    def signal_taken(self) -> None:
        """Temporal has a signal; the bridge does not know it yet."""
        self._die("after")
        if self.loses("signal"):
            raise RPCError("deadline exceeded", RPCStatusCode.DEADLINE_EXCEEDED, b"")

    def commit_taken(self) -> None:
        """Kafka has a commit; the consumer does not know it yet."""
        self.committed.set()
        if self.loses("commit"):
            raise RequestTimedOutError

    def _die(self, where: str) -> None:
        if self.faults.die == where and self.sent >= self.faults.at:
            os.kill(os.getpid(), signal.SIGKILL)


def _nobody(event_id: str) -> None:
    """Nobody wants to know."""


@contextmanager
def faulty_wire(faults: WireFaults, report: Callable[[str], None] = _nobody) -> Iterator[Wire]:
    """Every bridge of this process has the wire of ``faults`` while the block runs.

    ``report`` is told the event id of each signal whose answer arrives; one that does not arrive is sent again, as it
    should be.
    """
    wire = Wire(faults)
    send, commit = WorkflowService.signal_workflow_execution, AIOKafkaConsumer.commit

    async def signal_workflow_execution(service: Any, req: Any, *args: Any, **kwargs: Any) -> Any:
        wire.signal_begins(req)
        answer = await send(service, req, *args, **kwargs)
        wire.signal_taken()
        report(json.loads(req.header.fields[EVENT_ID_HEADER].data))
        return answer

    async def commit_offsets(consumer: Any, *args: Any, **kwargs: Any) -> None:
        await commit(consumer, *args, **kwargs)
        wire.commit_taken()

    WorkflowService.signal_workflow_execution = signal_workflow_execution  # type: ignore[assignment, method-assign]
    AIOKafkaConsumer.commit = commit_offsets
    try:
        yield wire
    finally:
        WorkflowService.signal_workflow_execution = send  # type: ignore[method-assign]
        AIOKafkaConsumer.commit = commit
