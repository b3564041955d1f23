"""Modules that are imported while other things go on: by one thread, one after the other.

Python lets two threads import at once, each module under a lock of its own. Where modules import each other, and the
two threads come from different ends, each holds what the other waits for; Python sees that and shows one of them a
module that is half made. ``temporalio`` is such a package: one end of it in one thread, the other in another, and one
of them failed in 4 of 60 tries, with an ImportError, an AttributeError or a TypeError of protobuf's.
"""

from __future__ import annotations

import asyncio
import functools
import importlib
import os
from concurrent.futures import ThreadPoolExecutor


@functools.cache
def _thread() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max_workers=1, thread_name_prefix="loading")


os.register_at_fork(after_in_child=_thread.cache_clear)  # a child has none of its parent's threads


async def load(*names: str) -> None:
    """Import the modules ``names``, and return when all of them can be used; the event loop goes on meanwhile.

    While anything is loaded so, whoever imports the same packages does it this way too, in whatever thread he is: the
    ``import`` statement comes after. Raises what importing raises.
    """
    await asyncio.wrap_future(_thread().submit(_import, names))


def _import(names: tuple[str, ...]) -> None:
    for name in names:
        importlib.import_module(name)
