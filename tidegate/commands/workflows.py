"""``tidegate workflows``: list them, look into one, signal, query, cancel and resume it."""

from __future__ import annotations

import json as jsonlib
from collections.abc import Awaitable, Callable
from typing import Annotated, Any

import typer
from temporalio.client import Client

from infra.clients.temporal import connect
from infra.errors import InvalidInputError
from infra.settings import Settings
from tidegate import workflow_desk as desk
from tidegate.console import JsonOption, emit_json, emit_table, run, say

_COLUMNS = ("workflow_id", "type", "state", "status", "order_id", "started_at", "closed_at")
_PENDING = ("activity", "state", "attempt", "next_attempt_at", "last_failure", "worker")

WorkflowId = Annotated[str, typer.Argument(metavar="ID", help="The workflow's id.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    workflows = typer.Typer(no_args_is_help=True, help="Workflows in Temporal: look at them, act on them.")
    app.add_typer(workflows, name="workflows")
    _add_looking(workflows)
    _add_acting(workflows)


def _add_looking(app: typer.Typer) -> None:
    @app.command("list")
    def list_(
        kind: Annotated[
            str | None, typer.Option("--type", help="Only this workflow, say CheckoutWorkflow.")
        ] = None,
        status: Annotated[
            str | None, typer.Option(help="Only those that show this status, say WAITING_FOR_STOCK.")
        ] = None,
        state: Annotated[
            str | None, typer.Option(help=f"Only those in this state of Temporal: {', '.join(desk.STATES)}.")
        ] = None,
        order: Annotated[str | None, typer.Option(help="Only those about this order.")] = None,
        limit: Annotated[int, typer.Option(min=1, help="At most so many, the newest first.")] = 20,
        json: JsonOption = False,
    ) -> None:
        """List workflows by type, by what they are doing, by order.

        Example: `tidegate workflows list --type OrderFulfillmentWorkflow --status WAITING_FOR_STOCK --state RUNNING`
        """
        rows = _with_client(
            lambda client: desk.list_workflows(
                client, kind=kind, status=status, state=state, order_id=order, limit=limit
            )
        )
        if json:
            emit_json({"workflows": rows})
        else:
            emit_table(f"{len(rows)} workflows", rows, _COLUMNS)

    @app.command()
    def show(workflow_id: WorkflowId, json: JsonOption = False) -> None:
        """Show one: its state, what its queries answer, which activities are pending, what happened in it.

        Example: `tidegate workflows show order-fulfillment-6f1d2a52-…`
        """
        found = _with_client(lambda client: desk.show_workflow(client, workflow_id))
        if json:
            emit_json(found)
            return
        for name in (*_COLUMNS, "run_id", "task_queue", "events", "pending_workflow_task_attempt"):
            if found[name] is not None:
                say(f"{name.replace('_', ' '):30} {found[name]}")
        for name, answer in found["queries"].items():
            say(f"{name:30} {answer if isinstance(answer, str) else jsonlib.dumps(answer, default=str)}")
        for child in found["pending_children"]:
            say(f"{'pending child':30} {child}")
        emit_table(
            f"{len(found['pending_activities'])} pending activities", found["pending_activities"], _PENDING
        )
        emit_table("what happened, oldest first", found["history"], ("event", "time", "what"))

    @app.command()
    def query(
        workflow_id: WorkflowId,
        name: Annotated[str, typer.Argument(metavar="QUERY", help="Its name, say getStatus.")],
        json: JsonOption = False,
    ) -> None:
        """Ask a workflow, open or closed. `workflows show` asks it everything that it answers.

        Example: `tidegate workflows query order-fulfillment-6f1d2a52-… getBlockingReason`
        """
        answer = _with_client(lambda client: desk.query_workflow(client, workflow_id, name))
        if json:
            emit_json({"workflow_id": workflow_id, "query": name, "answer": answer})
        else:
            say(answer if isinstance(answer, str) else jsonlib.dumps(answer, indent=2, default=str))


def _add_acting(app: typer.Typer) -> None:
    @app.command()
    def signal(
        workflow_id: WorkflowId,
        name: Annotated[str, typer.Argument(metavar="SIGNAL", help="Its name, say PickCompleted.")],
        payload: Annotated[str, typer.Option(help="What it says, as a JSON object.")] = "{}",
        event_id: Annotated[
            str | None,
            typer.Option(help="The event that it stands for: the same id twice has its effect once."),
        ] = None,
        json: JsonOption = False,
    ) -> None:
        """Signal a workflow as the bridge would, say for a fact that its source cannot publish.

        The payload is checked first. Without --event-id a new id is made, and printed.

        Example: `tidegate workflows signal order-fulfillment-6f1d2a52-… PickCompleted
        --payload '{"order_id": "6f1d2a52-…"}' --event-id scanner-4711`
        """
        said = _json_object(payload)
        chosen = _with_client(lambda client: desk.signal_workflow(client, workflow_id, name, said, event_id))
        if json:
            emit_json({"workflow_id": workflow_id, "signal": name, "event_id": chosen})
        else:
            say(f"{name} sent to {workflow_id} as event {chosen}")

    @app.command()
    def cancel(
        workflow_id: WorkflowId,
        reason: Annotated[str, typer.Option(help="A code, nothing personal.")] = "operator",
        json: JsonOption = False,
    ) -> None:
        """Ask a workflow to end: it undoes what it has done first, or goes on where it is too late.

        To cancel an order use `tidegate orders cancel`, which tells everybody who must know.

        Example: `tidegate workflows cancel replenishment-bolt-3 --reason wrong-lot`
        """
        answer = _with_client(lambda client: desk.cancel_workflow(client, workflow_id, reason))
        if json:
            emit_json({"workflow_id": workflow_id, "cancel": answer})
        else:
            say(f"{workflow_id}: {answer}")

    @app.command()
    def resume(
        workflow_id: WorkflowId,
        activity: Annotated[
            str | None, typer.Option(help="Only this activity, or from where this one failed.")
        ] = None,
        reason: Annotated[str, typer.Option(help="A code, kept in its history.")] = "operator",
        dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
        json: JsonOption = False,
    ) -> None:
        """Get a stuck workflow going again, once what stopped it is mended.

        One that runs: paused activities go on, and activities that wait for their next attempt are tried now. One
        that failed, timed out, was cancelled or terminated: it is reset to its last good workflow task, the one that
        scheduled the activity which failed for good (or the last one at all, where none failed), and goes on from
        there as a new run under the same id. What was signalled meanwhile is signalled again.

        Example: `tidegate workflows resume order-fulfillment-6f1d2a52-… --dry-run`
        """
        done = _with_client(
            lambda client: desk.resume_workflow(
                client, workflow_id, activity=activity, reason=reason, dry_run=dry_run
            )
        )
        if json:
            emit_json({"workflow_id": workflow_id, "dry_run": dry_run, "done": done})
        else:
            for line in done:
                say(f"{workflow_id}: {'would be ' if dry_run else ''}{line}")


def _with_client(work: Callable[[Client], Awaitable[Any]]) -> Any:
    async def working() -> Any:
        return await work(await connect(Settings().temporal, identity="tidegate-operator"))

    return run(working())


def _json_object(text: str) -> dict[str, Any]:
    try:
        value = jsonlib.loads(text)
    except ValueError as error:
        raise InvalidInputError(f"--payload is no JSON: {error}") from error
    if not isinstance(value, dict):
        raise InvalidInputError('--payload takes a JSON object, say \'{"order_id": "…"}\'')
    return value
