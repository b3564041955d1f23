"""How a relay runs: what it reads, how often, how much at once."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from enum import StrEnum

from outbox.window import PageSize


class Profile(StrEnum):
    """What is promised to readers, and at what price. See docs/decisions/0018."""

    IDEMPOTENT = "idempotent"
    """Each row at least once, at the lowest latency."""
    TRANSACTIONAL = "transactional"
    """Each row exactly once, for readers of committed records."""


@dataclass(frozen=True, slots=True)
class Source:
    """One database with an outbox. ``name`` stands in logs and metrics."""

    name: str
    dsn: str
    tls: ssl.SSLContext | None = None


@dataclass(frozen=True, slots=True)
class RelayOptions:
    """The relay's settings; times in seconds, sizes in bytes. The defaults are measured
    (docs/decisions/0003)."""

    profile: Profile = Profile.IDEMPOTENT
    """How rows are published."""
    page_rows: int = 5_000
    """Rows read, sent and acknowledged together (`idempotent`)."""
    transaction_rows: int = 10_000
    """The same for all groups' transactions together (`transactional`): each costs what a page costs, and more."""
    page_bytes: int = 8 * 1024 * 1024
    """Bytes of values in a page, which one row may pass: what bounds the relay's memory."""
    batch_bytes: int = 512 * 1024
    """Most bytes in one record batch, below the 1 MiB that topics allow by default."""
    max_record_bytes: int = 32 * 1024 * 1024
    """A larger value is parked without asking the broker, which would only close the connection."""
    compression: str | None = None
    """``gzip``, ``snappy``, ``lz4``, ``zstd`` or nothing."""
    poll_shortest: float = 0.002
    """Pause before looking again after there was something."""
    poll_longest: float = 0.05
    """Pause that an idle relay works up to."""
    store_every: float = 0.1
    """Least time between two stores of one cursor: what a crash may publish twice."""
    lease: float = 5.0
    """How long a relay that froze keeps its groups; one whose connection is gone loses them at once."""
    cursor_topic: str = "tidegate.outbox-cursors"
    """Where transactions keep their cursors: compacted, a partition for each group."""
    transaction_backoff_ms: int = 20
    """Pause before a request is repeated that came while the broker was still ending the transaction before."""
    pause_longest: float = 5.0
    """Pause that a relay which meets one error after the other works up to."""
    delivery_timeout: float = 30.0
    """How long one page may wait for its acknowledgements before a new producer is tried."""
    topic_grace: float = 5.0
    """How long a topic that the broker does not know is waited for before its rows are parked; it is asked for again
    after six times as long."""
    stop_timeout: float = 10.0
    """How long a relay that is asked to stop waits for acknowledgements."""
    status_every: float = 2.0
    """Time between two looks at parked rows that wait for a retry, and at the lag."""
    maintenance_every: float = 600.0
    """Time between two looks at partitions, and at identities that have grown old."""
    days_ahead: int = 3
    """Day partitions made before they are needed."""
    retention_days: int = 7
    """Whole days that published rows are kept."""
    identity_days: int = 60
    """Days that the identity of an event appended once is kept; longer than any workflow may retry."""

    @property
    def page_size(self) -> PageSize:
        """The size of a page in this profile."""
        transactional = self.profile is Profile.TRANSACTIONAL
        return PageSize(self.transaction_rows if transactional else self.page_rows, self.page_bytes)
