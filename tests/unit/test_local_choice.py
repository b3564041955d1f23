"""Where each server comes from is a table."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.local import EVERYTHING, Component, StackAddresses, StackOptions
from infra.local.choice import Origin, addresses_given, choose_origin, plan_origins, settings_given
from infra.local.docker import ContainerFacts, compose_service
from infra.local.stack import choose_factories
from infra.secrets import Secret
from infra.settings import PostgresSettings, Settings
from tests.containers import interpolate


@pytest.mark.parametrize(
    ("address_given", "docker_answers", "origin"),
    [
        (True, True, Origin.GIVEN),
        (True, False, Origin.GIVEN),
        (False, True, Origin.DOCKER),
        (False, False, Origin.PROCESS),
    ],
)
def test_an_address_wins_over_docker_and_docker_over_a_process(
    address_given: bool, docker_answers: bool, origin: Origin
) -> None:
    """The order of design §8 holds in every combination."""
    assert choose_origin(address_given=address_given, docker_answers=docker_answers) is origin


def test_only_what_is_missing_is_started() -> None:
    """A component that has an address is given; its neighbours are started."""
    plan = plan_origins(EVERYTHING, {Component.KAFKA}, docker_answers=False)
    assert plan == {
        component: Origin.GIVEN if component is Component.KAFKA else Origin.PROCESS
        for component in EVERYTHING
    }


@pytest.mark.parametrize("docker", [True, False])
def test_a_stack_is_of_one_origin(docker: bool, tmp_path: Path) -> None:
    """Where an engine answers every server is a container, otherwise every server is a process."""
    factories = choose_factories(lambda: docker)
    origins = {make(tmp_path, StackOptions()).origin for make in factories.values()}
    assert origins == {Origin.DOCKER if docker else Origin.PROCESS}


def test_one_database_of_two_is_not_a_given_postgres() -> None:
    """PostgreSQL counts as given when both databases are: half a database server is none."""
    half = Settings(postgres=PostgresSettings(dsn=Secret("postgresql://somewhere/tidegate")))
    assert Component.POSTGRES not in addresses_given(half).components()


def test_what_the_environment_names_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    """An address in the environment is given, one that nobody named is not."""
    monkeypatch.setenv("TIDEGATE_KAFKA__BOOTSTRAP_SERVERS", "broker:9092")
    assert addresses_given(settings_given()).components() == {Component.KAFKA}


def test_addresses_survive_the_way_through_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A child process that gets ``environment()`` reads the same addresses back."""
    addresses = StackAddresses(
        postgres_dsn="postgresql://tidegate@127.0.0.1:1/tidegate",
        upstream_dsn="postgresql://tidegate@127.0.0.1:1/upstream",
        bootstrap_servers="127.0.0.1:2",
        registry_url="http://127.0.0.1:3/apis/ccompat/v7",
        temporal_address="127.0.0.1:4",
        temporal_ui_url="http://127.0.0.1:5",
    )
    for name, value in addresses.environment().items():
        monkeypatch.setenv(name, value)
    assert addresses_given(settings_given()) == addresses


def test_what_does_not_run_has_no_address() -> None:
    """A stack of one component names that one only."""
    only_kafka = StackAddresses(bootstrap_servers="127.0.0.1:2")
    assert only_kafka.as_settings() == {"kafka": {"bootstrap_servers": "127.0.0.1:2"}}


@pytest.mark.parametrize("component", sorted(EVERYTHING))
def test_a_container_is_reached_on_this_machine_only(component: Component, tmp_path: Path) -> None:
    """Every published port of the compose file is bound to 127.0.0.1, and the one that was found free."""
    facts = ContainerFacts(component, tmp_path, StackOptions())
    published = [interpolate(port, facts.variables()) for port in compose_service(component)["ports"]]
    assert all(port.startswith("127.0.0.1:") for port in published)
    reachable = " ".join(facts.addresses().values())
    assert all(f":{port.split(':')[1]}" in reachable for port in published)
