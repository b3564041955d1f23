"""The search attributes that a Temporal namespace must know before workflows may set them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from temporalio.api.operatorservice.v1 import (
    AddSearchAttributesRequest,
    ListSearchAttributesRequest,
)
from temporalio.client import Client
from temporalio.common import SearchAttributeKey
from temporalio.service import RPCError, RPCStatusCode

from infra.errors import MisuseError


async def ensure_search_attributes(client: Client, keys: Sequence[SearchAttributeKey[Any]]) -> list[str]:
    """Register those of ``keys`` that the client's namespace lacks; the names of these. Safe to repeat.

    Raises :class:`MisuseError` where the server lets us add none, say on Temporal Cloud: an operator has to.
    """
    operator = client.operator_service
    known = await operator.list_search_attributes(ListSearchAttributesRequest(namespace=client.namespace))
    missing = {key.name: key.indexed_value_type for key in keys if key.name not in known.custom_attributes}
    if not missing:
        return []
    wanted = ", ".join(f"{name} ({kind.name.capitalize()})" for name, kind in missing.items())
    try:
        await operator.add_search_attributes(
            AddSearchAttributesRequest(
                namespace=client.namespace,
                search_attributes={name: kind.value for name, kind in missing.items()},  # type: ignore[misc]
            )
        )
    except RPCError as error:
        if error.status is RPCStatusCode.ALREADY_EXISTS:
            return []
        raise MisuseError(
            f"the Temporal namespace {client.namespace} lacks the search attributes {wanted} and does not let us "
            f"add them ({error.message}): have its operator add them"
        ) from error
    return sorted(missing)
