"""Returns and carts that run with fakes at the activity boundary."""

from __future__ import annotations

from typing import Any

from temporalio.client import WithStartWorkflowOperation, WorkflowHandle
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy

from tests.waiting import until
from tests.workflow_support import World, signal_as_event
from workflows.cart_contents import UPDATES_PER_RUN, CartInput
from workflows.contracts import cart, returns
from workflows.contracts.base import SignalContract, UpdateContract
from workflows.contracts.cart import CART, CartSnapshot, CheckOut, SetItem
from workflows.contracts.returns import (
    RETURN,
    RETURN_INSPECTED,
    RETURN_RECEIVED,
    ReturnRequest,
    ReturnSnapshot,
)

Handle = WorkflowHandle[Any, str]

ALL_WELL = ({"sku": "bolt", "quantity": 2, "disposition": "restock"},)
"""What the warehouse finds in a parcel that holds what was announced."""


async def begin_return(world: World, order_id: str, return_id: str = "") -> Handle:
    """Start the return of an order, as the bridge does from ReturnRequested."""
    return_id = return_id or f"return-of-{order_id}"
    return await world.client.start_workflow(
        RETURN.name,
        ReturnRequest(return_id, order_id),
        id=RETURN.workflow_id(return_id=return_id),
        task_queue=RETURN.queue,
        id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
        result_type=str,
    )


async def tell_return(
    world: World, handle: Handle, signal: SignalContract[Any], order_id: str, event: str = "", **fields: Any
) -> None:
    """Signal a return as the bridge does; the same ``event`` twice is one event that comes twice."""
    payload = {"return_id": handle.id.removeprefix("return-"), "order_id": order_id, **fields}
    event_id = event or f"{signal.name}-of-{order_id}"
    await signal_as_event(
        world.client, handle.id, signal.name, event_id, f"{event_id}-{id(payload)}", payload
    )


async def parcel_came(world: World, handle: Handle, order_id: str) -> None:
    """The warehouse reports the parcel."""
    await tell_return(world, handle, RETURN_RECEIVED, order_id)


async def inspected(world: World, handle: Handle, order_id: str, lines: Any = ALL_WELL) -> None:
    """The warehouse reports what it has found."""
    await tell_return(world, handle, RETURN_INSPECTED, order_id, lines=list(lines))


async def snapshot_of(handle: Handle) -> ReturnSnapshot:
    """What ``getSnapshot`` of a return answers."""
    snapshot: ReturnSnapshot = await handle.query(returns.GET_SNAPSHOT, result_type=ReturnSnapshot)
    return snapshot


async def return_reached(handle: Handle, state: str) -> None:
    """Return once the return is in ``state``."""

    async def is_there() -> bool:
        return (await snapshot_of(handle)).state == state

    await until(is_there, what=f"{handle.id} is {state}")


# --- Carts --------------------------------------------------------------------------------------------


async def put(
    world: World,
    cart_id: str,
    item: SetItem,
    *,
    update_id: str | None = None,
    updates_per_run: int = UPDATES_PER_RUN,
) -> CartSnapshot:
    """``setItem``, with the start of the cart where there is none."""
    start: WithStartWorkflowOperation[Any, str] = WithStartWorkflowOperation(
        CART.name,
        CartInput(cart_id, "customer-1", "EUR", updates_per_run=updates_per_run),
        id=CART.workflow_id(cart_id=cart_id),
        task_queue=CART.queue,
        id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
        id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
    )
    answer: CartSnapshot = await world.client.execute_update_with_start_workflow(
        cart.SET_ITEM.name, item, start_workflow_operation=start, id=update_id, result_type=CartSnapshot
    )
    return answer


def cart_handle(world: World, cart_id: str) -> Handle:
    """The cart's workflow."""
    return world.client.get_workflow_handle(CART.workflow_id(cart_id=cart_id), result_type=str)


async def update(
    handle: Handle, contract: UpdateContract[Any, Any], argument: Any, update_id: str | None = None
) -> CartSnapshot:
    """Any update of a cart that is there."""
    answer: CartSnapshot = await handle.execute_update(
        contract.name, argument, id=update_id, result_type=CartSnapshot
    )
    return answer


async def buy(handle: Handle, update_id: str | None = None) -> CartSnapshot:
    """``checkOut``."""
    return await update(handle, cart.CHECK_OUT, CheckOut("token-1"), update_id)


async def cart_snapshot(handle: Handle) -> CartSnapshot:
    """What ``getSnapshot`` of a cart answers."""
    snapshot: CartSnapshot = await handle.query(cart.GET_SNAPSHOT, result_type=CartSnapshot)
    return snapshot
