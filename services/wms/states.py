"""The life of a pick wave: CREATED, then perhaps CANCELLED."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from services.transitions import Rule, StateMachine


class WaveState(StrEnum):
    """Where a pick wave is."""

    CREATED = "CREATED"
    CANCELLED = "CANCELLED"


WAVE: Final = StateMachine(
    "pick wave of order",
    {
        "create_pick_wave": Rule({}, done=frozenset({WaveState.CREATED})),
        "cancel_pick_wave": Rule(
            {WaveState.CREATED: WaveState.CANCELLED}, done=frozenset({WaveState.CANCELLED})
        ),
    },
)
"""What each operation of WMS does to a wave that is there. A cancelled wave is never made again."""
