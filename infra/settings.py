"""Settings, read from the environment (``TIDEGATE_…``) and from the local stack that is running.

Each group mirrors one server. Precedence: an argument, the environment, the state file of the local
stack (``<home>/stack.json``, written by ``tidegate up``), the default. A nested name is joined by two
underscores: ``TIDEGATE_KAFKA__BOOTSTRAP_SERVERS``. A ``Secret`` may say where it stands instead of what it is, as
``file:/run/secrets/password`` does (:mod:`infra.secrets`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, Field, model_validator
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from infra.running import read_state
from infra.secrets import Secret, sources


class PostgresSettings(BaseModel):
    """Where the services' database is, and the one of the simulated upstream systems."""

    dsn: Secret | None = Field(
        default=None, description="postgresql://… of the database that holds the services"
    )
    upstream_dsn: Secret | None = Field(
        default=None, description="postgresql://… of the simulated upstream systems"
    )
    sslrootcert: Path | None = None
    sslcert: Path | None = None
    sslkey: Path | None = None
    pool_size: int = Field(default=8, ge=1, description="connections a process keeps at most")


class KafkaSettings(BaseModel):
    """Where the brokers are and how to speak to them."""

    bootstrap_servers: str | None = Field(default=None, description="host:port[,host:port…]")
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "PLAIN"
    sasl_username: str | None = None
    sasl_password: Secret | None = None
    ssl_cafile: Path | None = None
    ssl_certfile: Path | None = None
    ssl_keyfile: Path | None = None


class RegistrySettings(BaseModel):
    """Where the schema registry is (any server that speaks the Confluent REST API)."""

    url: str | None = Field(default=None, description="base address, without /subjects")
    username: str | None = None
    password: Secret | None = None
    ssl_cafile: Path | None = None
    prefer_cache: bool = Field(
        default=False,
        description="take ids from the cache without asking, where it has them all; a supervisor that has just "
        "asked tells its children so",
    )

    @property
    def shown_url(self) -> str:
        """The address for messages: without the password that it may hold."""
        parts = urlsplit(self.url or "")
        return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


class TemporalSettings(BaseModel):
    """Where Temporal is."""

    address: str | None = Field(default=None, description="host:port of the frontend")
    namespace: str = "default"
    api_key: Secret | None = None
    tls: bool = False
    tls_cafile: Path | None = None
    tls_certfile: Path | None = None
    tls_keyfile: Path | None = None
    ui_url: str | None = None
    payload_keys: Secret | None = Field(
        default=None,
        description="ID=KEY[,ID=KEY…]: payloads are encrypted with the first, and any of them decrypts; "
        "a KEY is 32 bytes in base64 or a reference to them",
    )
    payload_accept_plaintext: bool = Field(
        default=False,
        description="with payload_keys: read what was written before there were keys; for the time of a rollover",
    )


class PaymentsSettings(BaseModel):
    """Where the payment provider is, and how patiently it is asked."""

    url: str = Field(
        default="http://127.0.0.1:8466",
        description="base address of the provider; a local stack has one of its own, see `tidegate simulate payments`",
    )
    timeout: float = Field(
        default=10.0, gt=0, le=25, description="seconds that one call may take; an activity has 30"
    )
    breaker_failures: int = Field(
        default=5, ge=1, description="calls that fail in a row until a worker leaves the provider alone"
    )
    breaker_rest: float = Field(default=10.0, gt=0, description="seconds for which it does")


class WorkersSettings(BaseModel):
    """How many workers ``tidegate run`` starts for each queue, and which version of the code they say they are."""

    replicas: dict[str, int] = Field(
        default={},
        description='workers of a queue, as JSON: {"order-processing": 3}; one where none is given',
    )
    metrics_port: int | None = Field(
        default=None,
        description="the first worker of `tidegate run` serves /metrics here, the next on the next port",
    )
    deployment: str = Field(default="tidegate", description="the name of the worker deployment")
    build_id: str | None = Field(
        default=None,
        description="turns Worker Versioning on: the version of this deployment; unique per build",
    )
    versioning: Literal["auto-upgrade", "pinned"] = Field(
        default="auto-upgrade", description="whether a run moves on to the current version or keeps its own"
    )


class RelaySettings(BaseModel):
    """How outboxes are published."""

    profile: Literal["idempotent", "transactional"] = Field(
        default="idempotent",
        description="idempotent: each row at least once; transactional: exactly once for readers of committed records",
    )


class CostsSettings(BaseModel):
    """What the cost watch holds the window against (000, "Cost alerts on workflow count & event volume")."""

    window_seconds: int = Field(default=3600, ge=60, description="length of a window")
    workflows: int = Field(default=100_000, ge=0, description="workflows that may be started in a window")
    events: int = Field(default=1_000_000, ge=0, description="events that may be published in a window")


class RetentionSettings(BaseModel):
    """How long it is remembered what was handled; None is as long as the topics keep records, and a day."""

    ledger_days: int | None = Field(
        default=None, ge=1, description="days that an entry of the bridge's ledger is kept"
    )
    seen_events_days: int | None = Field(
        default=None, ge=1, description="days that the analytics remember the id of an event"
    )


class DeadLettersSettings(BaseModel):
    """How many dead letters are too many: the bridge then pauses instead of burying a whole topic."""

    breaker_window: int = Field(default=200, ge=1, description="routed events that are judged, the newest")
    breaker_minimum: int = Field(default=50, ge=1, description="events until a ratio means anything")
    breaker_ratio: float = Field(
        default=0.5, gt=0, le=1, description="share of the window at which the bridge pauses"
    )
    breaker_run: int = Field(default=25, ge=1, description="dead letters in a row at which it pauses too")
    breaker_rest: float = Field(default=30.0, gt=0, description="seconds for which it does")


class TelemetrySettings(BaseModel):
    """Where traces go."""

    otlp_endpoint: str | None = Field(
        default=None,
        description="http://host:4318 of an OpenTelemetry collector (OTLP over HTTP); without it, and without "
        "OTEL_EXPORTER_OTLP_ENDPOINT, nothing is traced",
    )


class SecretsSettings(BaseModel):
    """Where secrets that are only named stand."""

    keyvault_url: str | None = Field(
        default=None, description="https://NAME.vault.azure.net, for keyvault:NAME"
    )


class Settings(BaseSettings):
    """All settings of one process."""

    model_config = SettingsConfigDict(
        env_prefix="TIDEGATE_",
        env_nested_delimiter="__",
        extra="ignore",
        nested_model_default_partial_update=True,
    )

    home: Path = Field(default=Path(".tidegate"), description="run directory: stack state, logs, data")
    postgres: PostgresSettings = PostgresSettings()
    kafka: KafkaSettings = KafkaSettings()
    registry: RegistrySettings = RegistrySettings()
    temporal: TemporalSettings = TemporalSettings()
    payments: PaymentsSettings = PaymentsSettings()
    secrets: SecretsSettings = SecretsSettings()
    retention: RetentionSettings = RetentionSettings()
    dead_letters: DeadLettersSettings = DeadLettersSettings()
    workers: WorkersSettings = WorkersSettings()
    relay: RelaySettings = RelaySettings()
    costs: CostsSettings = CostsSettings()
    telemetry: TelemetrySettings = TelemetrySettings()
    local_docker: bool = Field(
        default=True, description="whether the local stack uses a Docker engine where one answers"
    )
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_json: bool = False

    @model_validator(mode="after")
    def _find_secrets(self) -> Settings:
        """Tell every secret where secrets are kept; none is read before it is used."""
        places = sources(self.secrets.keyvault_url)
        for _, group in self:
            if isinstance(group, BaseModel):
                for _, value in group:
                    if isinstance(value, Secret):
                        value.find_in(places)
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the signature is pydantic's
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Put the addresses of a stack that runs in the home below the environment."""
        home = init_settings().get("home") or env_settings().get("home") or ".tidegate"
        stack = read_state(Path(home))
        running = InitSettingsSource(settings_cls, dict(stack.settings) if stack else {})
        return init_settings, env_settings, file_secret_settings, running
