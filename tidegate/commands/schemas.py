"""``tidegate schemas``, the catalog of events, and ``tidegate topics``, the manifest of topics."""

from __future__ import annotations

import json as jsonlib
import logging
from typing import Annotated, Any

import typer

from infra.errors import MisuseError, TidegateError
from infra.settings import Settings
from infra.topics import Applied, apply_topics, load
from schemas.catalog import Catalog, EventSchema
from schemas.compatibility import full_transitive
from schemas.errors import SchemaError, UnknownEventError
from schemas.rules import broken_rules, unkept
from tidegate.console import JsonOption, emit_json, emit_table, run, say

NameArgument = Annotated[str, typer.Argument(metavar="EVENT", help="Short or full name of the event.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    schemas = typer.Typer(no_args_is_help=True, help="The catalog: every event, its schema, its versions.")
    topics = typer.Typer(no_args_is_help=True, help="The manifest of topics, and the broker in line with it.")
    app.add_typer(schemas, name="schemas")
    app.add_typer(topics, name="topics")
    _add_schemas(schemas)
    _add_topics(topics)


def _add_schemas(app: typer.Typer) -> None:
    @app.command("list")
    def list_(json: JsonOption = False) -> None:
        """List every event: topic, name, key, newest version, what it says.

        Example: `tidegate schemas list`
        """
        rows = [
            {
                "topic": event.topic,
                "event": event.name,
                "key": event.key,
                "version": event.version,
                "type": event.type,
                "subject": event.subject,
                "meaning": event.schema.get("doc", ""),
            }
            for event in Catalog.load().events
        ]
        if json:
            emit_json({"events": rows})
        else:
            emit_table("Events", rows, ["topic", "event", "key", "version"])

    @app.command()
    def show(
        name: NameArgument,
        version: Annotated[
            int | None, typer.Option(help="An earlier version; the current one otherwise.")
        ] = None,
        json: JsonOption = False,
    ) -> None:
        """Show the Avro schema of one event.

        Example: `tidegate schemas show PickCompleted`
        """
        event = _event(name)
        schema = event.schema if version is None else _version(event, version)
        if json:
            kept = [one.number for one in event.versions]
            emit_json({"type": event.type, "topic": event.topic, "versions": kept, "schema": schema})
        else:
            say(jsonlib.dumps(schema, indent=2, ensure_ascii=False))

    @app.command()
    def check(json: JsonOption = False) -> None:
        """Check every schema offline: Avro, the house rules, and FULL_TRANSITIVE against all kept versions.

        Exit status 1 when a change would break a reader, or when a changed schema is not kept as a version.

        Example: `tidegate schemas check`
        """
        events = Catalog.load().events
        problems = [line for event in events for line in _problems(event)]
        if json:
            emit_json({"events": len(events), "problems": problems})
        else:
            for line in problems:
                say(line)
        if problems:
            raise SchemaError(f"{len(problems)} problem{'s' * (len(problems) > 1)} in {len(events)} schemas")
        if not json:
            say(f"{len(events)} schemas: sound, kept, and compatible with every version kept")

    @app.command("register")
    def register_(json: JsonOption = False) -> None:
        """Register every event with the registry, FULL_TRANSITIVE on each subject. Safe to repeat.

        Example: `tidegate schemas register`
        """
        # Imported here: the registry's client takes a third of a second, which `schemas list` need not pay.
        from schemas.registry import Registry

        async def work() -> list[dict[str, Any]]:
            async with Registry(Settings().registry) as registry:
                ids = await registry.register_all()
            return [
                {"subject": f"{event.TOPIC}-{event.TYPE}", "id": number} for event, number in ids.ids.items()
            ]

        rows = run(work())
        if json:
            emit_json({"subjects": rows})
        else:
            emit_table("Registered", rows, ["subject", "id"])


def _add_topics(app: typer.Typer) -> None:
    @app.command("list")
    def list_(json: JsonOption = False) -> None:
        """List every topic of the manifest, dead-letter topics included.

        Example: `tidegate topics list`
        """
        rows = [
            {
                "topic": topic.name,
                "key": topic.key,
                "partitions": topic.partitions,
                "replication": topic.replication,
                "retention_days": round(topic.retention_ms / 86_400_000, 2),
                "cleanup": topic.cleanup,
                "holds": topic.holds,
            }
            for topic in load()
        ]
        if json:
            emit_json({"topics": rows})
        else:
            emit_table("Topics", rows, ["topic", "key", "partitions", "retention_days", "cleanup"])

    @app.command("apply")
    def apply_(
        replication: Annotated[
            int | None, typer.Option(min=1, help="Replicas of new topics, instead of the manifest's.")
        ] = None,
        raise_partitions: Annotated[
            bool,
            typer.Option(
                "--raise-partitions",
                help="Add partitions. Relays keep each key where it is until `tidegate outbox accept-partitions`; the "
                "keys of other producers move, so their order breaks once.",
            ),
        ] = False,
        dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
        json: JsonOption = False,
    ) -> None:
        """Create the topics that are missing; report those that differ. Safe to repeat.

        Nothing that exists is changed, but for `--raise-partitions`. Exit status 1 while something differs.

        Example: `tidegate topics apply --dry-run`
        """
        # Its lines on a broker that is not there would stand above ours, which says the same.
        logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
        done = run(
            apply_topics(
                Settings().kafka, replication=replication, raise_partitions=raise_partitions, dry_run=dry_run
            )
        )
        if json:
            emit_json({"dry_run": dry_run, **_applied(done)})
        else:
            _say_applied(done, dry_run=dry_run)
        if done.drift:
            first = done.drift[0]
            raise TidegateError(
                f"{len(done.drift)} settings differ from the manifest, the first: {first.setting} of {first.topic} "
                f"is {first.found}, not {first.wanted}; change the broker or infra/topics.yaml"
            )


def _event(name: str) -> EventSchema:
    try:
        return Catalog.load().of(name)
    except UnknownEventError as error:
        raise MisuseError(str(error)) from None


def _version(event: EventSchema, number: int) -> dict[str, Any]:
    for version in event.versions:
        if version.number == number:
            return version.schema
    raise MisuseError(f"{event.name} has no version {number}: its versions are 1 to {event.version}")


def _problems(event: EventSchema) -> list[str]:
    broken = broken_rules(event)
    if broken:
        return broken  # what is no sound schema is not worth comparing
    missing = unkept(event)
    return [*(str(problem) for problem in full_transitive(event)), *([missing] if missing else [])]


def _applied(done: Applied) -> dict[str, Any]:
    drift = [
        {"topic": one.topic, "setting": one.setting, "wanted": one.wanted, "found": one.found}
        for one in done.drift
    ]
    return {"created": done.created, "raised": done.raised, "unchanged": done.unchanged, "drift": drift}


def _say_applied(done: Applied, *, dry_run: bool) -> None:
    would = "would be " if dry_run else ""
    for name in done.created:
        say(f"{name}: {would}created")
    for name in done.raised:
        say(f"{name}: partitions {would}raised")
    for one in done.drift:
        say(f"{one.topic}: {one.setting} is {one.found}, the manifest says {one.wanted}")
    counts = f"{len(done.created)} {would}created, {len(done.raised)} {would}raised"
    say(f"{counts}, {done.unchanged} as they should be")
