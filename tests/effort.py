"""How much a test tries: enough to be worth it in every ``make test``, and much more in ``make soak``."""

from __future__ import annotations

import os
from typing import Final

_THOROUGH: Final = os.environ.get("TIDEGATE_TESTS") == "thorough"


def tries(few: int, many: int) -> int:
    """``many`` where ``TIDEGATE_TESTS=thorough`` asks for it, or else ``few``."""
    return many if _THOROUGH else few
