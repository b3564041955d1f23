"""``tidegate submit``: orders, and checkouts, from a file into the loop."""

from __future__ import annotations

import sys
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Generic, TypeAlias, TypeVar

import typer

from infra.errors import InvalidInputError
from infra.settings import Settings
from infra.telemetry import configure_telemetry
from services.orders import CheckoutSubmission, OrderSubmission
from services.upstream import Storefront, SubmitResult
from services.upstream.checkout_file import parse_checkouts
from services.upstream.order_file import BadLine, parse_orders
from tidegate.console import JsonOption, emit_json, note, run, say
from tidegate.wiring.services import open_storefront

_SHOWN_AT_MOST = 20
_PROGRESS_EVERY = 2.0


SkipBad = Annotated[bool, typer.Option("--skip-bad", help="Submit the good lines although others are bad.")]

Wish = TypeVar("Wish")
Progress: TypeAlias = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Found(Generic[Wish]):
    """What a file holds: what is to be submitted, and the lines that are bad."""

    submissions: tuple[Wish, ...]
    bad: tuple[BadLine, ...]


@dataclass(frozen=True, slots=True)
class Kind(Generic[Wish]):
    """What is submitted: how it is called, how a file of it is read, and how it is sent."""

    noun: str
    parse: Callable[[Iterable[bytes]], Found[Wish]]
    send: Callable[[Storefront, tuple[Wish, ...], Progress], Awaitable[SubmitResult]]


def _orders_in(lines: Iterable[bytes]) -> Found[OrderSubmission]:
    file = parse_orders(lines)
    return Found(file.submissions, file.bad)


def _checkouts_in(lines: Iterable[bytes]) -> Found[CheckoutSubmission]:
    file = parse_checkouts(lines)
    return Found(file.submissions, file.bad)


ORDERS: Final = Kind(
    "orders", _orders_in, lambda storefront, wishes, progress: storefront.submit(wishes, progress=progress)
)
CHECKOUTS: Final = Kind(
    "checkouts",
    _checkouts_in,
    lambda storefront, wishes, progress: storefront.submit_checkouts(wishes, progress=progress),
)


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def submit(
        file: Annotated[
            str, typer.Argument(metavar="FILE|-", help="JSON Lines, one order a line; - reads stdin.")
        ],
        skip_bad: SkipBad = False,
        paid: Annotated[
            bool, typer.Option("--paid", help="Orders that are paid for: lines with a `payment_token`.")
        ] = False,
        json: JsonOption = False,
    ) -> None:
        """Submit the orders in FILE: each becomes an OrderSubmitted event, through the storefront's outbox.

        One order a line: `request_id`, `customer_id`, `currency`, `ordered_at` and `lines` of `sku`, `quantity`,
        `unit_price` and `discount`; amounts as strings. A bad line is named with its number, field and reason, and
        then nothing is submitted, unless --skip-bad. A `request_id` that was submitted before is not submitted
        again, so a command that was interrupted can be repeated. With --paid each becomes a CheckoutRequested event,
        as with `tidegate checkout submit`.

        Example: `tidegate submit orders.jsonl` or `zcat orders.gz | tidegate submit -`, with lines like
        `{"request_id":"r-1","customer_id":"c-7","currency":"EUR","ordered_at":"2026-11-21T10:00:00Z",
        "lines":[{"sku":"DESK","quantity":1,"unit_price":"249.00","discount":"0.15"}]}`
        """
        submit_file(file, CHECKOUTS if paid else ORDERS, skip_bad=skip_bad, json=json)


def submit_file(file: str, kind: Kind[Any], *, skip_bad: bool, json: bool) -> None:
    """Submit what ``file`` (``-``: stdin) holds, and say what became of it. Raises :class:`InvalidInputError`."""
    settings = Settings()
    configure_telemetry(settings, process="submit")
    name = "stdin" if file == "-" else file
    found = _read(file, name, kind)
    refused = bool(found.bad) and not skip_bad
    if not json and not (refused and len(found.bad) == 1):
        _name_bad_lines(found, name)
    if refused:
        if json:
            emit_json(_figures(found, SubmitResult(0, 0)))
        raise InvalidInputError(_refusal(found, name))
    result = run(_submit(settings, found.submissions, kind)) if found.submissions else SubmitResult(0, 0)
    if json:
        emit_json(_figures(found, result))
    else:
        _tell(result, len(found.bad), kind.noun)
    if result.conflicts:
        raise InvalidInputError(
            f"{name}: {len(result.conflicts)} {kind.noun} were submitted before with other content, which stands: "
            f"{', '.join(result.conflicts[:3])}{' …' if len(result.conflicts) > 3 else ''}"
        )


def _read(file: str, name: str, kind: Kind[Wish]) -> Found[Wish]:
    if file == "-":
        return kind.parse(sys.stdin.buffer)
    try:
        with Path(file).open("rb") as opened:
            return kind.parse(opened)
    except OSError as error:
        raise InvalidInputError(f"{name}: cannot be read: {error.strerror}") from error


async def _submit(settings: Settings, submissions: tuple[Wish, ...], kind: Kind[Wish]) -> SubmitResult:
    async with open_storefront(settings) as storefront:
        return await kind.send(storefront, submissions, _progress(len(submissions), kind.noun))


def _progress(total: int, noun: str) -> Callable[[int], None]:
    """Say how far it is, every two seconds; short work says nothing."""
    said = time.monotonic()

    def tell(done: int) -> None:
        nonlocal said
        if time.monotonic() - said >= _PROGRESS_EVERY:
            said = time.monotonic()
            note(f"{done} of {total} {noun} submitted")

    return tell


def _name_bad_lines(found: Found[Any], name: str) -> None:
    for bad in found.bad[:_SHOWN_AT_MOST]:
        note(f"{name}:{bad}")
    if len(found.bad) > _SHOWN_AT_MOST:
        note(f"{name}: and {len(found.bad) - _SHOWN_AT_MOST} more bad lines")


def _refusal(found: Found[Any], name: str) -> str:
    """One line; a single bad line is named in it, several are named elsewhere."""
    if len(found.bad) == 1:
        return f"{name}:{found.bad[0]}; nothing was submitted: mend the line, or pass --skip-bad"
    total = len(found.bad) + len(found.submissions)
    return f"{name}: {len(found.bad)} of {total} lines are bad; nothing was submitted: mend them, or pass --skip-bad"


def _tell(result: SubmitResult, bad: int, noun: str) -> None:
    parts = [f"{result.submitted} {noun} submitted"]
    if result.repeated:
        parts.append(f"{result.repeated} were submitted before")
    if bad:
        parts.append(f"{bad} bad lines skipped")
    say("; ".join(parts))


def _figures(found: Found[Any], result: SubmitResult) -> dict[str, object]:
    return {**asdict(result), "bad": [asdict(bad) for bad in found.bad]}
