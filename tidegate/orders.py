"""What is known of an order, from everywhere: OMS, IMS, its workflows, its events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import timedelta
from typing import Any, Final

from temporalio.client import Client, WorkflowQueryFailedError
from temporalio.service import RPCError, RPCStatusCode

from infra.clients.postgres import open_connection
from infra.clients.temporal import connect
from infra.errors import InvalidInputError, UnavailableError
from infra.queries import load
from infra.settings import Settings
from services.oms import OrderView
from services.publishing import PAID
from tidegate.wiring.services import open_services
from workflows.contracts.checkout import CHECKOUT
from workflows.contracts.order import GET_SNAPSHOT, ORDER
from workflows.contracts.orders import GET_FULFILLMENT_STATUS, GET_STATUS, ORDER_FULFILLMENT, ORDER_INTAKE

_SQL: Final = load(__file__, "orders.sql")
_QUERY_PATIENCE: Final = timedelta(seconds=10)


async def list_orders(settings: Settings, *, state: str | None, limit: int) -> list[dict[str, Any]]:
    """The newest orders of OMS, one dictionary each."""
    async with open_services(settings) as services:
        return [_as_row(order) for order in await services.oms.orders(limit, state)]


async def cancel_order(settings: Settings, order_id: str, reason: str | None) -> str:
    """Ask OMS to cancel; where the request stands then. Raises UnknownOrderError for an order that OMS lacks."""
    async with open_services(settings) as services:
        return str(await services.oms.request_cancellation(order_id, "operator", reason))


async def describe_order(settings: Settings, order_id: str) -> dict[str, Any]:
    """State, workflow steps, blocking reasons, reservation and events of an order.

    Of a paid one also its checkouts, its payment, and what the workflow of the order says. Where Temporal is away, what
    the databases say, and a sentence instead of what a workflow would.

    Raises :class:`InvalidInputError` where no system knows the id.
    """
    async with (
        open_connection(settings.postgres) as main,
        open_connection(settings.postgres, upstream=True) as upstream,
    ):
        checkouts = [dict(row) for row in await main.fetch(_SQL["checkouts"], order_id)]
        payment = [dict(row) for row in await main.fetch(_SQL["payment"], order_id)]
        keys = [order_id, *(row["checkout_id"] for row in checkouts)]
        events = [
            {**dict(row), "type": row["type"].rpartition(".")[2]}
            for connection in (upstream, main)
            for row in await connection.fetch(_SQL["events"], keys)
        ]
        request_id = await upstream.fetchval(_SQL["request"], order_id)
        reservation = await main.fetchval(_SQL["reservation"], order_id)
    async with open_services(settings) as services:
        order = await services.oms.order(order_id)
    if order is None and not events:
        raise InvalidInputError(f"no system knows an order {order_id}; `tidegate orders` lists those of OMS")
    client = await _unless_away(settings)
    request_id = order.request_id if order else request_id
    paid = bool(checkouts) or (order is not None and order.flow == PAID)
    intake = ORDER_INTAKE.workflow_id(request_id=request_id) if request_id and not paid else None
    status = await ask_workflow(
        client, ORDER_FULFILLMENT.workflow_id(order_id=order_id), GET_FULFILLMENT_STATUS
    )
    fulfillment = status if isinstance(status, dict) else {"state": status}
    return {
        **(_as_row(order) if order else {"order_id": order_id, "state": "SUBMITTED"}),
        "intake": await ask_workflow(client, intake, GET_STATUS) if intake else None,
        "fulfillment": fulfillment.get("state"),
        "step": fulfillment.get("step"),
        "blocking_reason": fulfillment.get("blocking_reason"),
        "reservation": reservation,
        **(await _paid(client, order_id, checkouts, payment[0] if payment else None) if paid else {}),
        "events": sorted(events, key=lambda event: (event["time"], event["id"])),
    }


async def _unless_away(settings: Settings) -> Client | None:
    """A client of Temporal, if it answers: an order is looked into above all when something is away."""
    try:
        return await connect(settings.temporal)
    except UnavailableError:
        return None


async def _paid(
    client: Client | None,
    order_id: str,
    checkouts: Sequence[Mapping[str, Any]],
    payment: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """What there is to say of a paid order beside its fulfillment; None for what there is not yet."""
    snapshot = await ask_workflow(client, ORDER.workflow_id(order_id=order_id), GET_SNAPSHOT)
    of_order = snapshot if isinstance(snapshot, dict) else {"state": snapshot}
    return {
        "checkouts": [
            {
                **row,
                "workflow": await ask_workflow(
                    client, CHECKOUT.workflow_id(checkout_id=row["checkout_id"]), GET_SNAPSHOT
                ),
            }
            for row in checkouts
        ],
        "order": {name: of_order.get(name) for name in ("state", "step", "blocking_reason", "payment")},
        "payment": payment,
    }


async def ask_workflow(client: Client | None, workflow_id: str, query: str) -> Any:
    """What the workflow answers; a sentence where it cannot, or where there is no ``client`` to ask with."""
    if client is None:
        return "unknown: Temporal does not answer"
    try:
        return await client.get_workflow_handle(workflow_id).query(query, rpc_timeout=_QUERY_PATIENCE)
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            return "no such workflow yet"
        return f"unknown: no worker answers for {workflow_id} ({error.status.name.lower()})"
    except WorkflowQueryFailedError as error:
        return f"unknown: {error}"


def _as_row(order: OrderView) -> dict[str, Any]:
    return {name: value for name, value in asdict(order).items() if value not in (None, ())}
