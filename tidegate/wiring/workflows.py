"""The worker of one queue: what it runs, and what that is made of.

Each queue loads only what it needs, so the workflow worker has no database and a context's worker starts with
its own context.
"""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import AsyncIterator, Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from temporalio.client import Client
from temporalio.worker import Interceptor

from infra.clients import temporal
from infra.errors import MisuseError
from infra.settings import Settings
from workflows.contracts.base import (
    CART_TASK_QUEUE,
    CONTEXT_QUEUES,
    ORDER_PROCESSING_QUEUE,
    PAYMENT_PROCESSING_QUEUE,
)

if TYPE_CHECKING:
    from workflows.worker import Deployment

QUEUES: Final = (ORDER_PROCESSING_QUEUE, PAYMENT_PROCESSING_QUEUE, CART_TASK_QUEUE, *CONTEXT_QUEUES)
"""Every queue that a worker can serve."""


@contextlib.asynccontextmanager
async def running_worker(
    settings: Settings,
    queue: str,
    *,
    number: int = 1,
    seed: int = 0,
    label_failure: float = 0.0,
    metrics_port: int | None = None,
) -> AsyncIterator[None]:
    """Runs the worker of ``queue`` until the block is left, then lets what is under way finish.

    It also polls the queue's other names. The local label carrier refuses a ``label_failure`` share of its labels,
    decided by ``seed``. ``metrics_port`` serves metrics on 127.0.0.1. Raises :class:`MisuseError` for a queue that
    nobody serves.
    """
    if queue not in QUEUES:
        raise MisuseError(f"no worker serves the queue {queue!r}: it is one of {', '.join(QUEUES)}")
    # Imported here: the supervisor's parent, which only names queues, need not load the SDK.
    from workflows.worker import build_workers, limits_of, metrics_runtime, worker_identity

    async with contextlib.AsyncExitStack() as open_things:
        runtime = metrics_runtime(metrics_port) if metrics_port is not None else None
        client = await temporal.connect(
            settings.temporal, identity=worker_identity(queue, number), runtime=runtime
        )
        activities: Sequence[Callable[..., Any]] = ()
        limits = limits_of(queue)
        around: Sequence[Interceptor] = ()
        if queue in CONTEXT_QUEUES:
            activities = await _context_activities(settings, queue, client, open_things, seed, label_failure)
            from workflows.activities.origin import StampOrigin

            around = [StampOrigin()]
            limits = limits_of(queue, settings.postgres.pool_size)
        else:
            await _ensure_search_attributes(client)
        workers = build_workers(
            client,
            queue,
            activities=activities,
            number=number,
            limits=limits,
            around_activities=around,
            deployment=_deployment(settings),
        )
        for worker in workers:
            await open_things.enter_async_context(worker)
        yield


def _deployment(settings: Settings) -> Deployment | None:
    from workflows.worker import Deployment

    of = settings.workers
    return Deployment(of.deployment, of.build_id, of.versioning == "pinned") if of.build_id else None


async def register_search_attributes(settings: Settings) -> list[str]:
    """Make the namespace in ``settings`` know the search attributes of the workflows; their names.

    Raises :class:`MisuseError` where the server does not let us, :class:`UnavailableError` where none answers.
    """
    return await _ensure_search_attributes(await temporal.connect(settings.temporal))


async def _ensure_search_attributes(client: Client) -> list[str]:
    """A workflow that sets an attribute which the namespace lacks would not get on until it has it."""
    from infra.clients.search_attributes import ensure_search_attributes
    from workflows.visibility import SEARCH_ATTRIBUTES

    await ensure_search_attributes(client, SEARCH_ATTRIBUTES)
    return [key.name for key in SEARCH_ATTRIBUTES]


async def _context_activities(
    settings: Settings,
    queue: str,
    client: Client,
    open_things: contextlib.AsyncExitStack,
    seed: int,
    label_failure: float,
) -> Sequence[Callable[..., Any]]:
    from sqlalchemy.ext.asyncio import async_sessionmaker

    from infra.clients.postgres import create_engine
    from outbox import Outbox
    from tidegate.wiring.schemas import open_schemas

    schemas = await open_schemas(settings)
    open_things.push_async_callback(schemas.close)
    engine = create_engine(settings.postgres)
    open_things.push_async_callback(engine.dispose)
    sessions = async_sessionmaker(engine, expire_on_commit=False)
    outbox = Outbox(schemas.codec)

    def context(name: str, *more: Any) -> Any:
        service = importlib.import_module(f"services.{name}")
        return getattr(service, name.capitalize())(sessions, outbox, *more)

    match queue:
        case "oms":
            from services.oms import RecordedNotifications
            from tidegate.wiring.reconciliation import reconciliation_activities
            from workflows.activities.carts import CartActivities
            from workflows.activities.checkouts import CheckoutActivities
            from workflows.activities.oms import OmsActivities
            from workflows.activities.order import OrderActivities
            from workflows.activities.returns import ReturnActivities

            oms = context("oms")
            reconciling, watching = reconciliation_activities(settings, client, sessions, outbox, open_things)
            return [
                *methods(reconciling),
                *methods(watching),
                *methods(OmsActivities(oms)),
                *methods(OrderActivities(oms, RecordedNotifications(sessions))),
                *methods(CheckoutActivities(context("checkouts"), oms)),
                *methods(CartActivities(context("carts"))),
                *methods(ReturnActivities(context("returns"), oms)),
            ]
        case "ims":
            from workflows.activities.ims import ImsActivities
            from workflows.activities.replenishment import ReplenishmentActivities
            from workflows.activities.restocking import RestockActivities

            ims = context("ims")
            return [
                *methods(ImsActivities(ims, context("oms"))),
                *methods(ReplenishmentActivities(ims)),
                *methods(RestockActivities(ims)),
            ]
        case "wms":
            from workflows.activities.wms import WmsActivities

            return methods(WmsActivities(context("wms"), context("ims")))
        case "payments":
            from tidegate.wiring.payments import opened_provider
            from workflows.activities.payments import PaymentActivities

            provider = await open_things.enter_async_context(opened_provider(settings))
            return methods(PaymentActivities(context("payments", provider)))
        case _:
            from services.sms import ReturnLabels
            from services.upstream.label_carrier import SimulatedLabelCarrier
            from services.upstream.simulation import Simulation
            from workflows.activities.return_labels import ReturnLabelActivities
            from workflows.activities.sms import SmsActivities

            carrier = SimulatedLabelCarrier(Simulation(seed=seed, label_failure=label_failure))
            return [
                *methods(SmsActivities(context("sms", carrier))),
                *methods(ReturnLabelActivities(ReturnLabels(sessions, carrier))),
            ]


def methods(implementation: object) -> list[Callable[..., Any]]:
    """The activities that ``implementation`` has: its methods that are defined as such."""
    found = (getattr(implementation, name) for name in dir(implementation) if not name.startswith("_"))
    return [method for method in found if hasattr(method, "__temporal_activity_definition")]
