"""What a replenishment's workflow is given, and what it takes along when it continues as new.

It continues as new only while it waits for the delivery, which may take any time.

Source: design §6, "signal limit of the run near or reached".
"""

from __future__ import annotations

from dataclasses import dataclass

from workflows.blocks.gate import GateState
from workflows.contracts.base import SignalFailure
from workflows.contracts.replenishment import ReplenishmentRequest


@dataclass(frozen=True, slots=True)
class ReplenishmentProgress:
    """``ordered``: the pieces of the lot, which was ordered by an earlier run; ``gate``: since when it waits."""

    ordered: int
    gate: GateState | None = None
    signal_failures: tuple[SignalFailure, ...] = ()


@dataclass(frozen=True, slots=True)
class ReplenishmentInput(ReplenishmentRequest):
    """The one argument of the workflow: a ``ReplenishmentRequest``, and in a continued run what came before."""

    progress: ReplenishmentProgress | None = None
