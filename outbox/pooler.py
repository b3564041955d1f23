"""A pooler that hands a connection's backend to somebody else between two transactions, and why no relay runs on it.

Behind PgBouncer with ``pool_mode = transaction``, and what works alike, a session is not one: settings and prepared
statements stay behind on a backend that somebody else uses next, and the end of a connection, which gives a relay's
groups to the next one at once, is not seen by PostgreSQL. A pool in session mode is as good as none. Appending is
one statement and works through any of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final
from uuid import uuid4

import asyncpg

from infra.errors import UnavailableError
from infra.queries import load
from outbox.errors import RelayRefusedError

_SQL = load(__file__, "pooler.sql")
_ROUNDS: Final = 2
_ANSWER_WITHIN: Final = 10.0
_LOST: Final = "TG001"
"""The SQLSTATE with which the question says that the session is another one."""

ADVICE: Final = (
    "this address is a transaction pooler (PgBouncer with pool_mode=transaction, or alike), where a session does not"
    " last: give the relay the address of PostgreSQL itself, or of a pool in session mode"
)
"""What is the matter, and what to do."""


async def refuse_pooler(connections: Sequence[asyncpg.Connection[Any]]) -> None:
    """Refuse connections whose backend changes between two transactions.

    Each connection is asked for a setting that it has made itself, while the others keep the backends that they have
    in open transactions. In the simple protocol, which any pooler can pass on. Raises :class:`RelayRefusedError`;
    :class:`UnavailableError` where there is no answer, as from a pool with fewer backends than connections.

    A pooler gives itself away as soon as two of the connections share a backend. One that is large, idle and by
    chance keeps them apart is not recognised, and is recognised at the next session at the latest when it is busy.
    """
    marks = {connection: uuid4().hex for connection in connections}
    for connection, mark in marks.items():
        await connection.execute(_SQL["mark"].format(mark=mark))
    for _ in range(_ROUNDS):
        for connection, mark in marks.items():
            others = [other for other in connections if other is not connection]
            try:
                for other in others:
                    await other.execute(_SQL["hold"], timeout=_ANSWER_WITHIN)
                await connection.execute(_SQL["ask"].format(mark=mark, lost=_LOST), timeout=_ANSWER_WITHIN)
            except TimeoutError as error:
                raise UnavailableError(
                    f"{len(connections)} connections at once get no answer within {_ANSWER_WITHIN:.0f} s: is this"
                    " a transaction pooler with a small pool? Give the relay the address of PostgreSQL itself"
                ) from error
            except asyncpg.PostgresError as error:
                if error.sqlstate == _LOST:
                    raise RelayRefusedError(ADVICE) from error
                raise
            for other in others:
                await other.execute(_SQL["let_go"])
