"""Ctrl-C in the first seconds of a command that starts processes."""

from __future__ import annotations

import asyncio
import sys

_COMMAND = """
import multiprocessing, os, signal, threading
from tidegate.supervisor import warm_up

def interrupt_until(done):
    while not done.wait(0.01):
        os.killpg(os.getpgrp(), signal.SIGINT)

if __name__ == "__main__":
    warm_up()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # this test is not about the process in front
    done = threading.Event()
    threading.Thread(target=interrupt_until, args=(done,)).start()
    child = multiprocessing.get_context("forkserver").Process(target=print, args=("forked",))
    try:
        child.start()
        child.join()
    finally:
        done.set()
"""


async def test_ctrl_c_does_not_reach_the_server_that_children_come_from() -> None:
    """A terminal sends Ctrl-C to every process of its group: the server, whatever it is importing, goes on."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        _COMMAND,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    out, err = await process.communicate()
    assert (process.returncode, out.decode().strip(), err.decode()) == (0, "forked", "")
