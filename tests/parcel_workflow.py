"""A workflow of yesterday: its signal's payload has since changed its form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from temporalio import workflow
from temporalio.common import RawValue

from workflows.contracts.base import SignalContract
from workflows.signals import Inbox


@dataclass(frozen=True, slots=True)
class Weighed:
    """What the scales say, in grams. In the next release the weight is an object."""

    parcel_id: str
    weight: int


WEIGHED = SignalContract("weighed", Weighed)


@workflow.defn
class Parcel:
    """Waits to be weighed."""

    def __init__(self) -> None:
        self._inbox = Inbox(parcel_id=workflow.info().workflow_id)
        self._weight: int | None = None

    @workflow.run
    async def run(self) -> dict[str, Any]:
        """The weight, and what it was told and could not use."""
        await workflow.wait_condition(lambda: self._weight is not None)
        failures = [f"{failure.signal}: {failure.reason}" for failure in self._inbox.failures]
        return {"weight": self._weight, "failures": failures}

    @workflow.signal
    def weighed(self, raw: RawValue) -> None:
        """Take the weight."""
        if (said := self._inbox.receive(WEIGHED, raw)) is not None:
            self._weight = said.weight
