"""A certificate to check the database against reaches every kind of connection that is made to it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

import certifi
import pytest
import pytest_asyncio

from infra.clients.postgres import create_engine, create_pool, open_connection
from infra.errors import UnavailableError
from infra.settings import Settings
from tidegate.bootstrap import migrate_databases
from tidegate.wiring.outbox import outbox_connection, sources_of

_ASKS_FOR_TLS: Final = bytes.fromhex("0000000804d2162f")


class PlainServer:
    """Speaks PostgreSQL as far as the answer to the question for TLS, which is no; keeps what it heard."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []
        self.address = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection."""
        while message := await reader.read(4096):
            self.heard.append(message)
            writer.write(b"N")
        writer.close()


@pytest_asyncio.fixture
async def plain() -> AsyncIterator[PlainServer]:
    """A server without TLS, on a port of its own."""
    server = PlainServer()
    async with await asyncio.start_server(server.serve, "127.0.0.1", 0) as listening:
        host, port = listening.sockets[0].getsockname()
        server.address = f"postgresql://tidegate:secret@{host}:{port}/tidegate"
        yield server


async def _look(settings: Settings) -> None:
    async with open_connection(settings.postgres):
        pass


async def _ask_the_outbox(settings: Settings) -> None:
    async with outbox_connection(sources_of(settings, ["services"])[0]):
        pass


async def _pool(settings: Settings) -> None:
    (await create_pool(settings.postgres)).terminate()


async def _session(settings: Settings) -> None:
    async with create_engine(settings.postgres).connect():
        pass


async def _migrate(settings: Settings) -> None:
    await migrate_databases(settings)


@pytest.mark.parametrize("connect", [_look, _ask_the_outbox, _pool, _session, _migrate])
async def test_no_password_goes_to_a_server_that_shows_no_certificate(
    plain: PlainServer, connect: Callable[[Settings], Awaitable[None]]
) -> None:
    """Where one is to be checked, a server without TLS is left alone: not even the name of the user is sent."""
    settings = Settings.model_validate(
        {"postgres": {"dsn": plain.address, "upstream_dsn": plain.address, "sslrootcert": certifi.where()}}
    )
    with pytest.raises((UnavailableError, ConnectionError)):
        await connect(settings)
    assert plain.heard
    assert set(plain.heard) == {_ASKS_FOR_TLS}
