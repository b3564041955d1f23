"""Virtual shards: what may be relayed apart, and what must stay together.

Rows of one key carry one shard, so they belong to one group, which one relay owns at a time. The shard is
computed when a row is appended and never again: changing the function would break the order of a key at the
change. Source: design §5, "Many relays".
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final
from zlib import crc32

SHARDS: Final = 64
"""How many virtual shards there are, for ever."""

GROUPS: Final = 8
"""How many groups of shards there are; a relay owns whole groups."""


def shard_of(key: str) -> int:
    """The shard of ``key``, 0 to 63: CRC-32 of its UTF-8 bytes, modulo 64."""
    return crc32(key.encode()) % SHARDS


def group_of(shard: int) -> int:
    """The group, 0 to 7, that ``shard`` belongs to."""
    return shard * GROUPS // SHARDS


def shards_of(groups: Iterable[int]) -> list[int]:
    """The shards of ``groups``, ascending."""
    width = SHARDS // GROUPS
    return [shard for group in sorted(groups) for shard in range(group * width, (group + 1) * width)]
