"""Putting back on the shelf what came back, on the queue of IMS. Source: design §7, ReturnWorkflow."""

from __future__ import annotations

from temporalio import activity

from infra.ids import derived_id
from services.ims import Ims
from workflows.activities.contracts import returns as contracts
from workflows.activities.contracts.returns import RestockRequest
from workflows.activities.refusals import refusals


class RestockActivities:
    """Returned goods as receipts of IMS: waiting orders are served from them as from any other."""

    def __init__(self, ims: Ims) -> None:
        self._ims = ims

    @activity.defn(name=contracts.RESTOCK_RETURN.name)
    async def restock_return(self, request: RestockRequest) -> None:
        """Receive each line, once for each return and sku; a kit comes back as the kit that it was sold as."""
        with refusals():
            for line in request.lines:
                await self._ims.receive(receipt_of(request.return_id, line.sku), line.sku, line.quantity)


def receipt_of(return_id: str, sku: str) -> str:
    """The name of the receipt that brings ``sku`` back from a return: a name counts once."""
    return str(derived_id("return-receipt", return_id, sku))
