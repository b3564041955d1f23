"""Reading what comes from outside, without ever losing it in silence or failing a workflow over it.

The SDK drops a signal whose payload does not fit its handler's types, with a log line only, after the
sender was told that all is well; and a signal with no argument, or with two, makes the handler raise and the
workflow's task fail for ever. So handlers take one raw value and read it here.

Source: design §6, last paragraph.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, TypeVar

from temporalio import workflow
from temporalio.api.common.v1 import Payload
from temporalio.common import RawValue
from temporalio.worker import (
    HandleSignalInput,
    Interceptor,
    WorkflowInboundInterceptor,
    WorkflowInterceptorClassInput,
)

from infra.ids import is_word
from workflows.contracts.base import SignalContract, SignalFailure

Value = TypeVar("Value")


class UnreadableError(Exception):
    """The payload does not hold what it must; the message says what is wrong and repeats none of it."""


def read(kind: type[Value], raw: RawValue) -> Value:
    """The value of type ``kind`` in ``raw``. Fields it does not know are ignored.

    Raises :class:`UnreadableError` for anything else.
    """
    try:
        value = workflow.payload_converter().from_payload(raw.payload, kind)
    except Exception as error:
        # Without its cause: the SDK's messages repeat values, and this goes into logs and histories.
        raise UnreadableError(f"not a valid {kind.__name__}: {_fault(error)}") from None
    if not isinstance(value, kind):
        raise UnreadableError(f"not a valid {kind.__name__}: {type(value).__name__}")
    return value


def _fault(error: BaseException) -> str:
    """Which field is wrong, in the names that our types declare; nothing of what was sent."""
    path: list[str] = []
    kind = type(error).__name__
    while error is not None:
        kind = type(error).__name__
        if field := _FIELD.match(str(error)):
            path.append(field[1])
        elif missing := _MISSING.search(str(error)):
            return ".".join([*path, missing[1].replace("'", "")]) + " is missing"
        if error.__cause__ is None:
            break
        error = error.__cause__
    return f"{'.'.join(path)}: {kind}" if path else kind


_FIELD: Final = re.compile(r"Failed converting field (\w+) on dataclass")
_MISSING: Final = re.compile(r"missing \d+ required (?:positional|keyword-only) arguments?: ([\w', ]+)$")

KEPT_FAILURES: Final = 10
"""How many of the latest signals that could not be used a workflow keeps for its queries."""


class Inbox:
    """Reads the signals of a workflow about one subject, and keeps note of those that could not be used.

    ``subject`` says what the workflow is about by the names of its payloads' fields:
    ``Inbox(order_id="o-1")``, ``Inbox(before.signal_failures, checkout_id="c-1", order_id="o-1")``.
    """

    def __init__(self, failures: Iterable[SignalFailure] = (), /, **subject: str) -> None:
        self._subject = subject
        self._failures = list(failures)

    @property
    def failures(self) -> tuple[SignalFailure, ...]:
        """The latest signals that could not be used, oldest first."""
        return tuple(self._failures)

    def receive(self, signal: SignalContract[Value], raw: RawValue) -> Value | None:
        """What ``raw`` says; None, and a note, where it cannot be read or is about something else.

        It is about the subject where it names at least one of the subject's fields and contradicts none.
        """
        try:
            payload = read(signal.payload, raw)
        except UnreadableError as error:
            self.note(signal.name, str(error))
            return None
        said = {name: getattr(payload, name) for name in self._subject if hasattr(payload, name)}
        if not said:
            self.note(signal.name, f"does not say which {' or '.join(self._subject)} it is about")
            return None
        for name, value in said.items():
            if value != self._subject[name]:
                shown = value if is_word(str(value)) else "not shown, since it is no reference"
                self.note(signal.name, f"about another {name.removesuffix('_id')}: {shown}")
                return None
        return payload

    def note(self, signal: str, reason: str) -> None:
        """Keep that ``signal`` could not be used, where queries and the log show it."""
        workflow.logger.warning("signal %s not used: %s", signal, reason)
        self._failures = [*self._failures, SignalFailure(signal, reason)][-KEPT_FAILURES:]


class OneRawArgument(Interceptor):
    """Hands a signal that has no argument, or several, to its handler as one empty raw value.

    The handler then finds it unreadable and records that, instead of raising for ever. For workers all of
    whose signal handlers take one ``RawValue``, as tidegate's do.
    """

    def workflow_interceptor_class(
        self,
        input: WorkflowInterceptorClassInput,  # noqa: A002, ARG002 - the signature is the SDK's
    ) -> type[WorkflowInboundInterceptor] | None:
        """The part of it that runs inside a workflow."""
        return _OneRawArgument


class _OneRawArgument(WorkflowInboundInterceptor):
    async def handle_signal(self, input: HandleSignalInput) -> None:  # noqa: A002 - the signature is the SDK's
        if len(input.args) != 1:
            input.args = [RawValue(Payload())]
        await super().handle_signal(input)
