"""The local PostgreSQL with settings of a benchmark's own."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from infra.local.postgres import LocalPostgres
from infra.local.process import Launch

COMMIT_TIMES = {"track_commit_timestamp": "on"}
"""When a row was committed, by the server's own clock: no client stands between."""


def postgres_with(settings: Mapping[str, str]) -> type[LocalPostgres]:
    """A server that is started with ``settings`` besides its own."""

    class Tuned(LocalPostgres):
        def launch(self) -> Launch:
            launch = super().launch()
            more = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
            return dataclasses.replace(launch, command=[*launch.command, *more])

    return Tuned
