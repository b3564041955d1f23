"""What a run came to, as the demo and the tests report it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tidegate.audit import Finding
from tidegate.progress import Progress
from tidegate.tour_lines import WorkflowLine


@dataclass(frozen=True, slots=True)
class RunResult:
    """The end of a run and what its audit found."""

    progress: Progress
    findings: tuple[Finding, ...]
    analytics_differences: tuple[str, ...]
    seconds: float
    order_milliseconds: tuple[float, ...]
    """For each shipped order, from OrderSubmitted to MarkOrderShipped."""
    workflows: tuple[WorkflowLine, ...] = ()
    """What each workflow did, where the run was to drive them all."""

    @property
    def adds_up(self) -> bool:
        """Whether every order is accounted for, nothing in flight, the audit silent and no workflow left out."""
        return (
            self.progress.settled
            and not self.findings
            and not self.analytics_differences
            and all(line.driven for line in self.workflows)
        )

    def as_json(self) -> dict[str, Any]:
        """The object that ``--json`` prints; its fields are part of the command's contract."""
        figures: dict[str, Any] = {
            "orders": self.progress.orders,
            "shipped": self.progress.shipped,
            "failed": self.progress.failed,
            "cancelled": self.progress.cancelled,
            "waiting": self.progress.waiting,
            "events_published": self.progress.events,
            "signals_delivered": self.progress.signals,
            "lost": self._count("lost"),
            "duplicate_effects": self._count("duplicate_effect"),
            "out_of_order": self._count("out_of_order"),
            "seconds": round(self.seconds, 1),
            "order_ms": {
                "p50": quantile(self.order_milliseconds, 0.50),
                "p99": quantile(self.order_milliseconds, 0.99),
            },
        }
        if self.workflows:
            figures["workflows"] = [line.as_json() for line in self.workflows]
        return figures

    def _count(self, kind: str) -> int:
        return sum(finding.kind == kind for finding in self.findings)


def quantile(values: Sequence[float], share: float) -> float | None:
    """The smallest value that at least ``share`` of ``values`` do not exceed; None where there is none."""
    if not values:
        return None
    ordered = sorted(values)
    rank = max(1, -(-len(ordered) * round(share * 1000) // 1000))
    return round(ordered[rank - 1], 1)
