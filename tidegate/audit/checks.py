"""The checks: pure functions from evidence to findings, one for each sentence of design §9.

*lost*: a committed outbox row without its Kafka record; a record of a routed type without a ledger
entry; a submitted order without a workflow. *duplicate effect*: a second reservation, wave, shipment,
state change or emitted row for one logical step. *out of order*: an inversion of ``ce_sequence`` within
(source, subject) in Kafka, or of offsets within (key, workflow id) in the ledger; first occurrences of an
event id only; parked, replayed and redriven events aside. *money*: an order whose captures and refunds are not
what it owes (``tidegate.audit.money``).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from schemas.events import CheckoutRequested
from tidegate.audit.evidence import Evidence
from tidegate.audit.money import not_as_owed, taken_twice
from workflows.contracts.checkout import CHECKOUT

Kind = Literal["lost", "duplicate_effect", "out_of_order", "money"]

_SERVICES = "/services/"
_ONCE_PER_ORDER = frozenset(
    {
        "OrderRejected", "OrderCreated", "OrderReserved", "OrderConfirmed", "OrderShipped", "OrderDelivered",
        "OrderFailed", "OrderCancelRequested", "OrderCancelled", "InventoryAllocated", "AllocationFailed",
        "InventoryConsumed", "InventoryReleased", "InventoryReturned", "PickWaveCreated",
        "PickWaveCancelled", "ShipmentCreated", "LabelGenerated", "ShipmentConfirmed", "ShipmentCancelled",
        "PaymentAuthorized", "PaymentCaptured", "PaymentFailed", "PaymentVoided",
    }
)  # fmt: skip
"""Facts that a service states once in the life of an order."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that does not add up, and where to look."""

    kind: Kind
    what: str


def audit(evidence: Evidence) -> tuple[Finding, ...]:
    """Everything in ``evidence`` that breaks a promise; empty when all adds up."""
    return (
        *_rows_without_record(evidence),
        *_records_without_ledger(evidence),
        *_submissions_without_workflow(evidence),
        *_facts_stated_twice(evidence),
        *_effects_had_twice(evidence),
        *_sequences_inverted(evidence),
        *_deliveries_inverted(evidence),
        *(Finding("money", what) for what in not_as_owed(evidence.money, evidence.books)),
    )


def _rows_without_record(evidence: Evidence) -> Iterator[Finding]:
    published = {(record.topic, record.event_id) for record in evidence.records}
    for row in evidence.rows:
        if (row.topic, row.event_id) not in published:
            yield Finding(
                "lost",
                f"outbox row {row.id} of {row.database} ({row.type}, key {row.key}, event {row.event_id}) "
                f"has no record in {row.topic}",
            )


def _records_without_ledger(evidence: Evidence) -> Iterator[Finding]:
    known = {entry.event_id for entry in evidence.ledger} | evidence.waiting_events
    for record in evidence.records:
        if record.routed and record.event_id not in known:
            yield Finding(
                "lost",
                f"record {record.place} ({record.type}, key {record.key}, event {record.event_id}) "
                "is of a routed type and has no ledger entry",
            )


def _submissions_without_workflow(evidence: Evidence) -> Iterator[Finding]:
    for request_id, order_id in evidence.submissions.items():
        if f"order-intake-{request_id}" not in evidence.workflows:
            yield Finding(
                "lost", f"order {order_id} (request {request_id}) was submitted and has no workflow"
            )
    for checkout_id in dict.fromkeys(row.key for row in evidence.rows if row.type == CheckoutRequested.TYPE):
        if CHECKOUT.workflow_id(checkout_id=checkout_id) not in evidence.workflows:
            yield Finding("lost", f"checkout {checkout_id} was requested and has no workflow")


def _facts_stated_twice(evidence: Evidence) -> Iterator[Finding]:
    steps: Counter[tuple[str, str, str]] = Counter()
    versions: Counter[tuple[str, str, int]] = Counter()
    for event_id, row in {row.event_id: row for row in evidence.rows}.items():
        del event_id
        if not row.source.startswith(_SERVICES):
            continue
        name = row.type.rpartition(".")[2]
        if name in _ONCE_PER_ORDER:
            steps[row.source, row.subject, name] += 1
        if row.sequence is not None:
            versions[row.source, row.subject, row.sequence] += 1
    for (source, subject, name), times in steps.items():
        if times > 1:
            yield Finding("duplicate_effect", f"{source} stated {name} {times} times for {subject}")
    for (source, subject, sequence), times in versions.items():
        if times > 1:
            yield Finding(
                "duplicate_effect", f"{source} gave version {sequence} of {subject} to {times} events"
            )


def _effects_had_twice(evidence: Evidence) -> Iterator[Finding]:
    for (what, order_id), times in evidence.effects.items():
        if times > 1:
            yield Finding("duplicate_effect", f"order {order_id} has {times} {what}")
    for what in taken_twice(evidence.money, evidence.books):
        yield Finding("duplicate_effect", what)


def _sequences_inverted(evidence: Evidence) -> Iterator[Finding]:
    highest: dict[tuple[str, str], int] = defaultdict(int)
    seen: set[object] = set()
    for record in sorted(
        evidence.records, key=lambda record: (record.topic, record.partition, record.offset)
    ):
        if record.event_id in seen or record.sequence is None or record.subject is None:
            continue
        seen.add(record.event_id)
        aggregate = (record.source, record.subject)
        if record.sequence < highest[aggregate]:
            yield Finding(
                "out_of_order",
                f"record {record.place} ({record.type}) has ce_sequence {record.sequence} of {record.source} "
                f"{record.subject} after {highest[aggregate]}",
            )
        highest[aggregate] = max(highest[aggregate], record.sequence)


def _deliveries_inverted(evidence: Evidence) -> Iterator[Finding]:
    highest: dict[tuple[str, int, str | None, str], int] = {}
    seen: set[tuple[object, str]] = set()
    for entry in evidence.ledger:
        first = (entry.event_id, entry.route) not in seen
        # Noted whatever came of it: an event that was parked, and is read again after a crash when its workflow is
        # there, is delivered for the second time and comes after its successors.
        seen.add((entry.event_id, entry.route))
        if entry.workflow_id is None or not entry.in_order or not first:
            continue
        lane = (entry.topic, entry.partition, entry.key, entry.workflow_id)
        before = highest.get(lane, -1)
        if entry.offset < before:
            yield Finding(
                "out_of_order",
                f"{entry.topic}:{entry.partition}:{entry.offset} reached workflow {entry.workflow_id} "
                f"after offset {before}",
            )
        highest[lane] = max(before, entry.offset)
