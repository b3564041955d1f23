"""What is fetched is fetched once, whole, and is what was pinned."""

from __future__ import annotations

import hashlib
import re
import threading
from pathlib import Path

import pytest

from infra.errors import StackError
from infra.local import pinned
from infra.local.cache import build_once, cache_directory
from infra.local.jars import fetch_jars
from infra.local.pinned import Pin, read_pins
from infra.local.temporal_binary import CLI_PINS, CLI_VERSION, parse_server_version


def test_the_cache_is_where_the_user_wants_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``XDG_CACHE_HOME`` decides."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_directory() == tmp_path / "tidegate"


def test_two_starts_at_once_build_once(tmp_path: Path) -> None:
    """The second waits for the first and finds its work."""
    built: list[str] = []
    inside = threading.Event()
    go_on = threading.Event()

    def build(folder: Path) -> None:
        built.append(folder.name)
        inside.set()
        assert go_on.wait(10)
        (folder / "file").write_text("whole")

    said: list[str] = []
    threads = [threading.Thread(target=build_once, args=(tmp_path / "x", build, said.append)) for _ in "ab"]
    threads[0].start()
    assert inside.wait(10)
    threads[1].start()
    while not said:  # the second has met the lock
        threads[1].join(0.01)
    go_on.set()
    for thread in threads:
        thread.join(10)
    assert len(built) == 1
    assert (tmp_path / "x" / "file").read_text() == "whole"


def test_a_build_that_fails_leaves_nothing_that_looks_done(tmp_path: Path) -> None:
    """After a failure in the middle the next start builds again."""

    def fail(folder: Path) -> None:
        (folder / "half").write_text("")
        raise StackError("the network went away")

    with pytest.raises(StackError, match="went away"):
        build_once(tmp_path / "x", fail, print)
    assert not (tmp_path / "x").exists()
    build_once(tmp_path / "x", lambda folder: (folder / "whole").touch(), print)
    assert [path.name for path in (tmp_path / "x").iterdir()] == ["whole"]


@pytest.mark.parametrize("name", ["kafka", "registry", "temporal-test-server"])
def test_every_jar_is_pinned_by_version_and_sum(name: str) -> None:
    """A pin names one version and a whole SHA-256, and is read back as it was written."""
    pins = read_pins(name)
    assert pins
    for pin in pins:
        assert len(bytes.fromhex(pin.sha256)) == hashlib.sha256().digest_size
        assert Pin.parse(f"{pin.coordinate} {pin.sha256}") == pin


@pytest.fixture
def small_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A set of one jar which lies in the user's Maven repository; the path of the jar."""
    jar = tmp_path / "m2" / "org" / "example" / "thing" / "1.0" / "thing-1.0.jar"
    jar.parent.mkdir(parents=True)
    jar.write_bytes(b"as published")
    pins = tmp_path / "pins"
    pins.mkdir()
    (pins / "small.txt").write_text(f"org.example:thing:1.0 {hashlib.sha256(b'as published').hexdigest()}\n")
    monkeypatch.setattr(pinned, "PINS", pins)
    monkeypatch.setenv("M2_REPO", str(tmp_path / "m2"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return jar


def test_a_jar_that_maven_has_already_is_not_fetched_again(small_set: Path) -> None:
    """A file in the user's own Maven repository serves, if its sum is right."""
    folder = fetch_jars("small", lambda _: None)
    assert (folder / small_set.name).read_bytes() == b"as published"


def test_a_jar_with_another_sum_is_refused(small_set: Path) -> None:
    """A file that is not what was pinned is named and never run."""
    small_set.write_bytes(b"something else")
    with pytest.raises(StackError, match=r"org\.example:thing:1\.0 has SHA-256 .* is pinned"):
        fetch_jars("small", lambda _: None)
    assert not list((small_set.parents[5] / "cache").rglob("*.jar"))


@pytest.mark.parametrize(
    ("said", "version"),
    [
        ("temporal version 1.5.1 (Server 1.29.1, UI 2.42.1)", (1, 29, 1)),
        ("temporal version 0.0.0-DEV (Server 1.29.1, UI 2.42.1)", (1, 29, 1)),
        ("tctl version 1.18.0", None),
        ("", None),
    ],
)
def test_a_temporal_binary_is_judged_by_its_server(said: str, version: tuple[int, ...] | None) -> None:
    """A build of ours calls itself 0.0.0-DEV: the server inside is what counts."""
    assert parse_server_version(said) == version


def test_temporal_is_built_from_the_pins_of_its_version_with_a_sqlite_that_is_not_interrupted() -> None:
    """temporalio/temporal#9198: before 1.44.3 a server that is far behind can refuse every statement."""
    pinned = (CLI_PINS / "go.mod").read_text()
    assert f"github.com/temporalio/cli v{CLI_VERSION}\n" in pinned
    found = re.search(r"modernc\.org/sqlite v(\d+)\.(\d+)\.(\d+)", pinned)
    assert found is not None
    sqlite = tuple(int(part) for part in found.groups())
    assert sqlite >= (1, 44, 3)
    sums = (CLI_PINS / "go.sum").read_text()
    assert f"modernc.org/sqlite v{'.'.join(map(str, sqlite))} h1:" in sums
