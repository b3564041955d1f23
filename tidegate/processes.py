"""Which processes the loop is made of, and the order in which they stop (design §11, "Processes")."""

from __future__ import annotations

import itertools
import re
import socket
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from infra.errors import MisuseError
from infra.settings import WorkersSettings
from tidegate.supervisor import ProcessSpec
from tidegate.wiring.workflows import QUEUES

_OUTSIDE, _BRIDGE, _WORKERS, _RELAY, _READERS = range(5)
"""Stages of stopping: what makes new work first, what only reads last."""


DIRECT_QUEUES: Final = ("order-processing", "oms", "ims", "wms", "sms")
"""What orders need that nobody pays for here: the direct path of design §7."""


def loop_processes(
    home: Path,
    *,
    queues: Sequence[str] = QUEUES,
    label_options: tuple[str, ...] = (),
    workers: WorkersSettings | None = None,
) -> tuple[ProcessSpec, ...]:
    """Relay, bridge, the workers of ``queues``, analytics, as they run in ``home``.

    ``workers`` says how many a queue gets (one, unless told) and where their metrics are; ``label_options`` are
    further words for the worker of SMS, which asks the simulated carrier for labels. Raises
    :class:`MisuseError` for replicas of a queue that nobody serves.
    """
    return (
        ProcessSpec("relay", ("relay",), _RELAY),
        ProcessSpec("bridge", ("bridge", "--member", member_name(home)), _BRIDGE),
        *_worker_processes(queues, label_options, workers or WorkersSettings()),
        ProcessSpec("analytics", ("analytics",), _READERS),
    )


def member_name(home: Path) -> str:
    """The bridge's name in Kafka's group: the same whenever it starts in ``home``, another on every other machine and
    in every other home. Two members of one name would throw each other out for ever.
    """
    host = re.sub(r"[^A-Za-z0-9._-]", "-", socket.gethostname())[:100]
    return f"bridge-{host}-{zlib.crc32(str(home.resolve()).encode()):08x}"


def _worker_processes(
    queues: Sequence[str], label_options: tuple[str, ...], settings: WorkersSettings
) -> Iterator[ProcessSpec]:
    """``worker-<queue>``, ``worker-<queue>-2`` …, each with its number, so that its identity is its own."""
    unknown = [queue for queue in settings.replicas if queue not in QUEUES]
    if unknown:
        raise MisuseError(f"no worker serves {', '.join(unknown)}: the queues are {', '.join(QUEUES)}")
    ports = itertools.count(settings.metrics_port) if settings.metrics_port else itertools.repeat(None)
    for queue in queues:
        for number in range(1, settings.replicas.get(queue, 1) + 1):
            port = next(ports)
            yield ProcessSpec(
                f"worker-{queue}" if number == 1 else f"worker-{queue}-{number}",
                (
                    *("worker", "--queue", queue),
                    *(("--number", str(number)) if number > 1 else ()),
                    *(("--health-port", str(port)) if port else ()),
                    *(label_options if queue == "sms" else ()),
                ),
                _WORKERS,
            )


def upstream_processes(options: tuple[str, ...], *, everything: bool = False) -> tuple[ProcessSpec, ...]:
    """The simulated floor, carrier and supplier, with the options of ``tidegate simulate``.

    The supplier has nothing to do while stock is ample: it shares the carrier's process. ``everything`` adds those
    whom only paid orders and returns need.
    """
    direct = (
        ProcessSpec("floor", ("simulate", "floor", *options), _OUTSIDE),
        ProcessSpec("carrier", ("simulate", "carrier", "--with-supplier", *options), _OUTSIDE),
    )
    if not everything:
        return direct
    return (
        *direct,
        ProcessSpec("fraud", ("simulate", "fraud", *options), _OUTSIDE),
        ProcessSpec("returns", ("simulate", "returns", *options), _OUTSIDE),
        ProcessSpec("payments", ("simulate", "payments"), _READERS),
    )
