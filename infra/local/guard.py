"""The small process that stands between the stack and one server, so that no server is ever left behind.

Run as a script, with the standard library only, so that it starts in a few milliseconds. It is told what
to run by one JSON argument, starts that, and then obeys its standard input:

    ``t``          stop the server in its own way (``stop_signal``), and by SIGKILL after ``grace`` seconds
    ``k``          SIGKILL
    end of file    the parent is gone, also by SIGKILL: as ``t``, after removing ``remove_when_orphaned``

It prints the server's pid in the first line, and ends when the server *and all its children* have ended,
so that whoever waits for the guard may start a server on the same port and data at once. ``when_orphaned``,
if given, is a last command to run when the parent was gone. Should the guard itself be killed, the kernel
ends the server (``PR_SET_PDEATHSIG``, Linux).
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_LOOK_AT_PARENT_EVERY = 1.0  # seconds; a fork of the parent may hold its end of the pipe open
_PATIENCE_WITH_CHILDREN = 2.0  # seconds
_STOP, _KILL, _NOTHING = b"t", b"k", b"-"


def main() -> int:
    """Run one server until it ends; its exit status (128 + signal where a signal ended it)."""
    order: dict[str, Any] = json.loads(sys.argv[1])
    parent = os.getppid()
    libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None
    if libc is not None:
        libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    wake = _wake_on_child_end()
    for ignored in (signal.SIGINT, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    server = _start(order, libc)
    signal.signal(signal.SIGTERM, lambda *_: server.send_signal(order["stop_signal"]))
    os.write(1, f"{server.pid}\n".encode())
    os.close(1)
    orphaned = _obey(server, order, parent, wake)
    _end_children()
    if orphaned and order["when_orphaned"]:
        subprocess.run(order["when_orphaned"], stdin=subprocess.DEVNULL, stdout=2, check=False)
    status: int = server.returncode
    return status if status >= 0 else 128 - status


def _obey(server: subprocess.Popen[bytes], order: dict[str, Any], parent: int, wake: socket.socket) -> bool:
    """Return when the server has ended; whether the parent was gone by then."""
    orphaned = False
    kill_at: float | None = None
    while server.poll() is None:
        patience = (
            _LOOK_AT_PARENT_EVERY if kill_at is None else min(1.0, max(0.0, kill_at - time.monotonic()))
        )
        watched = [wake.fileno()] if orphaned else [wake.fileno(), 0]
        ready, _, _ = select.select(watched, [], [], patience)
        if wake.fileno() in ready:
            wake.recv(4096)
        told = _NOTHING
        if not orphaned:
            told = os.read(0, 1) if 0 in ready else _NOTHING
            orphaned = told == b"" or os.getppid() != parent
        if orphaned and kill_at is None:
            for path in order["remove_when_orphaned"]:
                with contextlib.suppress(OSError):
                    Path(path).unlink()
        if told == _KILL or (kill_at is not None and time.monotonic() >= kill_at):
            server.kill()
        elif kill_at is None and (orphaned or told == _STOP):
            server.send_signal(order["stop_signal"])
            kill_at = time.monotonic() + order["grace"]
    return orphaned


def _start(order: dict[str, Any], libc: ctypes.CDLL | None) -> subprocess.Popen[bytes]:
    def in_child() -> None:
        for ignored in (signal.SIGINT, signal.SIGHUP):  # by us; the server is to have its own way
            signal.signal(ignored, signal.SIG_DFL)
        if order["user"] is not None:
            uid, gid = order["user"]
            os.setgroups([])
            os.setgid(gid)
            os.setuid(uid)
        if libc is not None:  # after setuid, which clears it
            libc.prctl(_PR_SET_PDEATHSIG, int(order["orphan_signal"]), 0, 0, 0)

    with Path(order["log"]).open("ab", buffering=0) as log:
        return subprocess.Popen(
            order["command"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=order["folder"],
            env=order["environment"],
            preexec_fn=in_child,
            start_new_session=True,
        )


def _wake_on_child_end() -> socket.socket:
    """A socket that turns readable when a child ends."""
    reader, writer = socket.socketpair()
    reader.setblocking(False)
    writer.setblocking(False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(writer.detach(), warn_on_full_buffer=False)
    return reader


def _end_children() -> None:
    """Wait for the children that the server left to us; kill those that stay too long."""
    deadline = time.monotonic() + _PATIENCE_WITH_CHILDREN
    while True:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid:
            continue
        if time.monotonic() > deadline:
            for child in _children():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child, signal.SIGKILL)
        time.sleep(0.005)


def _children() -> list[int]:
    """Our children, as the kernel lists them (Linux)."""
    found = []
    for folder in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError, IndexError):
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            if folder.name.isdigit() and int(fields[1]) == os.getpid():
                found.append(int(folder.name))
    return found


if __name__ == "__main__":
    sys.exit(main())
