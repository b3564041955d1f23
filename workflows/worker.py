"""The workers: what each queue runs, how much at once, and how one stops.

One process serves one queue. A context's worker stands next to the context's data, so "OMS is down" means
that this worker is stopped (design §7).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from importlib.metadata import version
from typing import Any, Final

from temporalio.client import Client
from temporalio.common import VersioningBehavior, WorkerDeploymentVersion
from temporalio.runtime import PrometheusConfig, Runtime, TelemetryConfig
from temporalio.worker import Interceptor, Plugin, Worker, WorkerDeploymentConfig
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions
from temporalio.workflow import SandboxImportNotificationPolicy

from workflows.cart import CartWorkflow
from workflows.checkout import CheckoutWorkflow
from workflows.contracts.base import CART_TASK_QUEUE, ORDER_PROCESSING_QUEUE, PAYMENT_PROCESSING_QUEUE
from workflows.counting import CountStarts
from workflows.dedupe import SIGNALS_PER_RUN, DedupeSignals
from workflows.order import OrderWorkflow
from workflows.order_fulfillment import OrderFulfillmentWorkflow
from workflows.order_intake import OrderIntakeWorkflow
from workflows.payment import PaymentWorkflow
from workflows.queues import queue_named
from workflows.reconciliation import CostWatchWorkflow, ReconciliationWorkflow
from workflows.replenishment import ReplenishmentWorkflow
from workflows.returns import ReturnWorkflow
from workflows.signals import OneRawArgument

WORKFLOWS: Final[dict[str, Sequence[type]]] = {
    ORDER_PROCESSING_QUEUE: (
        OrderIntakeWorkflow,
        OrderFulfillmentWorkflow,
        CheckoutWorkflow,
        OrderWorkflow,
        ReplenishmentWorkflow,
        ReturnWorkflow,
        ReconciliationWorkflow,
        CostWatchWorkflow,
    ),
    CART_TASK_QUEUE: (CartWorkflow,),
    PAYMENT_PROCESSING_QUEUE: (PaymentWorkflow,),
}
"""Which workflows each queue runs. Every one of them has stored histories, or a test fails."""

PASSED_THROUGH: Final = (
    "workflows.activities.contracts",
    "workflows.blocks",
    "workflows.cancellation",
    "workflows.cart_contents",
    "workflows.checkout_progress",
    "workflows.contracts",
    "workflows.counting",
    "workflows.dedupe",
    "workflows.emitting",
    "workflows.fulfillment_gates",
    "workflows.fulfillment_progress",
    "workflows.order_payment",
    "workflows.order_progress",
    "workflows.patches",
    "workflows.policies",
    "workflows.replenishment_progress",
    "workflows.return_progress",
    "workflows.signals",
    "workflows.visibility",
    "services.order_rules",
    "services.orders",
    "services.shopping_cart",
    "infra.ids",
)
"""Modules that the sandbox takes from outside instead of loading them again for each workflow.

They hold no state and do nothing that does not replay, which the static check proves by following the
imports of every workflow (``tests/unit/test_determinism_static.py``). A module that is neither here nor a
workflow's own raises in the tests.
"""


@dataclass(frozen=True, slots=True)
class WorkerLimits:
    """How much one worker does at once. The defaults suit five workers on two cores.

    ``cached_workflows`` is what a sticky worker keeps in memory; a workflow outside it is replayed.
    ``pollers`` are open requests to the server for each kind of task. ``grace`` is how long a worker that
    stops lets its activities finish. ``signals_per_run`` stays below the server's own limit of a run.
    """

    workflow_tasks: int = 40
    activities: int = 20
    cached_workflows: int = 600
    pollers: int = 2
    grace: timedelta = timedelta(seconds=15)  # below the supervisor's own patience, which ends in a kill
    signals_per_run: int = SIGNALS_PER_RUN


def sandbox(*, strict: bool = False) -> SandboxedWorkflowRunner:
    """The sandbox of the workflows; ``strict`` raises on a module that it would load without being told."""
    restrictions = SandboxRestrictions.default.with_passthrough_modules(*PASSED_THROUGH)
    policy = (
        SandboxImportNotificationPolicy.WARN_ON_DYNAMIC_IMPORT
        | SandboxImportNotificationPolicy.RAISE_ON_UNINTENTIONAL_PASSTHROUGH
    )
    return SandboxedWorkflowRunner(
        restrictions=restrictions.with_import_notification_policy(policy) if strict else restrictions
    )


def interceptors() -> list[Interceptor]:
    """What every worker, and every replay of a history of one, runs with, beside :func:`plugins`."""
    return [CountStarts(), OneRawArgument()]


def plugins(signals_per_run: int = SIGNALS_PER_RUN) -> list[Plugin]:
    """The same, of plugins. No workflow of ours has ever run without it, so it needs no markers."""
    return [DedupeSignals(signals_per_run=signals_per_run, decisions="unmarked")]


def worker_identity(queue: str, number: int) -> str:
    """``<queue>-worker-<number>``: who did it, in every history. Source: design §11, "Processes"."""
    return f"{queue}-worker-{number}"


def metrics_runtime(port: int) -> Runtime:
    """A runtime that serves the SDK's own metrics on 127.0.0.1:``port``; the client must be made with it."""
    metrics = PrometheusConfig(bind_address=f"127.0.0.1:{port}", counters_total_suffix=True)
    return Runtime(telemetry=TelemetryConfig(metrics=metrics))


@dataclass(frozen=True, slots=True)
class Deployment:
    """The version that a worker says it is of: Worker Versioning. Without one, markers alone guard old runs.

    ``pinned`` keeps every run on the version that it began with, until it ends or continues as new; otherwise a
    run moves on to the current version with its next task, and what changed is behind a marker (docs/workflows.md,
    "Changing one that is running").
    """

    name: str
    build_id: str
    pinned: bool = False

    def config(self) -> WorkerDeploymentConfig:
        """The same in the SDK's words."""
        behavior = VersioningBehavior.PINNED if self.pinned else VersioningBehavior.AUTO_UPGRADE
        return WorkerDeploymentConfig(
            version=WorkerDeploymentVersion(self.name, self.build_id),
            use_worker_versioning=True,
            default_versioning_behavior=behavior,
        )


class _CheckedSandbox(SandboxedWorkflowRunner):
    """The sandbox of workflows that another worker of this process has checked: it starts at once."""

    def prepare_workflow(self, defn: Any) -> None:
        """They are the same classes."""


def limits_of(queue: str, connections: int | None = None) -> WorkerLimits:
    """What one worker of ``queue`` does at once: what is prescribed, else what its ``connections`` can carry.

    An attempt of an activity holds one connection to the database: more at once would only wait for the pool.
    """
    prescribed = queue_named(queue).concurrent_activities
    activities = prescribed or (2 * connections if connections else None)
    return WorkerLimits() if activities is None else WorkerLimits(activities=activities)


def build_workers(
    client: Client,
    queue: str,
    *,
    activities: Sequence[Callable[..., Any]] = (),
    number: int = 1,
    limits: WorkerLimits | None = None,
    around_activities: Sequence[Interceptor] = (),
    deployment: Deployment | None = None,
) -> list[Worker]:
    """The workers of one process: one for ``queue``, and one for each other name of it."""
    return [
        build_worker(
            client,
            name,
            activities=activities,
            number=number,
            limits=limits,
            around_activities=around_activities,
            deployment=deployment,
            checked=name != queue,
        )
        for name in (queue, *queue_named(queue).also)
    ]


def build_worker(
    client: Client,
    queue: str,
    *,
    activities: Sequence[Callable[..., Any]] = (),
    number: int = 1,
    limits: WorkerLimits | None = None,
    around_activities: Sequence[Interceptor] = (),
    deployment: Deployment | None = None,
    strict: bool = False,
    checked: bool = False,
) -> Worker:
    """The worker of ``queue``: its workflows, if it has any, and ``activities``.

    ``number`` tells workers of one queue apart. ``strict`` is for tests, see :func:`sandbox`; ``checked`` where
    another worker of this process has the same workflows.
    """
    limits = limits or limits_of(queue)
    served = queue_named(queue).name
    workflows = WORKFLOWS.get(served, ())
    runner = sandbox(strict=strict)
    if checked:
        runner = _CheckedSandbox(restrictions=runner.restrictions)
    return Worker(
        client,
        task_queue=queue,
        workflows=workflows,
        activities=activities,
        interceptors=[*interceptors(), *around_activities],
        plugins=plugins(limits.signals_per_run),
        workflow_runner=runner,
        identity=worker_identity(served, number),
        build_id=None if deployment else _build_id(),
        deployment_config=deployment.config() if deployment else None,
        max_cached_workflows=limits.cached_workflows if workflows else 0,
        max_concurrent_workflow_tasks=limits.workflow_tasks if workflows else None,
        max_concurrent_activities=limits.activities,
        max_concurrent_workflow_task_polls=max(2, limits.pollers),
        max_concurrent_activity_task_polls=limits.pollers,
        graceful_shutdown_timeout=limits.grace,
    )


def _build_id() -> str:
    """The release, for histories to name. Unless told, the SDK hashes every module, which takes half a second."""
    return f"tidegate {version('tidegate')}"
