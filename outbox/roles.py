"""Least privilege: what appends, what publishes, what looks on and what migrates are four roles.

The roles cannot log in; whoever runs the database grants them to logins (``GRANT tidegate_app TO orders_service``).
Roles belong to the whole cluster and databases to one: a role is made if it is absent, and its rights are granted in
each database that has an outbox. Where this login may not make roles, as in many a managed PostgreSQL, what is left
to do is said in SQL, and the rest is done the next time. See docs/decisions/0019.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Final

import asyncpg

from infra.errors import MisuseError
from infra.queries import load

_SQL = load(__file__, "roles.sql")
_PREFIX: Final = "tidegate"
_GRANTED: Final = ("app", "relay", "reader")
_SEES_SESSIONS: Final = ("relay", "reader")
_REFUSED = (asyncpg.InsufficientPrivilegeError, asyncpg.InvalidGrantOperationError)


@dataclass(frozen=True, slots=True)
class RolesApplied:
    """The roles that have their rights now, and those that were made for it; the statements that somebody with more
    rights has to run, after which the rest is done by applying the roles again."""

    roles: tuple[str, ...]
    created: tuple[str, ...]
    left: tuple[str, ...]


@dataclass(slots=True)
class _Work:
    connection: asyncpg.Connection[Any]
    left: list[str] = field(default_factory=list)

    async def attempt(self, statement: str) -> bool:
        """Run ``statement``, or leave it to somebody who may."""
        try:
            async with self.connection.transaction():
                await self.connection.execute(statement)
        except _REFUSED:
            self.left.append(statement)
            return False
        return True


async def apply_roles(connection: asyncpg.Connection[Any], *, prefix: str = _PREFIX) -> RolesApplied:
    """Make the roles ``<prefix>_app``, ``_relay``, ``_reader`` and ``_migrator`` where they are absent, and give each
    its rights in this database. Safe to repeat, and to be run after every migration.

    Run as the owner of the outbox, who hands it to the migrator's role and stays a member of it. Raises
    :class:`MisuseError` for a prefix that is no plain name.
    """
    if re.fullmatch(r"[a-z][a-z0-9_]{0,40}", prefix) is None:
        raise MisuseError(f"a prefix of roles is lower-case letters, digits and _, not {prefix!r}")
    names = {kind: f"{prefix}_{kind}" for kind in (*_GRANTED, "migrator")}
    work = _Work(connection)
    created = await _create(work, list(names.values()))
    there = {row["rolname"] for row in await connection.fetch(_SQL["existing"], list(names.values()))}
    for kind in _SEES_SESSIONS:
        await _let_see_sessions(work, names[kind], there)
    for kind in _GRANTED:
        if names[kind] in there:
            await work.attempt(_SQL[kind].replace(f"{_PREFIX}_{kind}", names[kind]))
    await _hand_over(work, names["migrator"], there)
    return RolesApplied(tuple(name for name in names.values() if name in there), created, tuple(work.left))


async def _create(work: _Work, names: list[str]) -> tuple[str, ...]:
    there = {row["rolname"] for row in await work.connection.fetch(_SQL["existing"], names)}
    created = []
    for name in names:
        if name in there:
            continue
        try:
            if await work.attempt(f"CREATE ROLE {name} NOLOGIN"):
                created.append(name)
        except (asyncpg.DuplicateObjectError, asyncpg.UniqueViolationError):
            continue  # somebody made it for another database of the cluster at the same time
    return tuple(created)


async def _let_see_sessions(work: _Work, role: str, there: set[str]) -> None:
    grant = f"GRANT pg_read_all_stats TO {role}"
    if role not in there:
        work.left.append(grant)
    elif not await work.connection.fetchval(_SQL["may_see_sessions"], role):
        await work.attempt(grant)


async def _hand_over(work: _Work, migrator: str, there: set[str]) -> None:
    """Let the migrator's role own the outbox, so that each of its members can migrate it."""
    membership = f"GRANT {migrator} TO {await work.connection.fetchval(_SQL['login'])}"
    if migrator not in there:
        work.left.append(membership)
        return
    foreign = await work.connection.fetch(_SQL["foreign_objects"], migrator)
    if not foreign:
        return
    ours = await work.connection.fetchval(_SQL["migrator_is_ours"], migrator)
    if not ours and not await work.attempt(membership):
        return
    for row in foreign:
        await work.attempt(row["statement"])
