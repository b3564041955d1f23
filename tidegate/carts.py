"""A cart, from the command line: its workflow holds it while it lives, the carts know what became of it."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from temporalio.client import Client, WithStartWorkflowOperation, WorkflowUpdateFailedError
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import ApplicationError, WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from infra.clients.temporal import connect
from infra.errors import InvalidInputError, UnavailableError
from infra.settings import Settings
from services.errors import ServiceError
from tidegate.wiring.services import open_services
from workflows.cart_contents import CartInput, Contents
from workflows.contracts.base import UpdateContract
from workflows.contracts.cart import (
    CART,
    CHECK_OUT,
    CHECKED_OUT,
    GET_SNAPSHOT,
    REMOVE_ITEM,
    SET_ITEM,
    CartRequest,
    CartSnapshot,
    CheckOut,
    RemoveItem,
    SetItem,
)

_PATIENCE: Final = timedelta(seconds=60)


async def set_item(
    settings: Settings, cart: CartRequest, item: SetItem, update_id: str | None
) -> dict[str, Any]:
    """Put ``item`` into the cart, which begins where there is none; the cart as it is then.

    Once for each ``update_id``. What breaks a rule is refused here already, so that it begins no cart.
    """
    request = CartInput(cart.cart_id, cart.customer_id, cart.currency)
    if reason := Contents(request, ()).reason_against(item, datetime.now(UTC)):
        raise InvalidInputError(f"cart {cart.cart_id}: {reason}")
    client = await connect(settings.temporal)
    start: WithStartWorkflowOperation[Any, str] = WithStartWorkflowOperation(
        CART.name,
        cart,
        id=CART.workflow_id(cart_id=cart.cart_id),
        task_queue=CART.queue,
        id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
        id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
    )
    try:
        answer: CartSnapshot = await client.execute_update_with_start_workflow(
            SET_ITEM.name,
            item,
            start_workflow_operation=start,
            id=update_id,
            result_type=CartSnapshot,
            rpc_timeout=_PATIENCE,
        )
    except WorkflowAlreadyStartedError:
        raise await _over(settings, cart.cart_id) from None
    except WorkflowUpdateFailedError as error:
        raise _refusal(cart.cart_id, error) from None
    except RPCError as error:
        raise _unanswered(cart.cart_id, error) from None
    return asdict(answer)


async def remove_item(settings: Settings, cart_id: str, sku: str, update_id: str | None) -> dict[str, Any]:
    """Take ``sku`` out of the cart; the cart as it is then."""
    return asdict(await _update(settings, cart_id, REMOVE_ITEM, RemoveItem(sku), update_id))


async def check_out(
    settings: Settings, cart_id: str, payment_token: str, update_id: str | None
) -> dict[str, Any]:
    """Buy what lies in the cart. A cart that was bought already is shown as it is: it is bought once."""
    known = await show(settings, cart_id)
    if known["state"] == CHECKED_OUT:
        return known
    return asdict(await _update(settings, cart_id, CHECK_OUT, CheckOut(payment_token), update_id))


async def show(settings: Settings, cart_id: str) -> dict[str, Any]:
    """The cart as it is, or what became of it. Raises :class:`InvalidInputError` where there never was one."""
    async with open_services(settings) as services:
        ended = await services.carts.cart(cart_id)
    if ended is not None:
        return asdict(ended)
    client = await connect(settings.temporal)
    try:
        snapshot: CartSnapshot = await _handle(client, cart_id).query(
            GET_SNAPSHOT, result_type=CartSnapshot, rpc_timeout=_PATIENCE
        )
    except RPCError as error:
        raise _unanswered(cart_id, error) from None
    return asdict(snapshot)


async def _update(
    settings: Settings,
    cart_id: str,
    contract: UpdateContract[Any, CartSnapshot],
    argument: Any,
    update_id: str | None,
) -> CartSnapshot:
    client = await connect(settings.temporal)
    try:
        answer: CartSnapshot = await _handle(client, cart_id).execute_update(
            contract.name, argument, id=update_id, result_type=contract.answer, rpc_timeout=_PATIENCE
        )
    except WorkflowUpdateFailedError as error:
        raise _refusal(cart_id, error) from None
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND and "already completed" in str(error):
            raise await _over(settings, cart_id) from None
        raise _unanswered(cart_id, error) from None
    return answer


def _handle(client: Client, cart_id: str) -> Any:
    return client.get_workflow_handle(CART.workflow_id(cart_id=cart_id))


async def _over(settings: Settings, cart_id: str) -> ServiceError:
    state = (await show(settings, cart_id))["state"]
    return ServiceError(f"cart {cart_id} is {state} and takes no more changes: use another cart id")


def _refusal(cart_id: str, error: WorkflowUpdateFailedError) -> ServiceError:
    cause = error.cause
    reason = cause.message if isinstance(cause, ApplicationError) else str(cause)
    return ServiceError(f"cart {cart_id}: {reason}")


def _unanswered(cart_id: str, error: RPCError) -> Exception:
    if error.status is RPCStatusCode.NOT_FOUND:
        return InvalidInputError(f"there is no cart {cart_id}; `tidegate carts set` begins one")
    return UnavailableError(
        f"no answer for cart {cart_id} ({error.status.name.lower()}): is a worker of {CART.queue} running? "
        "Asking again is safe with the same --update-id"
    )
