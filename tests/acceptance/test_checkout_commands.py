"""``tidegate checkout``, as a user types it: submit, list, show, decide."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from infra.ids import order_id_of
from infra.local import Stack
from services.checkouts import Checkouts
from services.orders import CheckoutSubmission
from tests.command_support import Workplace, workplace
from tests.services_support import submission
from tests.unit.test_upstream_order_file import order
from tidegate.wiring.services import open_database


@pytest_asyncio.fixture(loop_scope="session")
async def place(
    stack: Stack, tmp_path: Path, postgres_dsn: str, upstream_dsn: str
) -> AsyncIterator[Workplace]:
    """Fresh databases on the shared servers."""
    async with workplace(stack, tmp_path, postgres_dsn, upstream_dsn) as opened:
        yield opened


async def test_checkouts_are_submitted_once_and_bad_lines_are_named(place: Workplace) -> None:
    """As with orders: nothing is submitted where a line is bad, unless --skip-bad; `submit --paid` is the same."""
    good = json.dumps({**order(request_id="r-1"), "payment_token": "tok_visa"})
    bad = json.dumps({**order(request_id="r-2"), "payment_token": "4111 1111 1111 1111"})
    both = f"{good}\n{bad}\n".encode()
    refused = await place.tidegate("checkout", "submit", "-", stdin=both)
    assert (refused.status, refused.out) == (2, "")
    assert refused.err.strip().splitlines()[-1].startswith("tidegate: stdin:2: payment_token: ")
    assert "4111" not in refused.err
    skipped = await place.tidegate("submit", "--paid", "--skip-bad", "-", "--json", stdin=both)
    assert (skipped.status, skipped.data["submitted"], skipped.data["bad"][0]["line"]) == (0, 1, 2)
    again = await place.tidegate("checkout", "submit", "-", stdin=good.encode())
    assert (again.status, again.out) == (0, "0 checkouts submitted; 1 were submitted before\n")


async def test_a_checkout_is_shown_and_decided_on_once(place: Workplace, unique: str) -> None:
    """A decision is published once and stands; what is unknown, or has ended, is refused in one line."""
    request_id = f"r-{unique}"
    async with open_database(place.settings) as (sessions, outbox):
        checkouts = Checkouts(sessions, outbox)
        await checkouts.validate(CheckoutSubmission(unique, "tok_visa", submission(request_id)))
        await checkouts.request_fraud_check(unique)
        shown = (await place.tidegate("checkout", "show", unique, "--json")).data
        assert (shown["state"], shown["amount"], shown["order_id"]) == (
            "AWAITING_DECISION",
            "16.98",
            order_id_of(request_id),
        )
        assert shown["blocking_reason"] == "no such workflow yet"
        decided = await place.tidegate(
            "checkout", "decide", unique, "approved", "--reviewer", "r-17", "--json"
        )
        assert (decided.status, decided.data["new"]) == (0, True)
        again = await place.tidegate("checkout", "decide", unique, "rejected", "--reviewer", "r-18")
        assert (again.status, again.out) == (0, f"checkout {unique}: approved before, by r-17; that stands\n")
        await checkouts.reject(unique, order_id_of(request_id), "FRAUD", "no")
    ended = await place.tidegate("checkout", "decide", unique, "approved", "--reviewer", "r-17")
    assert (ended.status, ended.err) == (
        2,
        f"tidegate: checkout {unique} is REJECTED: there is nothing to decide any more\n",
    )
    unknown = await place.tidegate("checkout", "show", "nobody-knows-it")
    assert unknown.status == 2
    assert "there is no checkout nobody-knows-it" in unknown.err
    listed = (await place.tidegate("checkout", "list", "--state", "REJECTED", "--json")).data["checkouts"]
    assert [one["checkout_id"] for one in listed] == [unique]
