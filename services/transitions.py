"""State machines as tables: which operation leads from which state to which.

An aggregate's operations are rows of a table, so that what is allowed can be read, listed and tested
without a database. An operation has one of three answers: it leads to another state, its effect is there
already (a repeat: nothing happens, nothing is published), or it is illegal.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Generic, TypeVar

from services.errors import IllegalTransitionError

State = TypeVar("State", bound=StrEnum)


@dataclass(frozen=True, slots=True)
class Rule(Generic[State]):
    """What one operation does: ``leads`` maps a state to the next one; in a state of ``done`` it was done.

    Every state in neither is one in which the operation is illegal.
    """

    leads: Mapping[State, State]
    done: frozenset[State] = field(default_factory=frozenset)

    def __post_init__(self) -> None:
        if both := self.leads.keys() & self.done:
            raise ValueError(f"states that both lead on and are done: {sorted(both)}")


@dataclass(frozen=True, slots=True)
class StateMachine(Generic[State]):
    """The table of one kind of aggregate; ``aggregate`` is its name in messages ("order")."""

    aggregate: str
    rules: Mapping[str, Rule[State]]

    def step(self, operation: str, state: State, identity: str) -> State | None:
        """The state that ``operation`` leads to, or ``None`` where its effect is there already.

        Raises :class:`IllegalTransitionError`, naming ``identity``, for everything else.
        """
        rule = self.rules[operation]
        if state in rule.done:
            return None
        if state in rule.leads:
            return rule.leads[state]
        raise IllegalTransitionError(
            f"{self.aggregate} {identity} is {state}: {operation.replace('_', ' ')} is only possible when "
            f"it is {' or '.join(sorted(rule.leads))}"
        )
