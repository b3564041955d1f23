"""The errors of the consumers, below :class:`infra.errors.TidegateError`.

TidegateError
├── ConsumerError
│   ├── RetryLaterError              a record cannot be handled now; its offset does not move
│   │   ├── DownstreamUnavailableError   …nothing of its partition can: the partition pauses
│   │   ├── KeyWaitsError                …its key cannot: only that key waits
│   │   └── ConsumerPausedError          …nothing should be: every partition pauses
│   ├── NotADeadLetterError          a record of a dead-letter topic lacks what a dead letter carries
│   └── NotDrainedError              a process was told to stop, and its deadline came before its work was done
└── MisuseError
    ├── RouteError                   a route that cannot work, found at start
    │   ├── UnknownEventError            it names an event that no schema describes
    │   ├── UnknownFieldError            its workflow id needs a field that the event lacks
    │   ├── UnknownWorkflowError         it starts a workflow that no contract describes
    │   ├── UnknownSignalError           it sends a signal that no contract describes
    │   ├── UntakenSignalError           it sends a signal that its workflow has no handler for
    │   ├── MissingInputError            what it starts or signals needs a field that the event lacks
    │   ├── ImpossibleConditionError     it asks for a header that no event can have
    │   ├── MissingPolicyError           it does not say what happens to an early or a late event
    │   └── DuplicateRouteError          it says the same as another route
    ├── UnusableEventError           an event that a person has written down is not as it must be
    └── MissingTopicError            a topic that is needed is not on the broker
"""

from __future__ import annotations

from infra.errors import MisuseError, TidegateError


class ConsumerError(TidegateError):
    """A consumer cannot do its work."""


class NotDrainedError(ConsumerError):
    """A process had to stop before its work was done: what was under way is done again by the next one."""


class RetryLaterError(ConsumerError):
    """A record cannot be handled now, and must be handled again.

    ``retry_after`` is in seconds; None leaves the wait to the runtime's backoff.
    """

    def __init__(self, message: str | None = None, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class DownstreamUnavailableError(RetryLaterError):
    """What records of this partition are delivered into does not answer: the partition pauses, then tries
    again."""


class KeyWaitsError(RetryLaterError):
    """Only this key cannot go on: its lane waits, other keys pass."""


class ConsumerPausedError(RetryLaterError):
    """So much went wrong that going on would do harm: every partition pauses, then one record is tried."""


class NotADeadLetterError(ConsumerError):
    """A record of a dead-letter topic lacks the coordinates that a dead letter carries."""


class RouteError(MisuseError):
    """A route cannot work."""


class UnknownEventError(RouteError):
    """A route names an event that no schema describes."""


class UnknownFieldError(RouteError):
    """A route's workflow id needs a field that its event does not have."""


class UnknownWorkflowError(RouteError):
    """A route starts a workflow that no contract describes."""


class UnknownSignalError(RouteError):
    """A route sends a signal that no contract describes."""


class UntakenSignalError(RouteError):
    """A route sends a signal that its workflow has no handler for."""


class MissingInputError(RouteError):
    """The workflow that a route starts, or the signal that it sends, needs a field that the event does not have."""


class ImpossibleConditionError(RouteError):
    """A route asks for a header that no event can have."""


class MissingPolicyError(RouteError):
    """A route does not say what happens to an event that comes too early or too late."""


class DuplicateRouteError(RouteError):
    """Two routes have one name."""


class UnusableEventError(MisuseError):
    """An event that a person has written down cannot be used; the message says why."""


class MissingTopicError(MisuseError):
    """A topic that is needed is not on the broker."""
