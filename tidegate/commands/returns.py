"""``tidegate returns``: ask for goods to come back, and see what became of it."""

from __future__ import annotations

from dataclasses import asdict
from datetime import timedelta
from typing import Annotated, Any, Final
from uuid import uuid4

import typer
from temporalio.client import WorkflowQueryFailedError
from temporalio.service import RPCError, RPCStatusCode

from infra.clients.temporal import connect
from infra.errors import InvalidInputError
from infra.settings import Settings
from services.returns import Pieces, Reason, ReturnState, ReturnView
from tidegate.console import JsonOption, emit_json, emit_table, run, say
from tidegate.wiring.services import open_services
from workflows.contracts.returns import GET_SNAPSHOT, RETURN

_COLUMNS: Final = ("return_id", "order_id", "state", "requested_at", "refunded", "currency", "code")
_LINES: Final = ("sku", "quantity", "restocked", "scrapped", "refused")
_SHOWN: Final = (
    *("return_id", "order_id", "state", "step", "blocking_reason", "reason_code", "requested_at"),
    *("tracking_number", "amount", "refunded", "currency", "code", "closing_reason"),
)
_PATIENCE: Final = timedelta(seconds=10)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    returns = typer.Typer(no_args_is_help=True, help="Ask for goods to come back, and see what became of it.")
    app.add_typer(returns, name="returns")

    @returns.command()
    def request(
        order_id: Annotated[str, typer.Argument(help="The order that something comes back from.")],
        line: Annotated[
            list[str], typer.Option(metavar="SKU=QTY", help="What comes back; once for each item.")
        ],
        reason: Annotated[Reason, typer.Option(help="Why it comes back.")] = Reason.NOT_WANTED,
        return_id: Annotated[
            str | None,
            typer.Option(help="Id of the return; the same id is the same return. Default: a new one."),
        ] = None,
        json: JsonOption = False,
    ) -> None:
        """Ask for a return. Its workflow then checks the policy: within 30 days of shipping, never more than shipped.

        Example: `tidegate returns request 6f1d2a52-… --line DESK=1 --line LEG=4 --reason DAMAGED`
        """
        chosen = return_id or str(uuid4())
        state = run(_request(Settings(), chosen, order_id, reason, [_pieces(one) for one in line]))
        if json:
            emit_json({"return_id": chosen, "order_id": order_id, "state": state})
        else:
            say(f"return {chosen} of order {order_id}: {state.lower()}")

    @returns.command(name="list")
    def list_(
        state: Annotated[ReturnState | None, typer.Option(help="Only returns in this state.")] = None,
        order: Annotated[str | None, typer.Option(help="Only returns of this order.")] = None,
        limit: Annotated[int, typer.Option(min=1, help="At most this many, the newest first.")] = 20,
        json: JsonOption = False,
    ) -> None:
        """List returns.

        Example: `tidegate returns list --state APPROVED`
        """
        rows = run(_list(Settings(), state, order, limit))
        if json:
            emit_json({"returns": rows})
        else:
            emit_table(f"{len(rows)} returns", rows, _COLUMNS)

    @returns.command()
    def show(return_id: Annotated[str, typer.Argument(help="The return.")], json: JsonOption = False) -> None:
        """Show a return: what comes back, where it stands, what it waits for.

        Example: `tidegate returns show 3c0a…`
        """
        found = run(_show(Settings(), return_id))
        if json:
            emit_json(found)
            return
        for name in _SHOWN:
            if found.get(name) is not None:
                say(f"{name.replace('_', ' '):16} {found[name]}")
        emit_table("lines", found["lines"], _LINES)


def _pieces(line: str) -> Pieces:
    sku, _, quantity = line.rpartition("=")
    if not sku or not quantity.isdecimal():
        raise InvalidInputError(f"--line {line}: it must be SKU=QTY, say DESK=1")
    return Pieces(sku, int(quantity))


async def _request(
    settings: Settings, return_id: str, order_id: str, reason: Reason, lines: list[Pieces]
) -> str:
    async with open_services(settings) as services:
        if await services.oms.order(order_id) is None:
            raise InvalidInputError(f"OMS holds no order {order_id}; `tidegate orders` lists those it has")
        return str(await services.returns.request(return_id, order_id, reason, lines))


async def _list(
    settings: Settings, state: ReturnState | None, order_id: str | None, limit: int
) -> list[dict[str, Any]]:
    async with open_services(settings) as services:
        return [
            _row(one) for one in await services.returns.views(state=state, order_id=order_id, limit=limit)
        ]


async def _show(settings: Settings, return_id: str) -> dict[str, Any]:
    async with open_services(settings) as services:
        found = await services.returns.view(return_id)
    if found is None:
        raise InvalidInputError(
            f"there is no return {return_id}; `tidegate returns list` shows what there is"
        )
    client = await connect(settings.temporal)
    try:
        snapshot: dict[str, Any] = await client.get_workflow_handle(
            RETURN.workflow_id(return_id=return_id)
        ).query(GET_SNAPSHOT, rpc_timeout=_PATIENCE)
    except RPCError as error:
        missing = error.status is RPCStatusCode.NOT_FOUND
        why = "no such workflow yet" if missing else f"no worker answers ({error.status.name.lower()})"
        snapshot = {"step": f"unknown: {why}"}
    except WorkflowQueryFailedError as error:
        snapshot = {"step": f"unknown: {error}"}
    return {
        **_row(found),
        **{name: snapshot.get(name) for name in ("step", "blocking_reason", "inspection_overdue", "refused")},
    }


def _row(one: ReturnView) -> dict[str, Any]:
    return {name: value for name, value in asdict(one).items() if value is not None}
