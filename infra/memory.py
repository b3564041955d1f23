"""How a process that moves much data keeps its memory: Python's cycle collector, and the C library's heap.

What frees nearly everything is counting references. By default the collector looks at the youngest objects after every
700, and now and then at every module that was ever loaded, and glibc maps fresh pages for each large block: together an
eighth of a record's processor time in the bridge and a quarter of a row's in the relay (docs/decisions/0020, 0021).
"""

from __future__ import annotations

import ctypes
import gc
from contextlib import suppress
from typing import Final

_LOOKS: Final = 20
"""Looks at one generation between two at the next."""
_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3
_BLOCK: Final = 64 * 1024 * 1024
"""Bytes; blocks below this size come from the heap and go back to it."""
_SPARE: Final = 32 * 1024 * 1024
"""Bytes at the end of the heap that stay with the process."""


def settle_collector(*, young: int = 10_000) -> None:
    """Have the collector pass over all that is loaded by now, and look at what is new once in ``young`` objects.

    To be called once in a process, when it is ready to work: garbage that is there then is collected first.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(young, _LOOKS, _LOOKS)


def keep_large_blocks() -> None:
    """Keep freed blocks of some megabytes for the next of their kind, where the C library knows ``mallopt``.

    A page is thousands of rows, and every request that carries one is copied several times by those who frame it. glibc
    would map fresh pages for each copy, and the kernel fill them with zeros.
    """
    with suppress(AttributeError, OSError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_MMAP_THRESHOLD, _BLOCK)
        mallopt(_M_TRIM_THRESHOLD, _SPARE)
