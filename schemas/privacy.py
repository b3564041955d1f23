"""What a field may hold: references, codes, and sentences of our own making; nothing about a person.

An event names people by reference only, so that a topic, a history or a log can be kept, copied and read without asking
who is in it. Three rules over the fields of any event, by name and by form:

- A *reference* (:data:`REFERENCES`: whom, which request, by what means of payment) is one word, as
  :func:`infra.ids.is_word` says. That excludes e-mail addresses, telephone numbers and full names by their form. It
  cannot exclude a reference that is a name (``jane.doe``): whoever hands out references must not use one.
- A *text* (:data:`TEXTS`: why) from outside is let through only where it is one word, a code as
  ``customer-request``: no pattern recognises a name in a sentence, so sentences are taken from our own services only.
- In every other field, and in our own sentences, an e-mail address or a telephone number is no more welcome.

Source: 000, "Security": "PII not stored in payloads"; design §9, promise 8.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Final, TypeVar

from infra.ids import is_word
from schemas.errors import PersonalDataError
from schemas.event import Event, Record
from schemas.primitives import JSON

EventType = TypeVar("EventType", bound=Event)

REFERENCES: Final = frozenset(
    {
        "request_id", "customer_id", "requested_by", "reviewer_id", "payment_token", "order_id", "checkout_id",
        "cart_id", "return_id",
    }
)  # fmt: skip
"""Fields that name somebody, or come from somebody who might put a name there."""

TEXTS: Final = frozenset({"reason"})
"""Fields that hold a sentence or a code."""

REMOVED: Final = "(text removed)"
"""What stands where a text was taken out."""

_PERSONAL: Final = re.compile(r"[^\s@]+@[^\s@]+\.[^\s@]+|\+\d[\d ()/.-]{6,}\d|\b0\d{2,4}[ /]\d[\d -]{4,}\d")
"""E-mail addresses, and telephone numbers written with their plus or with their area code set off."""

_MARKS: Final = re.compile(r"[@+ /]")
"""Each of them has one of these. Most texts have none, and are let go in a twentieth of the time."""


def publishable(event: EventType) -> EventType:
    """``event`` as we may publish it: its texts without e-mail addresses and telephone numbers.

    Raises :class:`PersonalDataError` where another field breaks a rule.
    """
    require_references(event)
    mended = {
        name: without_contacts(text)
        for name in TEXTS & type(event).__dataclass_fields__.keys()  # type: ignore[attr-defined]
        if isinstance(text := getattr(event, name), str) and holds_contacts(text)
    }
    return replace(event, **mended) if mended else event  # type: ignore[type-var]


def require_references(event: Event) -> None:
    """Raise :class:`PersonalDataError`, which names the field and shows nothing of it, where a field other than a text
    breaks a rule."""
    for path, name, value in _texts_of(event, ""):
        if name in TEXTS:
            continue
        if name in REFERENCES and value and not is_word(value):
            raise PersonalDataError(
                f"{type(event).__name__}.{path} is a reference: one word of letters, digits and . _ : / ~ -"
            )
        if holds_contacts(value):
            raise PersonalDataError(
                f"{type(event).__name__}.{path} holds what looks like an e-mail address or a telephone number"
            )


def holds_contacts(text: str) -> bool:
    """Whether an e-mail address or a telephone number is in ``text``."""
    return _MARKS.search(text) is not None and _PERSONAL.search(text) is not None


def without_contacts(text: str) -> str:
    """``text`` with every e-mail address and telephone number taken out."""
    return _PERSONAL.sub(REMOVED, text)


def without_texts(fields: Mapping[str, JSON]) -> dict[str, JSON]:
    """The ``fields`` of an event from outside, every text of them that is no code taken out."""
    return {
        name: REMOVED if name in TEXTS and isinstance(value, str) and not is_word(value) else value
        for name, value in fields.items()
    }


def _texts_of(record: Record, inside: str) -> Iterator[tuple[str, str, str]]:
    """(path, field, value) of every text in ``record``, and in the records that it holds."""
    names: tuple[str, ...] = tuple(record.__dataclass_fields__)  # type: ignore[attr-defined]
    for name in names:
        value: Any = getattr(record, name)
        if isinstance(value, str):
            yield inside + name, name, value
        elif isinstance(value, tuple):
            for number, part in enumerate(value):
                if isinstance(part, Record):
                    yield from _texts_of(part, f"{inside}{name}[{number}].")
                elif isinstance(part, str):
                    yield f"{inside}{name}[{number}]", name, part
        elif isinstance(value, Record):
            yield from _texts_of(value, f"{inside}{name}.")
