"""A small transaction pooler: what PgBouncer does with ``pool_mode = transaction``, for servers that trust everybody.

A client keeps a server's connection from the first message of a transaction until the server says that it is idle
again; the one that was given back last is handed out first. Nothing is reset in between, and the names of prepared
statements are passed on as they are.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from sqlalchemy import make_url

_SSL_REQUEST = 80877103
_READY = b"Z"
_TERMINATE = b"X"


@dataclass(slots=True)
class _Server:
    """One connection to PostgreSQL, and what it said when it was opened."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    greeting: bytes = b""


class TransactionPooler:
    """Clients share ``size`` connections to ``dsn``; ``picky`` refuses settings in the first message, as PgBouncer
    does."""

    def __init__(self, dsn: str, *, size: int = 4, picky: bool = False) -> None:
        self._url = make_url(dsn)
        self._size = size
        self._picky = picky
        self._idle: asyncio.LifoQueue[_Server] = asyncio.LifoQueue()
        self._opened: list[_Server] = []
        self._clients: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        """Run it; yields the address to connect to."""
        listening = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        port = listening.sockets[0].getsockname()[1]
        try:
            yield self._url.set(port=port).render_as_string(hide_password=False)
        finally:
            listening.close()
            for task in list(self._clients):
                task.cancel()
            await asyncio.gather(*self._clients, return_exceptions=True)
            for server in self._opened:
                server.writer.close()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._clients.add(task)
        try:
            with suppress(asyncio.IncompleteReadError, ConnectionError):
                await self._serve(reader, writer)
        finally:
            self._clients.discard(task)
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        startup = await self._startup(reader, writer)
        if self._picky and b"idle_in_transaction_session_timeout" in startup:
            fields = (
                b"SFATAL\0C08P01\0Munsupported startup parameter: idle_in_transaction_session_timeout\0\0"
            )
            writer.write(b"E" + struct.pack(">I", len(fields) + 4) + fields)
            return
        server = await self._take()
        writer.write(server.greeting)
        self._idle.put_nowait(server)
        while True:
            kind, message = await _message(reader)
            if kind == _TERMINATE:
                return
            server = await self._take()
            server.writer.write(message)
            await self._transaction(reader, writer, server)
            self._idle.put_nowait(server)

    async def _startup(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        while True:
            length, code = struct.unpack(">II", await reader.readexactly(8))
            rest = await reader.readexactly(length - 8)
            if code != _SSL_REQUEST:
                return rest
            writer.write(b"N")

    async def _transaction(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, server: _Server
    ) -> None:
        """Pass messages on in both directions until the server is idle."""

        async def upwards() -> None:
            while True:
                _, message = await _message(reader)
                server.writer.write(message)

        sending = asyncio.create_task(upwards())
        try:
            while True:
                kind, message = await _message(server.reader)
                if kind == _READY and message[-1:] == b"I":
                    # Stopped before the client hears of it: its next message belongs to another transaction.
                    sending.cancel()
                    await asyncio.gather(sending, return_exceptions=True)
                    writer.write(message)
                    return
                writer.write(message)
        finally:
            sending.cancel()

    async def _take(self) -> _Server:
        if self._idle.empty() and len(self._opened) < self._size:
            return await self._open()
        return await self._idle.get()

    async def _open(self) -> _Server:
        reader, writer = await asyncio.open_connection(self._url.host, self._url.port)
        server = _Server(reader, writer)
        self._opened.append(server)
        settings = f"user\0{self._url.username}\0database\0{self._url.database}\0\0".encode()
        writer.write(struct.pack(">II", len(settings) + 8, 196608) + settings)
        while True:
            kind, message = await _message(reader)
            server.greeting += message
            if kind == _READY:
                return server


async def _message(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    head = await reader.readexactly(5)
    return head[:1], head + await reader.readexactly(struct.unpack(">I", head[1:])[0] - 4)
