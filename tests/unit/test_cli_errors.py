"""What the command makes of an error: one line and a status, whatever went wrong."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import NoReturn

import pytest
import structlog

from consumers.replay.errors import StoppedError
from infra.errors import UnavailableError
from tidegate import cli


def _told(
    words: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> tuple[int | str | None, str]:
    """The status and the standard error of ``tidegate`` with ``words``."""
    monkeypatch.setattr("sys.argv", ["tidegate", *words.split()])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return ended.value.code, capsys.readouterr().err


@pytest.fixture(autouse=True)
def _own_logs(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command speaks here in the process of the tests, whose logs must not go to a stream that ends with one."""
    monkeypatch.setattr(structlog, "configure", lambda **_: None)
    monkeypatch.setattr(logging, "basicConfig", lambda **_: None)


@pytest.fixture
def raising(monkeypatch: pytest.MonkeyPatch) -> Callable[[BaseException], None]:
    """Lets every command fail with an error."""

    def let_it_raise(error: BaseException) -> None:
        def command(**_: object) -> NoReturn:
            raise error

        monkeypatch.setattr(cli, "build_app", lambda _: command)

    return let_it_raise


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("worker", "Missing option '--queue'; `tidegate worker --help` shows how"),
        ("nonsense", "No such command 'nonsense'; `tidegate --help` shows how"),
        ("submit", "Missing argument 'FILE|-'; `tidegate submit --help` shows how"),
        ("demo --orders 0", "Invalid value for '--orders'"),
        ("replay --nope", "No such option: --nope"),
    ],
)
def test_misuse_is_one_line(
    words: str, says: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An option, an argument or a command that cannot be: what, and where to look, with status 2."""
    status, err = _told(words, capsys, monkeypatch)
    assert status == 2
    assert err.startswith(f"tidegate: {says}")
    assert err.count("\n") == 1


def test_a_setting_that_cannot_be_is_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is named by its variable, and what it holds, which may be a secret, is not shown."""
    monkeypatch.setenv("TIDEGATE_POSTGRES__POOL_SIZE", "hunter2")
    status, err = _told("orders", capsys, monkeypatch)
    assert status == 2
    assert err.startswith("tidegate: TIDEGATE_POSTGRES__POOL_SIZE is not what it must be")
    assert err.count("\n") == 1
    assert "hunter2" not in err


@pytest.mark.parametrize("words", ["orders o-1", "migrate", "audit", "relay", "outbox status"])
def test_an_address_that_is_none_is_one_line(
    words: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is no address of a database is said before anything is tried, and is not shown."""
    monkeypatch.setenv("TIDEGATE_POSTGRES__DSN", "hunter2@db")
    monkeypatch.setenv("TIDEGATE_REGISTRY__PREFER_CACHE", "true")
    monkeypatch.setenv("TIDEGATE_REGISTRY__URL", "http://127.0.0.1:1")
    monkeypatch.setenv("TIDEGATE_KAFKA__BOOTSTRAP_SERVERS", "127.0.0.1:1")
    status, err = _told(words, capsys, monkeypatch)
    assert (status, "hunter2" in err, "Traceback" in err) == (2, False, False)
    assert err.splitlines()[-1].startswith("tidegate: TIDEGATE_POSTGRES__DSN is no address of a database")


def test_of_several_errors_the_first_is_said(
    raising: Callable[[BaseException], None],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Roles that share a process fail together; a person gets one line."""
    away = UnavailableError("Kafka does not answer")
    raising(ExceptionGroup("roles", [ExceptionGroup("carrier", [away]), away]))
    assert _told("simulate carrier", capsys, monkeypatch) == (1, "tidegate: Kafka does not answer\n")


def test_what_nobody_foresaw_is_one_line_too(
    raising: Callable[[BaseException], None],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No traceback at the terminal without --debug; where it goes to a log it is kept."""
    raising(ValueError("two\nlines"))
    assert _told("orders", capsys, monkeypatch) == (
        1,
        "tidegate: ValueError: two lines (`tidegate --debug …` shows where)\n",
    )
    with pytest.raises(ValueError, match="two"):
        cli.main(supervised=True)
    monkeypatch.setenv("TIDEGATE_DEBUG", "1")
    with pytest.raises(ValueError, match="two"):
        cli.main()


def test_ctrl_c_says_that_it_stopped(
    raising: Callable[[BaseException], None],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A command that was interrupted says so, with the status that a shell expects."""
    raising(KeyboardInterrupt())
    assert _told("demo", capsys, monkeypatch) == (130, "tidegate: stopped\n")


def test_a_command_that_says_how_far_it_came_says_it_alone(
    raising: Callable[[BaseException], None],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A replay that was interrupted has one line, its own, and the same status."""
    raising(StoppedError("stopped after 3 records"))
    assert _told("replay", capsys, monkeypatch) == (130, "tidegate: stopped after 3 records\n")
