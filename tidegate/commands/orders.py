"""``tidegate orders``: what became of an order, and why it is stuck."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from infra.errors import MisuseError
from infra.settings import Settings
from services.oms import CancellationStatus
from tidegate.console import JsonOption, emit_json, emit_table, run, say
from tidegate.orders import cancel_order, describe_order, list_orders

_COLUMNS = ("order_id", "state", "flow", "created_at", "shipped_at", "closing_reason")


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def orders(
        words: Annotated[
            list[str] | None,
            typer.Argument(metavar="[ID | cancel ID]", help="An order, or what to do with one."),
        ] = None,
        state: Annotated[
            str | None, typer.Option(help="List only orders in this state, say RESERVED.")
        ] = None,
        limit: Annotated[int, typer.Option(min=1, help="List at most this many, the newest first.")] = 20,
        reason: Annotated[
            str | None, typer.Option(help="Why the order is cancelled; a code, nothing personal.")
        ] = None,
        json: JsonOption = False,
    ) -> None:
        """List orders, show one (its state, the step and blocking reason of its workflow, its events), cancel one.

        A cancellation goes through OMS and Kafka; it is refused, with exit status 1, once the shipment is confirmed.

        Examples: `tidegate orders --state CREATED` · `tidegate orders 6f1d2a52-…` ·
        `tidegate orders cancel 6f1d2a52-… --reason customer-request`
        """
        settings = Settings()
        match words or []:
            case []:
                rows = run(list_orders(settings, state=state, limit=limit))
                if json:
                    emit_json({"orders": rows})
                else:
                    emit_table(f"{len(rows)} orders", rows, _COLUMNS)
            case ["cancel", order_id]:
                answer = run(cancel_order(settings, order_id, reason))
                if json:
                    emit_json({"order_id": order_id, "cancellation": answer})
                else:
                    say(f"order {order_id}: cancellation {answer.lower()}")
                if answer == CancellationStatus.REFUSED:
                    raise typer.Exit(1)
            case [order_id]:
                found = run(describe_order(settings, order_id))
                if json:
                    emit_json(found)
                else:
                    _print(found)
            case _:
                raise MisuseError("orders takes nothing, an order id, or `cancel` and an order id")


def _of_a_paid_order(found: dict[str, Any]) -> list[str]:
    """One line for each of the checkouts, the order's own workflow, and the money."""
    lines = []
    for checkout in found.get("checkouts", ()):
        workflow = checkout["workflow"]
        step = workflow["step"] if isinstance(workflow, dict) else workflow
        code = f" ({checkout['code']})" if checkout["code"] else ""
        lines.append(f"{'checkout':16} {checkout['checkout_id']} {checkout['state']}{code}: {step}")
    if order := found.get("order"):
        waits = f", {order['blocking_reason']}" if order["blocking_reason"] else ""
        lines.append(f"{'order workflow':16} {order['state']}: {order['step'] or 'not started'}{waits}")
    if payment := found.get("payment"):
        amounts = f"captured {payment['captured']}, refunded {payment['refunded']} of {payment['amount']}"
        code = f" ({payment['failure_code']})" if payment["failure_code"] else ""
        lines.append(
            f"{'payment':16} {payment['state']}{code}: {amounts} {payment['currency'] or ''}".rstrip()
        )
    return lines


def _print(found: dict[str, Any]) -> None:
    for name in ("order_id", "state", "step", "blocking_reason", "fulfillment", "intake", "reservation"):
        if found.get(name) is not None:
            say(f"{name.replace('_', ' '):16} {found[name]}")
    for line in _of_a_paid_order(found):
        say(line)
    emit_table("events, oldest first", found["events"], ("time", "type", "source", "sequence", "event_id"))
