"""How a process that moves much data keeps its memory: for what lives a moment, and comes again at once.

Measured on the relay (docs/decisions/0020): what CPython and glibc do by default costs a quarter of its CPU.
"""

from __future__ import annotations

import ctypes
import gc
from contextlib import suppress
from typing import Final

_OBJECTS: Final = 50_000
"""Containers more than were freed after which the youngest generation is looked through (700 by default)."""
_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3
_BLOCK: Final = 64 * 1024 * 1024
"""Bytes; blocks below this size come from the heap and go back to it."""
_SPARE: Final = 32 * 1024 * 1024
"""Bytes at the end of the heap that stay with the process."""


def for_bulk_work() -> None:
    """Keep freed blocks of some megabytes for the next of their kind, and look for cycles seldom.

    A page is thousands of rows that no cycle holds, and every request that carries one is copied several times by
    those who frame it. glibc would map fresh pages for each copy, and the kernel fill them with zeros. Where the C
    library knows no ``mallopt``, only the second half is done.
    """
    gc.set_threshold(_OBJECTS, 20, 20)
    with suppress(AttributeError, OSError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_MMAP_THRESHOLD, _BLOCK)
        mallopt(_M_TRIM_THRESHOLD, _SPARE)
