"""Figures of the bridge, for Prometheus.

Counters that every event passes are kept by their labels: looking one up takes longer than counting.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge

from consumers.bridge.adaptive_limit import AdaptiveLimit
from consumers.bridge.delivery import Answer, Outcome


class BridgeMetrics:
    """The bridge's figures in ``registry``."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._outcomes = Counter(
            "tidegate_bridge_outcomes_total",
            "Events on routes, by the outcome of their delivery.",
            ["route", "outcome"],
            registry=registry,
        )
        self.unrouted = Counter(
            "tidegate_bridge_unrouted_total",
            "Events of known types that no route wants; never decoded.",
            ["type"],
            registry=registry,
        )
        self.dead_letters = Counter(
            "tidegate_bridge_dead_letters_total",
            "Dead letters, by the topic they came from and the reason.",
            ["topic", "reason"],
            registry=registry,
        )
        self.parked = Gauge(
            "tidegate_bridge_awaited_workflows", "Workflows that parked events wait for.", registry=registry
        )
        self.breaker_open = Gauge(
            "tidegate_bridge_breaker_open",
            "1 while too many events became dead letters and the consumer is paused.",
            registry=registry,
        )
        self.breaker_opened = Counter(
            "tidegate_bridge_breaker_opened_total",
            "How often too many events became dead letters.",
            registry=registry,
        )
        self._counters: dict[tuple[str, Outcome], Counter] = {}

    def settled(self, route: str, outcome: Outcome) -> None:
        """Count an event that found ``outcome`` on ``route``."""
        counter = self._counters.get((route, outcome))
        if counter is None:
            counter = self._counters[route, outcome] = self._outcomes.labels(route, outcome.value)
        counter.inc()


class DeliveryMetrics:
    """The figures of calls to Temporal in ``registry``."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._answers = Counter(
            "tidegate_bridge_temporal_answers_total",
            "Tries to deliver, by action and by what Temporal said; `signal_limit`: the run takes no more signals.",
            ["action", "answer"],
            registry=registry,
        )
        self._limit = Gauge(
            "tidegate_bridge_temporal_calls_limit", "Calls that may be under way at once.", registry=registry
        )
        self._under_way = Gauge(
            "tidegate_bridge_temporal_calls_under_way", "Calls that are under way.", registry=registry
        )
        self._cuts = Gauge(
            "tidegate_bridge_temporal_calls_limit_cuts",
            "How often the limit was cut, because the server was overloaded or silent.",
            registry=registry,
        )
        self._counters: dict[tuple[str, Answer], Counter] = {}

    def watch(self, limit: AdaptiveLimit) -> None:
        """Show ``limit`` from now on."""
        self._limit.set_function(lambda: limit.limit)
        self._under_way.set_function(lambda: limit.under_way)
        self._cuts.set_function(lambda: limit.cuts)

    def answered(self, action: str, answer: Answer) -> None:
        """Count a try."""
        counter = self._counters.get((action, answer))
        if counter is None:
            counter = self._counters[action, answer] = self._answers.labels(action, answer.value)
        counter.inc()
