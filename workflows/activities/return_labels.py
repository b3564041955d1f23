"""The activities of a return's label, on the queue of SMS. Source: design §7, ReturnWorkflow."""

from __future__ import annotations

from temporalio import activity

from services.sms import ReturnLabels
from workflows.activities.contracts import returns as contracts
from workflows.activities.contracts.returns import ReturnReference
from workflows.activities.refusals import refusals


class ReturnLabelActivities:
    """The label of the parcel that comes back, each activity one idempotent operation of SMS."""

    def __init__(self, labels: ReturnLabels) -> None:
        self._labels = labels

    @activity.defn(name=contracts.GENERATE_RETURN_LABEL.name)
    async def generate_return_label(self, one: ReturnReference) -> str:
        """Ask the carrier for a label, and give its tracking number; one that refuses is asked again."""
        with refusals():
            return await self._labels.generate(one.return_id, one.order_id, activity.info().attempt)

    @activity.defn(name=contracts.CANCEL_RETURN_LABEL.name)
    async def cancel_return_label(self, one: ReturnReference) -> None:
        """Call the label off. Bears that there is none, and then keeps a late one from being made."""
        with refusals():
            await self._labels.cancel(one.return_id, one.order_id)
