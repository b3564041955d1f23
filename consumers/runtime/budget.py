"""When a partition stops being read and when it goes on: bounded memory with hysteresis."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from aiokafka import TopicPartition

from consumers.runtime.lanes import Lanes, Partition
from consumers.runtime.options import RuntimeOptions
from consumers.runtime.record import ConsumedRecord


@dataclass(frozen=True, slots=True)
class Load:
    """What counts against the bounds: records in hand of one partition and of all, and offsets above its
    head."""

    buffered: int
    total: int
    unfinished: int


def should_pause(load: Load, *, paused: bool, closed: bool, options: RuntimeOptions) -> bool:
    """Whether the partition is not to be read now.

    It pauses at a high mark and goes on below all low marks, so that it does not flap; a closed one is not
    read.
    """
    if closed:
        return True
    if paused:
        return (
            load.buffered > options.low_water
            or load.total > options.total_low_water
            or load.unfinished > options.span // 2
        )
    return (
        load.buffered >= options.high_water
        or load.total >= options.total_high_water
        or load.unfinished >= options.span
    )


def pause_or_resume(
    partition: Partition[TopicPartition, ConsumedRecord],
    lanes: Lanes[TopicPartition, ConsumedRecord],
    client: Any,
    options: RuntimeOptions,
) -> None:
    """Have ``client`` read ``partition`` or not, as its load says now."""
    load = Load(partition.buffered, lanes.buffered, partition.tracker.unfinished)
    pause = should_pause(load, paused=partition.paused, closed=partition.closed, options=options)
    if pause != partition.paused and partition.place in client.assignment():
        partition.paused = pause
        (client.pause if pause else client.resume)(partition.place)
