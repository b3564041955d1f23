"""What a return's workflow is given, and what it takes along when it continues as new.

It continues as new only while it waits for the warehouse: nothing else takes signals by the thousand.

Source: design §6, "signal limit of the run near or reached".
"""

from __future__ import annotations

from dataclasses import dataclass

from workflows.blocks.gate import GateState
from workflows.contracts.base import SignalFailure
from workflows.contracts.returns import InspectionReport, ReceiptReport, ReturnRequest


@dataclass(frozen=True, slots=True)
class ReturnProgress:
    """How far the earlier runs have come; the defaults are those of a first run.

    ``steps_done`` counts the steps that are behind; the gates go on from where they were, so that a new run
    lengthens no clock and repeats no reminder; ``compensations`` are the saga's stack.
    """

    steps_done: int = 0
    compensations: tuple[str, ...] = ()
    receipt: ReceiptReport | None = None
    receipt_gate: GateState | None = None
    inspection: InspectionReport | None = None
    inspection_gate: GateState | None = None
    signal_failures: tuple[SignalFailure, ...] = ()


@dataclass(frozen=True, slots=True)
class ReturnInput(ReturnRequest):
    """The one argument of the workflow: a ``ReturnRequest``, and in a continued run what came before."""

    progress: ReturnProgress | None = None
