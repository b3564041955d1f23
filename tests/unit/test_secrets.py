"""Secret settings: the secret itself, or where it stands; and what is never shown."""

from __future__ import annotations

import os
import subprocess
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.clients.kafka import aiokafka_options
from infra.clients.postgres import require_dsn
from infra.errors import MisuseError, TidegateError, UnavailableError
from infra.secrets import Secret, SecretSource, resolve, sources
from infra.settings import KafkaSettings, PostgresSettings, Settings, TemporalSettings
from tests.vault_standin import RESOURCE, TOKEN, Vault, running_vault
from tidegate.bootstrap import process_environment

CANARY = "the canary that nobody may see"


@pytest.fixture
def no_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Neither variables of tidegate nor a running stack."""
    for name in list(os.environ):
        if name.startswith("TIDEGATE_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("TIDEGATE_HOME", str(tmp_path / "home"))


def test_each_kind_of_reference_is_resolved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable, a file without its last line break, a text that only looks like a reference, and plain text."""
    monkeypatch.setenv("A_SECRET", CANARY)
    (tmp_path / "secret").write_text(f"{CANARY}\n")
    assert Secret("env:A_SECRET").get_secret_value() == CANARY
    assert Secret(f"file:{tmp_path}/secret").get_secret_value() == CANARY
    assert Secret("literal:env:A_SECRET").get_secret_value() == "env:A_SECRET"
    for plain in (CANARY, "postgresql://user:password@host/database", "", "environment:x"):
        assert Secret(plain).get_secret_value() == plain


@pytest.mark.usefixtures("no_settings")
def test_every_secret_setting_may_be_a_reference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no setting of pydantic's own secret type left, and clients are given what the reference stands for."""
    for group in (PostgresSettings, KafkaSettings, TemporalSettings, Settings):
        for name, field in group.model_fields.items():
            assert "SecretStr" not in str(field.annotation), f"{group.__name__}.{name}"
    (tmp_path / "dsn").write_text("postgresql://tidegate:canary@db/services")
    monkeypatch.setenv("TIDEGATE_POSTGRES__DSN", f"file:{tmp_path}/dsn")
    monkeypatch.setenv("KAFKA_PASSWORD", CANARY)
    monkeypatch.setenv("TIDEGATE_KAFKA__SASL_PASSWORD", "env:KAFKA_PASSWORD")
    monkeypatch.setenv("TIDEGATE_KAFKA__BOOTSTRAP_SERVERS", "kafka:9092")
    monkeypatch.setenv("TIDEGATE_KAFKA__SECURITY_PROTOCOL", "SASL_SSL")
    settings = Settings()
    assert require_dsn(settings.postgres) == "postgresql://tidegate:canary@db/services"
    assert aiokafka_options(settings.kafka)["sasl_plain_password"] == CANARY


@pytest.mark.usefixtures("no_settings")
def test_children_are_given_the_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a supervisor hands to its children says where the secret stands, and where the vault is, not what it is."""
    monkeypatch.setenv("A_SECRET", CANARY)
    monkeypatch.setenv("TIDEGATE_TEMPORAL__API_KEY", "env:A_SECRET")
    monkeypatch.setenv("TIDEGATE_SECRETS__KEYVAULT_URL", "https://one.vault.azure.net")
    settings = Settings()
    assert settings.temporal.api_key is not None
    assert settings.temporal.api_key.get_secret_value() == CANARY
    handed = process_environment(settings)
    assert handed["TIDEGATE_TEMPORAL__API_KEY"] == "env:A_SECRET"
    assert handed["TIDEGATE_SECRETS__KEYVAULT_URL"] == "https://one.vault.azure.net"
    assert CANARY not in str(handed)


def test_a_secret_is_read_once_and_only_when_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings that nobody uses need no secret; one that is used twice is read once."""
    unused = Secret("env:TIDEGATE_NO_SUCH_VARIABLE")
    assert unused == Secret("env:TIDEGATE_NO_SUCH_VARIABLE")
    monkeypatch.setenv("A_SECRET", "before")
    used = Secret("env:A_SECRET")
    assert used.get_secret_value() == "before"
    monkeypatch.setenv("A_SECRET", "after")
    assert used.get_secret_value() == "before"


@pytest.mark.parametrize("kind", ["variable", "missing", "folder", "binary", "huge", "vault"])
def test_an_error_is_one_line_and_shows_nothing(tmp_path: Path, kind: str) -> None:
    """What cannot be read is named, with what to do, and its content is in no part of the error."""
    (tmp_path / "binary").write_bytes(b"\xff" + CANARY.encode())
    (tmp_path / "huge").write_text(CANARY * 10_000)
    reference = {
        "variable": "env:TIDEGATE_NO_SUCH_VARIABLE",
        "missing": f"file:{tmp_path}/nothing",
        "folder": f"file:{tmp_path}",
        "binary": f"file:{tmp_path}/binary",
        "huge": f"file:{tmp_path}/huge",
        "vault": "keyvault:name",
    }[kind]
    with pytest.raises(MisuseError) as refused:
        Secret(reference).get_secret_value()
    assert "\n" not in str(refused.value)
    assert reference.partition(":")[2] in str(refused.value)
    assert CANARY not in "".join(traceback.format_exception(refused.value))


def test_the_command_says_it_in_one_line(tmp_path: Path) -> None:
    """A secret that cannot be read is one line on standard error and status 2."""
    ended = subprocess.run(
        [sys.executable, "-m", "tidegate", "parked", "list"],
        env={
            **{name: value for name, value in os.environ.items() if not name.startswith("TIDEGATE_")},
            "TIDEGATE_HOME": str(tmp_path),
            "TIDEGATE_POSTGRES__DSN": "env:TIDEGATE_NO_SUCH_VARIABLE",
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 2
    assert ended.stderr == (
        "tidegate: the environment variable TIDEGATE_NO_SUCH_VARIABLE, in which a secret should stand, is not set\n"
    )


def test_nothing_prints_a_secret() -> None:
    """Neither a secret nor settings that hold one show it, or its reference."""
    settings = Settings(temporal=TemporalSettings(api_key=Secret(CANARY)))
    for shown in (repr(settings), str(settings.temporal.api_key), settings.model_dump_json()):
        assert CANARY not in shown


class FakeCredential:
    """Who we are to Azure; notes for what a token was asked."""

    def __init__(self) -> None:
        self.scopes: list[str] = []

    def get_token(self, *scopes: str, **_: Any) -> Any:
        """A token that the stand-in takes."""
        from azure.core.credentials import AccessToken

        self.scopes += scopes
        return AccessToken(TOKEN, 2**31)


@pytest.fixture
def vault(tmp_path: Path) -> Iterator[Vault]:
    """A stand-in with one secret in two versions."""
    pytest.importorskip("azure.keyvault.secrets", reason="needs the extra tidegate[azure]")
    with running_vault(tmp_path, {"api-key": [("1", "old canary"), ("2", "new canary")]}) as running:
        yield running


def source_of(vault: Vault, credential: FakeCredential | None = None) -> SecretSource:
    """The adapter, told to trust the stand-in."""
    from infra.clients.keyvault import KeyVaultSource

    return KeyVaultSource(
        vault.url,
        credential or FakeCredential(),
        connection_verify=str(vault.certificate),
        verify_challenge_resource=False,  # the stand-in is not below vault.azure.net
        retry_total=1,
        retry_backoff_factor=0.01,
    )


def test_a_vault_gives_the_newest_version_or_the_one_that_is_named(vault: Vault) -> None:
    """One GET after the challenge, with the token that was asked for the vault's own resource."""
    credential = FakeCredential()
    assert source_of(vault, credential).read("api-key") == "new canary"
    assert source_of(vault, credential).read("api-key/1") == "old canary"
    assert {scope.partition("/.default")[0] for scope in credential.scopes} == {RESOURCE}
    path, version, authorization = vault.asked[-1]
    assert path.rstrip("/") == "/secrets/api-key/1"
    assert version
    assert authorization == f"Bearer {TOKEN}"


@pytest.mark.parametrize(
    ("name", "status", "error", "says"),
    [
        ("nothing", None, MisuseError, "there is no keyvault:nothing"),
        ("api-key", 403, MisuseError, "Key Vault Secrets User"),
        ("api-key", 500, UnavailableError, "the vault answers 500"),
        ("../keys/x", None, MisuseError, "letters, digits and dashes"),
    ],
)
def test_what_a_vault_refuses_is_said_in_one_line(
    vault: Vault, name: str, status: int | None, error: type[TidegateError], says: str
) -> None:
    """Missing, forbidden, broken or misspelt: one line, and nothing of what the vault answered."""
    vault.status = status
    with pytest.raises(error, match=says) as refused:
        source_of(vault).read(name)
    shown = "".join(traceback.format_exception(refused.value))
    assert "\n" not in str(refused.value)
    assert "canary" not in shown
    assert TOKEN not in shown


def test_a_vault_that_is_away_is_unavailable(vault: Vault) -> None:
    """Nobody listens: exit status 1, try again; not a mistake of the caller."""
    vault.url = "https://127.0.0.1:1"
    with pytest.raises(UnavailableError, match="cannot be read"):
        source_of(vault).read("api-key")


def test_a_setting_reaches_the_vault(vault: Vault) -> None:
    """``keyvault:NAME`` in a setting asks the adapter of the vault that the settings name."""
    assert resolve("keyvault:api-key", {**sources(), "keyvault": lambda: source_of(vault)}) == "new canary"
    with pytest.raises(MisuseError, match="must begin with https://"):
        sources("http://one.vault.azure.net")["keyvault"]()
