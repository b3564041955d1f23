"""Python's cycle collector in a process that runs for long and makes many short-lived objects.

A consumer holds some thousand records in hand, which are no garbage, and makes ten objects for each: by default the
collector looks at the youngest after every 700, and now and then at every module that was ever loaded. That took an
eighth of the processor time of a record (docs/decisions/0021). What is freed by counting references, nearly
everything, it has nothing to do with.
"""

from __future__ import annotations

import gc
from typing import Final

_YOUNG: Final = 10_000
"""New objects between two looks at the youngest: a few megabytes that a cycle may hold for longer."""
_LOOKS: Final = 20
"""Looks at one generation between two at the next."""


def settle_collector() -> None:
    """Have the collector pass over all that is loaded by now, and look less often at what is new.

    To be called once in a process, when it is ready to work: garbage that is there then is collected first.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG, _LOOKS, _LOOKS)
