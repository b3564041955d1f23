"""What a demo is asked for. Imports nothing, for the command parses its options while libraries load."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path


class Scenario(StrEnum):
    """What a demo shows: orders that nobody pays for here, or beside them every workflow that there is."""

    DIRECT = "direct"
    ALL = "all"


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """What ``tidegate demo`` was asked for; each field is an option of the command."""

    scenario: Scenario = Scenario.DIRECT
    orders: int = 20
    orders_file: Path | None = None
    stock_file: Path | None = None
    seed: int = 1
    duplicates: float = 0.0
    reordered: float = 0.0
    early: float = 0.0
    label_failures: float = 0.0
    short_deliveries: float = 0.0
    delay_seconds: float = 0.2
    orders_per_second: float = 2.0
    timeout_seconds: float = 900.0
    keep: bool = False

    @property
    def load_id(self) -> str:
        """Under which the stock is loaded: a second demo of the same seed on the same servers loads nothing."""
        return f"demo-{self.stock_file or self.seed}-{self.orders}"

    def upstream_options(self) -> tuple[str, ...]:
        """The words of ``tidegate simulate`` that make the outside world behave so."""
        return (
            *("--seed", str(self.seed)),
            *("--delay", str(self.delay_seconds)),
            *("--duplicate", str(self.duplicates)),
            *("--duplicate-fact", str(self.duplicates)),
            *("--reorder", str(self.reordered)),
            *("--early", str(self.early)),
            *("--short-delivery", str(self.short_deliveries)),
        )

    def label_options(self) -> tuple[str, ...]:
        """The words of ``tidegate worker`` that make the carrier's label desk behave so."""
        return ("--seed", str(self.seed), "--label-failure", str(self.label_failures))
