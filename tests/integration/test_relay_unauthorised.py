"""A broker with an authorizer: what the relay may not write waits with its reason, and all the rest goes on.

Source: issue "The best outbox relay there is", "Poison"; Kafka's documentation, "Authorization and ACLs".
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # documented, and not in its __all__
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

from infra.local import Component, running_stack
from infra.local.kafka import LocalKafka
from outbox import parking
from outbox.options import Profile
from tests.outbox_support import (
    OUTBOX,
    PROFILES,
    QUICK,
    TopicReader,
    happened_in,
    make_cursor_topic,
    make_topic,
    relay_to_kafka,
    running,
    with_outbox,
)
from tests.stack import TEST_OPTIONS
from tests.waiting import until


class GuardedKafka(LocalKafka):
    """A broker that asks its access control list, where everybody may do what the list does not speak of."""

    def _configuration(self) -> dict[str, object]:
        return {
            **super()._configuration(),
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "allow.everyone.if.no.acl.found": "true",
        }


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def guarded(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """The addresses of such a broker."""
    home: Path = tmp_path_factory.mktemp("guarded")
    factories = {Component.KAFKA: GuardedKafka}
    async with running_stack(home, {Component.KAFKA}, TEST_OPTIONS, factories=factories) as stack:
        assert stack.addresses.bootstrap_servers is not None
        await make_cursor_topic(stack.addresses.bootstrap_servers)
        yield stack.addresses.bootstrap_servers


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize(
    ("operation", "why"),
    [(AclOperation.WRITE, "TopicAuthorizationFailedError"), (AclOperation.ALL, "or we may not write to it")],
    ids=["seen", "not seen"],
)
async def test_a_topic_that_may_not_be_written_holds_only_its_rows_until_it_may(
    postgres_dsn: str, guarded: str, unique: str, profile: Profile, operation: AclOperation, why: str
) -> None:
    """Rows of a topic that the relay may see and not write, or not even see, are parked with the reason, those of
    another topic pass; once it may, a retry sends them in order."""
    await with_outbox(postgres_dsn)
    forbidden = f"{unique}-forbidden"
    for topic in (unique, forbidden):
        await make_topic(guarded, topic)
    admin = AdminClient({"bootstrap.servers": guarded})
    await _forbid(admin, forbidden, operation)
    options = replace(QUICK, profile=profile)
    connection = await asyncpg.connect(postgres_dsn)
    try:
        async with (
            running(relay_to_kafka([postgres_dsn], guarded, options=options)),
            TopicReader(guarded, unique) as reader,
        ):
            rows_of = ((forbidden, "k"), (unique, "k"), (forbidden, "k"), (forbidden, "l"), (unique, "l"))
            for version, (topic, key) in enumerate(rows_of, start=1):
                event = happened_in(topic)(about=key, payload=b"x")
                await OUTBOX.append(connection, event, source="/test", version=version)
            await until(lambda: reader.has(2))
            await until(lambda: _parked(connection, 3))
            rows = await parking.parked_rows(connection)
            assert {row["topic"] for row in rows} == {forbidden}
            reasons = {row["reason"] for row in rows} - {"behind an earlier row of the same key"}
            assert len(reasons) == 1
            assert why in reasons.pop()
            await _allow(admin, forbidden)
            await until(lambda: _sent(connection))
            async with TopicReader(guarded, forbidden) as late:
                await until(lambda: late.has(3))
        assert late.versions == {"k": [1, 3], "l": [4]}
        assert reader.versions == {"k": [2], "l": [5]}
    finally:
        await connection.close()


async def _forbid(admin: AdminClient, topic: str, operation: AclOperation) -> None:
    """Deny what an operation needs; a topic with a rule has none but those that it is given."""
    rules = [
        AclBinding(ResourceType.TOPIC, topic, ResourcePatternType.LITERAL, "User:ANONYMOUS", "*", *rule)
        for rule in ((AclOperation.ALL, AclPermissionType.ALLOW), (operation, AclPermissionType.DENY))
    ]
    for done in admin.create_acls(rules).values():
        await asyncio.to_thread(done.result)


async def _allow(admin: AdminClient, topic: str) -> None:
    rules = AclBindingFilter(
        ResourceType.TOPIC,
        topic,
        ResourcePatternType.LITERAL,
        "User:ANONYMOUS",
        "*",
        AclOperation.ANY,
        AclPermissionType.ANY,
    )
    for done in admin.delete_acls([rules]).values():
        assert await asyncio.to_thread(done.result)


async def _parked(connection: asyncpg.Connection, count: int) -> bool:
    return len(await parking.parked_rows(connection)) == count


async def _sent(connection: asyncpg.Connection) -> bool:
    """Ask again until nothing is parked: the broker tells its clients of a rule in its own time."""
    await parking.retry(connection)
    return await _parked(connection, 0)
