"""What a service refuses for good, said so that Temporal does not try again.

Source: 003, "Retry & Timeout Philosophy": validation errors and illegal state transitions are not retried.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from temporalio.exceptions import ApplicationError

from services.errors import ServiceError
from workflows.policies import NOT_RETRIED


@contextmanager
def refusals() -> Iterator[None]:
    """Turn a service's error that no retry can mend into a failure of that type that is not retried.

    Every other error goes through as it is, and is retried.
    """
    try:
        yield
    except ServiceError as error:
        kind = type(error).__name__
        if kind not in NOT_RETRIED:
            raise
        raise ApplicationError(str(error), type=kind, non_retryable=True) from error
