"""Where each server comes from: an address that was given, Docker, or a process of our own.

Pure, so that the order of preference is a table in a test and not a habit of the code.
Source: design §8.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from enum import StrEnum

from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from infra.local.components import Component, StackAddresses
from infra.settings import Settings


class Origin(StrEnum):
    """Where a server comes from."""

    GIVEN = "given"
    DOCKER = "docker"
    PROCESS = "process"


def choose_origin(*, address_given: bool, docker_answers: bool) -> Origin:
    """The first that can be had: the address given, the Docker engine, a local process."""
    if address_given:
        return Origin.GIVEN
    return Origin.DOCKER if docker_answers else Origin.PROCESS


def plan_origins(
    components: Collection[Component], given: Collection[Component], *, docker_answers: bool
) -> Mapping[Component, Origin]:
    """The origin of each of ``components``; one that has an address is never started."""
    return {
        component: choose_origin(address_given=component in given, docker_answers=docker_answers)
        for component in sorted(components)
    }


class _EnvironmentOnly(Settings):
    """Settings without what a running stack says."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - the signature is pydantic's
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, file_secret_settings


def settings_given() -> Settings:
    """What the environment alone says: its addresses were given, and nothing is started in their place."""
    return _EnvironmentOnly()


def addresses_given(settings: Settings) -> StackAddresses:
    """The servers whose address stands in ``settings``; PostgreSQL counts when both of its databases do.

    Pass :func:`settings_given`: a running stack names addresses too, and those were not given.
    """
    dsn, upstream = settings.postgres.dsn, settings.postgres.upstream_dsn
    return StackAddresses(
        postgres_dsn=dsn.get_secret_value() if dsn and upstream else None,
        upstream_dsn=upstream.get_secret_value() if dsn and upstream else None,
        bootstrap_servers=settings.kafka.bootstrap_servers,
        registry_url=settings.registry.url,
        temporal_address=settings.temporal.address,
        temporal_ui_url=settings.temporal.ui_url,
        namespace=settings.temporal.namespace,
        payments_url=settings.payments.url if "url" in settings.payments.model_fields_set else None,
    )
