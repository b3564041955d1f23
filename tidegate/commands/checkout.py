"""``tidegate checkout``: submit checkouts, look at one, decide on one that is under review."""

from __future__ import annotations

from typing import Annotated

import typer

from infra.settings import Settings
from tidegate.checkouts import decide_checkout, describe_checkout, list_checkouts
from tidegate.commands.submit import CHECKOUTS, SkipBad, submit_file
from tidegate.console import JsonOption, emit_json, emit_table, run, say

_COLUMNS = ("checkout_id", "order_id", "state", "amount", "currency", "code", "recorded_at", "closed_at")
_SHOWN = (
    *(
        "checkout_id",
        "order_id",
        "state",
        "amount",
        "currency",
        "workflow",
        "step",
        "blocking_reason",
        "deadline",
    ),
    *("fraud_decision", "review_decision", "code", "closing_reason", "waited_for"),
)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    checkout = typer.Typer(no_args_is_help=True, help="Orders that are paid for: submit, show, decide.")
    app.add_typer(checkout, name="checkout")

    @checkout.command()
    def submit(
        file: Annotated[
            str, typer.Argument(metavar="FILE|-", help="JSON Lines, one checkout a line; - reads stdin.")
        ],
        skip_bad: SkipBad = False,
        json: JsonOption = False,
    ) -> None:
        """Submit the checkouts in FILE: each becomes a CheckoutRequested event, through the storefront's outbox.

        Lines as those of `tidegate submit`, with a `payment_token`, the provider's reference to the means of payment,
        and perhaps a `checkout_id`. A bad line is named with its number, field and reason, and then nothing is
        submitted, unless --skip-bad. A `request_id` that was submitted before is not submitted again.

        Example: `tidegate checkout submit checkouts.jsonl`, with lines like
        `{"request_id":"r-1","customer_id":"c-7","currency":"EUR","ordered_at":"2026-11-21T10:00:00Z",
        "payment_token":"tok_visa","lines":[{"sku":"DESK","quantity":1,"unit_price":"249.00"}]}`
        """
        submit_file(file, CHECKOUTS, skip_bad=skip_bad, json=json)

    @checkout.command(name="list")
    def list_(
        state: Annotated[
            str | None, typer.Option(help="Only checkouts in this state, say AWAITING_DECISION.")
        ] = None,
        limit: Annotated[int, typer.Option(min=1, help="At most this many, the newest first.")] = 20,
        json: JsonOption = False,
    ) -> None:
        """List checkouts, the newest first.

        Example: `tidegate checkout list --state AWAITING_DECISION`
        """
        rows = run(list_checkouts(Settings(), state=state, limit=limit))
        if json:
            emit_json({"checkouts": rows})
        else:
            emit_table(f"{len(rows)} checkouts", rows, _COLUMNS)

    @checkout.command()
    def show(
        checkout_id: Annotated[str, typer.Argument(metavar="ID", help="A checkout.")],
        json: JsonOption = False,
    ) -> None:
        """Show where a checkout stands: its state, and the snapshot of its workflow.

        Example: `tidegate checkout show 0d3f9c1e-…`
        """
        found = run(describe_checkout(Settings(), checkout_id))
        if json:
            emit_json(found)
            return
        for name in _SHOWN:
            if found.get(name) is not None:
                say(f"{name.replace('_', ' '):16} {found[name]}")

    @checkout.command()
    def decide(
        checkout_id: Annotated[str, typer.Argument(metavar="ID", help="A checkout that is under review.")],
        decision: Annotated[str, typer.Argument(metavar="approved|rejected", help="What becomes of it.")],
        reviewer: Annotated[str, typer.Option(help="Who decides: a reference, never a name.")],
        reason: Annotated[str | None, typer.Option(help="Why; a code, nothing personal.")] = None,
        json: JsonOption = False,
    ) -> None:
        """Decide on a checkout, once: publishes ManualReviewDecided, which reaches its workflow through Kafka.

        A decision made before stands, and one on a checkout that has ended is refused.

        Example: `tidegate checkout decide 0d3f9c1e-… approved --reviewer r-17`
        """
        review = run(decide_checkout(Settings(), checkout_id, decision, reviewer, reason))
        if json:
            emit_json(review)
        elif review["new"]:
            say(f"checkout {checkout_id}: {review['decision']}")
        else:
            say(
                f"checkout {checkout_id}: {review['decision']} before, by {review['reviewer_id']}; that stands"
            )
