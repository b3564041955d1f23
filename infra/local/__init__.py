"""The local stack: PostgreSQL, Kafka, a schema registry and Temporal on this machine, for as long as needed.

    async with running_stack(home, {Component.POSTGRES, Component.KAFKA}) as stack:
        ... stack.addresses.postgres_dsn, stack.addresses.bootstrap_servers ...

Everything listens on 127.0.0.1 on ports found free, and ends with the process that started it.
"""

from typing import TYPE_CHECKING, Any

from infra.local.components import EVERYTHING, Component, StackAddresses, StackOptions

if TYPE_CHECKING:
    from infra.local.stack import Stack, running_stack

__all__ = ["EVERYTHING", "Component", "Stack", "StackAddresses", "StackOptions", "running_stack"]


def __getattr__(name: str) -> Any:
    """Import what runs servers when it is asked for: a process that only reads addresses does not pay for it."""
    if name in {"Stack", "running_stack"}:
        from infra.local import stack

        return getattr(stack, name)
    raise AttributeError(name)
