"""What a workflow shows of itself in lists: which order it is about, and where it stands. Nothing personal.

    note_status("WAITING_FOR_PICK", order_id=order_id, since=FULFILLMENT_STATUS)

``tidegate workflows list --order …`` and ``--status …`` search by it. Search attributes are never encrypted, so
only ids and the names of states go into them.

Source: design §9, 8; 004, "Observability".
"""

from __future__ import annotations

from typing import Final

from temporalio import workflow
from temporalio.common import SearchAttributeKey, SearchAttributeUpdate

from workflows.patches import Patch, patched

ORDER_ID: Final = SearchAttributeKey.for_keyword("TidegateOrderId")
"""The order that a workflow is about."""

STATUS: Final = SearchAttributeKey.for_keyword("TidegateStatus")
"""Where it stands: the state that its query gives, say ``WAITING_FOR_STOCK``."""

SEARCH_ATTRIBUTES: Final = (ORDER_ID, STATUS)
"""Every attribute that a namespace must know before a workflow may set it."""


def note_status(status: str, *, order_id: str | None = None, since: Patch | None = None) -> None:
    """Show ``status``, and ``order_id`` where it is given. A status that is shown already costs nothing.

    ``since`` is for workflows that were released without it: their open runs go on as they began.
    """
    if since is not None and not patched(since):
        return
    shown = workflow.info().typed_search_attributes
    updates: list[SearchAttributeUpdate[str]] = []
    for key, value in ((ORDER_ID, order_id), (STATUS, status)):
        if value is not None and shown.get(key) != value:
            updates.append(key.value_set(value))
    if updates:
        workflow.upsert_search_attributes(updates)
