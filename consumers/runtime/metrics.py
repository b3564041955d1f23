"""Figures of a consumer, for Prometheus."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge


class RuntimeMetrics:
    """A consumer's figures in ``registry``."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.handled = Counter(
            "tidegate_consumer_records_total", "Records handled to their end.", ["topic"], registry=registry
        )
        self.retries = Counter(
            "tidegate_consumer_retries_total",
            "Records that had to be handled again, by what had to wait.",
            ["waits"],
            registry=registry,
        )
        self.late = Counter(
            "tidegate_consumer_late_acknowledgements_total",
            "Records that finished after their partition was let go; their offset was not moved.",
            registry=registry,
        )
        self.commits = Counter(
            "tidegate_consumer_commits_total", "Offset commits.", ["result"], registry=registry
        )
        self.replaced = Counter(
            "tidegate_consumer_clients_replaced_total",
            "Kafka clients that stood still and were replaced, by the sign of life that was missing.",
            ["missing"],
            registry=registry,
        )
        self.in_hand = Gauge(
            "tidegate_consumer_records_in_hand", "Records read and not finished.", registry=registry
        )
        self.paused = Gauge(
            "tidegate_consumer_paused_partitions", "Partitions not read now.", registry=registry
        )
