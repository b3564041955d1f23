"""What can be set about a consumer."""

from __future__ import annotations

from dataclasses import dataclass, field

from consumers.runtime.backoff import Backoff
from infra.errors import MisuseError


@dataclass(frozen=True, slots=True)
class RuntimeOptions:
    """Bounds and clocks of one consumer; all times in seconds, all sizes in records.

    ``high_water`` and ``low_water`` bound what one partition may hold unfinished: it pauses at the first and
    resumes at the second. ``total_high_water`` does the same for all partitions together. ``span`` bounds the records
    of a partition between the oldest that is not finished and the newest read, finished or not: one key that makes no
    progress cannot pile up finished offsets without end. A bound is passed by at most one poll, ``poll_records``.

    ``rebalance_timeout`` (how long the group waits for a member) must stay above ``drain_timeout`` (how long
    a member works on what it has begun before it lets go). ``stuck_after`` (how long the Kafka client may show no sign
    of life before it is replaced) must stay above both, since that long a rebalance may take.
    """

    group_id: str
    member: str | None = None
    """A name that stays the same over restarts makes the membership static; None makes it dynamic."""
    workers: int = 128
    commit_interval: float = 1.0
    commit_records: int = 5_000
    poll_timeout: float = 0.2
    poll_records: int = 500
    """A poll of 500 records stays in the processor's cache until they are handled; 2,000 take a fifth longer each."""
    high_water: int = 2_000
    low_water: int = 1_000
    total_high_water: int = 20_000
    total_low_water: int = 10_000
    span: int = 50_000
    drain_timeout: float = 5.0
    stop_timeout: float = 6.0
    session_timeout: float = 10.0
    rebalance_timeout: float = 60.0
    stuck_after: float = 120.0
    backoff: Backoff = field(default_factory=Backoff)

    def __post_init__(self) -> None:
        if self.workers < 1:
            raise MisuseError("a consumer needs at least one worker")
        if not 0 <= self.low_water < self.high_water or not 0 <= self.total_low_water < self.total_high_water:
            raise MisuseError(
                "a consumer must resume below the mark at which it pauses: low_water < high_water"
            )
        if self.drain_timeout >= self.rebalance_timeout:
            raise MisuseError(
                "drain_timeout must be below rebalance_timeout, or the group gives up on this member"
            )
        if self.stuck_after <= self.rebalance_timeout:
            raise MisuseError(
                "stuck_after must be above rebalance_timeout, or a rebalance is mistaken for a hang"
            )
