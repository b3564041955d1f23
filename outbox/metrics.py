"""What a relay tells Prometheus."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from outbox.status import OutboxStatus


class RelayMetrics:
    """The relay's figures, one label for the source database."""

    def __init__(self, registry: CollectorRegistry) -> None:
        label = ("source",)
        self.rows = Counter("tidegate_relay_rows", "Rows acknowledged by Kafka", label, registry=registry)
        self.pages = Counter("tidegate_relay_pages", "Pages acknowledged by Kafka", label, registry=registry)
        self.batches = Counter(
            "tidegate_relay_batches", "Record batches acknowledged by Kafka", label, registry=registry
        )
        self.transactions = Counter(
            "tidegate_relay_transactions",
            "Kafka transactions that ended, by outcome: committed or aborted",
            (*label, "outcome"),
            registry=registry,
        )
        self.fences = Counter(
            "tidegate_relay_fences",
            "Times this relay was shut out: by Kafka's producer epoch, or by its own epoch in the database",
            label,
            registry=registry,
        )
        self.handovers = Counter(
            "tidegate_relay_handovers",
            "Shard groups that came to this relay from another owner, or were given up to one",
            label,
            registry=registry,
        )
        self.stores = Counter("tidegate_relay_cursor_stores", "Cursors stored", label, registry=registry)
        self.refused = Counter("tidegate_relay_rows_parked", "Rows parked", label, registry=registry)
        self.sessions = Counter(
            "tidegate_relay_sessions", "Times the relay began from its cursor", label, registry=registry
        )
        self.delay = Histogram(
            "tidegate_relay_delay_seconds",
            "Append of a page's oldest row to its acknowledgement",
            label,
            buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 30, 300),
            registry=registry,
        )
        self.groups = Gauge("tidegate_relay_groups", "Shard groups owned", label, registry=registry)
        self.lag_rows = Gauge(
            "tidegate_relay_lag_rows", "Rows that wait, counted to 10,000", label, registry=registry
        )
        self.lag_seconds = Gauge(
            "tidegate_relay_lag_seconds", "Age of the oldest row that waits", label, registry=registry
        )
        self.window_age = Gauge(
            "tidegate_relay_window_age_seconds",
            "Time since the snapshot of the window under way was taken; 0 between windows",
            label,
            registry=registry,
        )
        self.parked = Gauge("tidegate_relay_parked", "Rows parked now", label, registry=registry)
        self.blocker = Gauge(
            "tidegate_relay_oldest_transaction_seconds",
            "Age of the oldest transaction that has written and holds its rows back",
            label,
            registry=registry,
        )

    def observe(self, source: str, status: OutboxStatus) -> None:
        """Show ``status``."""
        self.lag_rows.labels(source).set(status.lag_rows)
        self.lag_seconds.labels(source).set(status.lag_seconds)
        self.parked.labels(source).set(status.parked)
        self.blocker.labels(source).set(status.blocker.seconds if status.blocker else 0)
