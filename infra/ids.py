"""Identifiers that anyone can compute again, and the form that every reference has.

Source: design §11, "Ids"; RFC 9562 §5.5 (name-based UUID, version 5).
"""

from __future__ import annotations

import re
from typing import Final
from uuid import UUID, uuid5

TIDEGATE: Final = UUID("6f1d2a52-3f0c-5b7e-9a44-7c1e5d0b8a10")
"""The published namespace of every id that tidegate derives. It never changes."""


def derived_id(kind: str, *parts: str | int) -> UUID:
    """The id of ``kind`` that belongs to ``parts``: ``uuid5(TIDEGATE, "<kind>:<part>/<part>…")``.

    The same arguments give the same id on every machine and in every release. A slash inside a part is
    escaped, so that ``("a/b", "c")`` and ``("a", "b/c")`` differ.
    """
    path = "/".join(str(part).replace("%", "%25").replace("/", "%2F") for part in parts)
    return uuid5(TIDEGATE, f"{kind}:{path}")


def order_id_of(request_id: str) -> str:
    """The order id that a submission will have, known before the order exists (design §4)."""
    return str(derived_id("order", request_id))


_WORD: Final = re.compile(r"[A-Za-z0-9._:/~-]{1,200}")


def is_word(text: str) -> bool:
    """Whether ``text`` can be a reference or a code: one word of letters, digits and ``. _ : / ~ -``, at most 200.

    No e-mail address, telephone number with its plus, or full name has that form (000, "Security").
    """
    return _WORD.fullmatch(text) is not None
