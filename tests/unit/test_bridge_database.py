"""A database that is away is waited for, in whatever words its client says so."""

from __future__ import annotations

import asyncpg
import pytest

from consumers.bridge.database import bridge_database
from consumers.errors import DownstreamUnavailableError


@pytest.mark.parametrize(
    "failure",
    [
        ConnectionResetError("gone"),
        asyncpg.InterfaceError("connection is closed"),
        asyncpg.InternalClientError("cannot switch to state 15; another operation (2) is in progress"),
        asyncpg.AdminShutdownError("terminating connection"),
    ],
)
def test_a_connection_that_goes_away_means_again(failure: Exception) -> None:
    """Also inside a transaction, where asyncpg reports an error of its own state."""
    with pytest.raises(DownstreamUnavailableError), bridge_database():
        raise failure
