"""The port between the relay and Kafka: what a profile of delivery has to offer.

A profile sends pages of rows, in the order of each key, and says which rows Kafka refuses. Two exist:
`idempotent` (:mod:`outbox.idempotent`), each row at least once, and `transactional`
(:mod:`outbox.transactional`), each row exactly once for readers of committed records. See docs/decisions/0018.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeAlias, TypeVar

from outbox.cursor import Cursor
from outbox.identity import ClusterIdentity
from outbox.layout import Layout
from outbox.position import Position
from outbox.window import Row

Key: TypeAlias = tuple[str, str]
"""Topic and key: what is ordered in Kafka, and what a refused row holds back."""

BEHIND: Final = "behind an earlier row of the same key"


@dataclass(frozen=True, slots=True)
class Refusal:
    """A row that Kafka does not take, and why; or one that must wait behind such a row."""

    row: Row
    reason: str


@dataclass(frozen=True, slots=True)
class Advance:
    """What becomes true together with a page."""

    cursors: Mapping[int, Cursor]
    """Where each group stands once the page is published."""
    secure: Callable[[Sequence[Refusal]], Awaitable[None]]
    """Makes durable in the database what must be before the page counts: its window, copies of refused rows. May
    be called several times, also at once."""
    settles: bool = False
    """Whether the rows were parked: those that are published now are parked no more."""


class Prepared(Protocol):
    """A page made ready to be sent."""

    @property
    def held(self) -> frozenset[Key]:
        """The keys that were left out of it."""

    @property
    def batches(self) -> int:
        """How many record batches of it were acknowledged so far."""

    @property
    def committed(self) -> int:
        """How many transactions of it were committed so far."""

    @property
    def aborted(self) -> int:
        """How many transactions of it were aborted, because Kafka refused a row."""


Page = TypeVar("Page", bound=Prepared)


class Publisher(Protocol[Page]):
    """Sends pages of rows, in order within each key."""

    @property
    def layout(self) -> Layout:
        """Over which partitions keys are spread; the session keeps it in the database."""

    keeps_cursor: bool
    """Whether a page carries its cursor along; the database then only mirrors it."""

    async def start(self) -> None:
        """Connect; raises aiokafka's errors when no broker answers."""

    async def take(self, identity: ClusterIdentity, cursors: Mapping[int, Cursor]) -> Mapping[int, Position]:
        """Become the only one who publishes the groups in ``cursors``; how far Kafka says that they are.

        Whoever published them before is shut out when this returns, as far as the profile can do that.
        """

    async def leave(self, groups: Iterable[int]) -> None:
        """Let go of groups that are somebody else's from now on."""

    async def prepare(self, rows: Sequence[Row], held: Iterable[Key]) -> Page:
        """Make ``rows`` ready, without those of the keys in ``held``. May run while another page is sent."""

    async def send(self, page: Page, advance: Advance) -> Sequence[Refusal]:
        """Publish a page and secure what goes with it; the rows that were refused, and those behind them.

        Raises :class:`PublisherBrokenError` when what was written is not known: the caller begins again from
        the stored cursor.
        """

    async def close(self) -> None:
        """Let go of the connections, without waiting for what is unsent."""


AnyPublisher: TypeAlias = Publisher[Any]
