"""The topics of tidegate as a manifest, and a broker brought into line with it.

Deciding is pure (:func:`plan`); :func:`apply_topics` asks the broker, creates what is missing, and reports
the rest.
Nothing that exists is changed without being asked for: raising the number of partitions moves keys to other
partitions, so that the order of a key breaks once.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import yaml
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from infra.clients.kafka import aiokafka_options, require_bootstrap
from infra.errors import InvalidInputError, TidegateError, UnavailableError
from infra.settings import KafkaSettings

MANIFEST: Final = Path(__file__).with_name("topics.yaml")
"""Where the manifest is."""

_HOURS: Final = {"h": 1, "d": 24}
_FIELDS: Final = frozenset(
    ("key", "holds", "partitions", "replication", "retention", "cleanup", "max_message", "dead_letters")
)


_COMPACTED: Final = {"segment.bytes": str(16 * 1024 * 1024), "min.cleanable.dirty.ratio": "0.1"}


class TopicRefusedError(TidegateError):
    """The broker refused to create or to change a topic."""


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic as it should be."""

    name: str
    key: str
    """What the records' keys are."""
    holds: str
    partitions: int
    replication: int
    retention_ms: int
    cleanup: str
    max_message: int
    """Bytes of one batch at most."""
    dead_letters: bool
    """Whether ``<name>.dlq`` stands beside it."""

    @property
    def holds_state(self) -> bool:
        """Whether it is compacted: then it holds the newest of each key, and no events."""
        return self.cleanup == "compact"

    @property
    def config(self) -> dict[str, str]:
        """The broker's settings of the topic that the manifest decides.

        Only closed segments are compacted, so those of a compacted topic are small and soon cleaned.
        """
        decided = {
            "cleanup.policy": self.cleanup,
            "max.message.bytes": str(self.max_message),
            "retention.ms": str(self.retention_ms),
        }
        return decided | (_COMPACTED if self.holds_state else {})


@dataclass(frozen=True, slots=True)
class FoundTopic:
    """One topic as the broker has it."""

    partitions: int
    config: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Drift:
    """A setting of an existing topic that is not what the manifest says."""

    topic: str
    setting: str
    wanted: str
    found: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What there is to do: topics to create, topics with too few partitions, and all that differs."""

    create: tuple[Topic, ...]
    raise_partitions: tuple[Topic, ...]
    drift: tuple[Drift, ...]


@dataclass(frozen=True, slots=True)
class Applied:
    """What :func:`apply_topics` did, and what it left as it was."""

    created: tuple[str, ...]
    raised: tuple[str, ...]
    drift: tuple[Drift, ...]
    unchanged: int


def dlq_of(topic: str) -> str:
    """The dead-letter topic beside ``topic``."""
    return f"{topic}.dlq"


def load(path: Path = MANIFEST) -> tuple[Topic, ...]:
    """The topics of the manifest at ``path``, dead-letter topics included, each behind its own.

    Raises InvalidInputError, which names the topic and the setting.
    """
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
        defaults, dead, topics = data["defaults"], data["dead_letters"], data["topics"]
    except (OSError, yaml.YAMLError, KeyError, TypeError) as error:
        raise InvalidInputError(f"{path}: not a manifest of topics: {error}") from error
    found = []
    for name, own in topics.items():
        topic = _topic(name, {**defaults, **own})
        found.append(topic)
        if topic.dead_letters:
            beside = _topic(dlq_of(name), {**defaults, **own, **dead, "holds": f"Dead letters of {name}."})
            found.append(replace(beside, dead_letters=False))
    return tuple(found)


def plan(wanted: Sequence[Topic], found: Mapping[str, FoundTopic]) -> Plan:
    """What brings a broker that has ``found`` to what is ``wanted``; other topics are not looked at."""
    create, more, drift = [], [], []
    for topic in wanted:
        there = found.get(topic.name)
        if there is None:
            create.append(topic)
            continue
        if there.partitions != topic.partitions:
            drift.append(Drift(topic.name, "partitions", str(topic.partitions), str(there.partitions)))
        if there.partitions < topic.partitions:
            more.append(topic)
        drift += [
            Drift(topic.name, setting, value, there.config.get(setting, "unknown"))
            for setting, value in topic.config.items()
            if there.config.get(setting, "unknown") != value
        ]
    return Plan(tuple(create), tuple(more), tuple(drift))


async def apply_topics(
    settings: KafkaSettings,
    topics: Sequence[Topic] | None = None,
    *,
    replication: int | None = None,
    raise_partitions: bool = False,
    dry_run: bool = False,
    timeout: float = 30,
) -> Applied:
    """Create the topics that are missing, and say what else differs. Doing it again changes nothing.

    ``replication`` overrides the manifest's; ``raise_partitions`` adds partitions where there are too few;
    ``dry_run`` only says what would be done. Returns when the new topics can be written to, within
    ``timeout`` seconds. Raises UnavailableError when no broker answers, TopicRefusedError when one says no.
    """
    wanted = list(topics if topics is not None else load())
    if replication is not None:
        wanted = [replace(topic, replication=replication) for topic in wanted]
    admin = AIOKafkaAdminClient(**aiokafka_options(settings), request_timeout_ms=int(timeout * 1000))
    try:
        await admin.start()
        todo = plan(wanted, await _found(admin, [topic.name for topic in wanted]))
        raised = todo.raise_partitions if raise_partitions else ()
        if not dry_run:
            await _create(admin, todo.create)
            await _raise(admin, raised)
            await _await_leaders(admin, [*todo.create, *raised], timeout)
    except (KafkaError, TimeoutError, OSError) as error:
        servers = require_bootstrap(settings)
        raise UnavailableError(
            f"Kafka at {servers} does not answer ({type(error).__name__}): is the broker running?"
        ) from error
    finally:
        await admin.close()
    names = tuple(topic.name for topic in raised)
    drift = tuple(one for one in todo.drift if not (one.setting == "partitions" and one.topic in names))
    changed = {*(topic.name for topic in todo.create), *names, *(one.topic for one in drift)}
    return Applied(
        tuple(topic.name for topic in todo.create),
        names,
        drift,
        sum(topic.name not in changed for topic in wanted),
    )


async def _found(admin: Any, names: Iterable[str]) -> dict[str, FoundTopic]:
    partitions = {topic["topic"]: len(topic["partitions"]) for topic in await admin.describe_topics()}
    there = [name for name in names if name in partitions]
    if not there:
        return {}
    configs: dict[str, dict[str, str]] = {}
    resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in there]
    for response in await admin.describe_configs(resources):
        for _, _, _, name, entries in response.resources:
            configs[name] = {entry[0]: entry[1] for entry in entries}
    return {name: FoundTopic(partitions[name], configs.get(name, {})) for name in there}


async def _create(admin: Any, topics: Sequence[Topic]) -> None:
    if not topics:
        return
    response = await admin.create_topics(
        [
            NewTopic(topic.name, topic.partitions, topic.replication, topic_configs=topic.config)
            for topic in topics
        ]
    )
    for name, code, *message in response.topic_errors:
        # Another process may be doing the same at the same time; then the topic is there, as wanted.
        if code not in {0, TopicAlreadyExistsError.errno}:
            raise TopicRefusedError(f"{name}: the broker refused to create it: {_reason(code, message)}")


async def _raise(admin: Any, topics: Sequence[Topic]) -> None:
    for topic in topics:
        try:
            await admin.create_partitions({topic.name: NewPartitions(topic.partitions)})
        except KafkaError as error:
            raise TopicRefusedError(f"{topic.name}: the broker refused more partitions: {error}") from error


async def _await_leaders(admin: Any, topics: Sequence[Topic], timeout: float) -> None:
    """Wait until every partition has a leader: only then does a producer not fail."""
    waiting = {topic.name: topic.partitions for topic in topics}
    async with asyncio.timeout(timeout):
        while waiting:
            for topic in await admin.describe_topics():
                led = sum(partition["leader"] >= 0 for partition in topic["partitions"])
                if led >= waiting.get(topic["topic"], led + 1):
                    del waiting[topic["topic"]]
            if waiting:
                await asyncio.sleep(0.05)


def _topic(name: str, settings: Mapping[str, Any]) -> Topic:
    unknown = sorted(set(settings) - _FIELDS)
    if unknown:
        raise InvalidInputError(f"topics.yaml: {name}: no setting is called {unknown[0]}")
    for setting in ("key", "holds"):
        if not settings.get(setting):
            raise InvalidInputError(f"topics.yaml: {name}: {setting} is missing")
    for setting in ("partitions", "replication", "max_message"):
        if type(settings[setting]) is not int or settings[setting] < 1:
            raise InvalidInputError(f"topics.yaml: {name}: {setting} is a whole number above 0")
    if settings["cleanup"] not in {"delete", "compact"}:
        raise InvalidInputError(f"topics.yaml: {name}: cleanup is delete or compact")
    match = re.fullmatch(r"(\d+)([dh])", str(settings["retention"]))
    if match is None:
        raise InvalidInputError(f"topics.yaml: {name}: retention is a number with d or h, such as 30d")
    return Topic(
        name=name,
        key=settings["key"],
        holds=settings["holds"],
        partitions=settings["partitions"],
        replication=settings["replication"],
        retention_ms=int(match[1]) * _HOURS[match[2]] * 3_600_000,
        cleanup=settings["cleanup"],
        max_message=settings["max_message"],
        dead_letters=bool(settings["dead_letters"]),
    )


def _reason(code: int, message: Sequence[Any]) -> str:
    return str(message[0]) if message and message[0] else str(for_code(code).__name__)
