"""The one request to cancel an order: taken while the order can be cancelled, refused and recorded afterwards.

Source: 003, "Signals", "Cancellation & Compensation"; design §7, "Cancel".
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from workflows.contracts.orders import CancelRequest


class Cancellation:
    """What became of the requests to cancel one order. The first decides; later ones change nothing.

    ``refuse`` records a refusal, and raises nothing.
    """

    def __init__(self, refuse: Callable[[CancelRequest], Coroutine[Any, Any, None]]) -> None:
        self._refuse = refuse
        self._refusal: asyncio.Task[None] | None = None
        self._possible = True
        self.request: CancelRequest | None = None

    @property
    def asked(self) -> bool:
        """Whether the order is to be cancelled."""
        return self.request is not None

    @property
    def settled(self) -> bool:
        """Whether no refusal is on its way to its record."""
        return self._refusal is None or self._refusal.done()

    def __str__(self) -> str:
        if self._refusal:
            return "REFUSED"
        return "REQUESTED" if self.asked else "NONE"

    def no_longer(self) -> None:
        """From here on a request is refused: what is about to happen cannot be undone, or is being undone."""
        self._possible = False

    def ask(self, request: CancelRequest) -> None:
        """Somebody wants the order cancelled."""
        if self.asked or self._refusal:
            return
        if self._possible:
            self.request = request
        else:
            self._refusal = asyncio.create_task(self._refuse(request))
