"""What is known of a checkout, from its database and its workflow; and a reviewer's decision on one."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from infra.clients.temporal import connect
from infra.errors import InvalidInputError, MisuseError
from infra.settings import Settings
from services.checkouts import Checkouts, CheckoutState, CheckoutView
from services.upstream.reviewers import Reviewers
from tidegate.orders import ask_workflow
from tidegate.wiring.services import open_database
from workflows.contracts.checkout import CHECKOUT, GET_SNAPSHOT

_OPEN = (CheckoutState.VALIDATED, CheckoutState.AWAITING_DECISION)


async def list_checkouts(settings: Settings, *, state: str | None, limit: int) -> list[dict[str, Any]]:
    """The newest checkouts, one dictionary each."""
    if state is not None and state not in set(CheckoutState):
        raise MisuseError(f"no checkout is ever {state!r}: it is {', '.join(CheckoutState)}")
    async with open_database(settings) as (sessions, outbox):
        return [_as_row(one) for one in await Checkouts(sessions, outbox).checkouts(limit, state)]


async def describe_checkout(settings: Settings, checkout_id: str) -> dict[str, Any]:
    """A checkout's row, and what its workflow says of itself.

    Raises :class:`InvalidInputError` where neither is there.
    """
    async with open_database(settings) as (sessions, outbox):
        checkout = await Checkouts(sessions, outbox).checkout(checkout_id)
    workflow_id = CHECKOUT.workflow_id(checkout_id=checkout_id)
    snapshot = await ask_workflow(await connect(settings.temporal), workflow_id, GET_SNAPSHOT)
    if not isinstance(snapshot, dict):
        if checkout is None and snapshot == "no such workflow yet":
            raise InvalidInputError(
                f"there is no checkout {checkout_id}; `tidegate checkout list` lists them"
            )
        snapshot = {"blocking_reason": snapshot}
    return {
        **snapshot,
        "workflow": snapshot.get("state"),
        **(_as_row(checkout) if checkout else {"checkout_id": checkout_id, "state": "SUBMITTED"}),
    }


async def decide_checkout(
    settings: Settings, checkout_id: str, decision: str, reviewer: str, reason: str | None
) -> dict[str, Any]:
    """Decide as a reviewer; the decision that stands, and whether it is this one.

    Raises :class:`InvalidInputError` for a checkout that is not there or has ended, and as
    :meth:`services.upstream.reviewers.Reviewers.decide`.
    """
    async with open_database(settings) as (sessions, outbox):
        checkout = await Checkouts(sessions, outbox).checkout(checkout_id)
    if checkout is None:
        raise InvalidInputError(f"there is no checkout {checkout_id}; `tidegate checkout list` lists them")
    if checkout.state not in _OPEN:
        raise InvalidInputError(
            f"checkout {checkout_id} is {checkout.state}: there is nothing to decide any more"
        )
    async with open_database(settings, upstream=True) as (sessions, outbox):
        return asdict(await Reviewers(sessions, outbox).decide(checkout_id, decision, reviewer, reason))


def _as_row(checkout: CheckoutView) -> dict[str, Any]:
    return {name: value for name, value in asdict(checkout).items() if value not in (None, ())}
