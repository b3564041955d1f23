"""New stock for one shortage of one sku: order the lot, wait for the supplier, book in what came.

Source: 003, "Workflow Inventory" (inventory restock automation); design §7, ReplenishmentWorkflow, "Shortage".
"""

from __future__ import annotations

from dataclasses import replace

from temporalio import workflow
from temporalio.common import RawValue
from temporalio.exceptions import ApplicationError

from workflows.activities.contracts.replenishment import (
    ORDER_REPLENISHMENT,
    RECEIVE_REPLENISHMENT,
    REMIND_SUPPLIER,
    ReplenishmentReference,
    StockReceipt,
    SupplierReminder,
)
from workflows.blocks.endings import RunIsFullError
from workflows.blocks.gate import Gate
from workflows.contracts.replenishment import (
    GET_SNAPSHOT,
    REPLENISHMENT,
    REPLENISHMENT_RECEIVED,
    DeliveryOfStock,
    ReplenishmentSnapshot,
)
from workflows.policies import SUPPLIER_REMINDER
from workflows.replenishment_progress import ReplenishmentInput, ReplenishmentProgress
from workflows.signals import Inbox, UnreadableError, read
from workflows.visibility import note_status


@workflow.defn(name=REPLENISHMENT.name)
class ReplenishmentWorkflow:
    """Ends one shortage, and gives how: ``RECEIVED``, or ``NOT_NEEDED`` where it had passed.

    It waits for the supplier as long as it takes. A delivery that is too small ends it all the same: IMS then
    notices the next shortage, which has a workflow of its own.
    """

    @workflow.init
    def __init__(self, shortage: RawValue) -> None:
        self._unreadable: str | None = None
        try:
            self._shortage = read(ReplenishmentInput, shortage)
        except UnreadableError as error:
            self._unreadable = str(error)
            self._shortage = ReplenishmentInput("", 0)
        before = self._shortage.progress
        self._state = "ORDERING"
        self._ordered = before.ordered if before else None
        self._inbox = Inbox(before.signal_failures if before else (), sku=self._shortage.sku)
        self._delivery: Gate[DeliveryOfStock] = Gate(
            REPLENISHMENT_RECEIVED.name, remind_every=SUPPLIER_REMINDER, state=before.gate if before else None
        )

    @workflow.run
    async def run(self, shortage: RawValue) -> str:  # noqa: ARG002 - it was read when the workflow was made
        """End the shortage that ``shortage``, a :class:`ReplenishmentRequest`, names."""
        if self._unreadable is not None:
            raise ApplicationError(self._unreadable, type="UnreadableError", non_retryable=True)
        sku, cycle = self._shortage.sku, self._shortage.cycle

        # 1. Order Replenishment
        if self._ordered is None:
            self._show("ORDERING")
            lot = await ORDER_REPLENISHMENT(ReplenishmentReference(sku, cycle))
            self._ordered = lot.quantity
        if not self._ordered:
            return self._show("NOT_NEEDED")

        # 2. Wait for the Delivery, reminding the supplier every 24 hours
        self._show("WAITING_FOR_DELIVERY")
        try:
            delivery = await self._delivery.wait(
                remind=lambda number: REMIND_SUPPLIER(SupplierReminder(sku, cycle, number))
            )
        except RunIsFullError:
            await workflow.wait_condition(workflow.all_handlers_finished)
            workflow.continue_as_new(replace(self._shortage, progress=self._progress(self._ordered)))

        # 3. Receive Replenishment
        self._show("RECEIVING")
        await RECEIVE_REPLENISHMENT(StockReceipt(sku, cycle, delivery.quantity))
        return self._show("RECEIVED")

    def _show(self, state: str) -> str:
        self._state = state
        note_status(state)
        return state

    def _progress(self, ordered: int) -> ReplenishmentProgress:
        return ReplenishmentProgress(ordered, self._delivery.state, self._inbox.failures)

    @workflow.signal(name=REPLENISHMENT_RECEIVED.name)
    def replenishment_received(self, raw: RawValue) -> None:
        """The supplier has delivered. The first report counts; a repeat changes nothing."""
        delivery = self._inbox.receive(REPLENISHMENT_RECEIVED, raw)
        if delivery is None:
            return
        if delivery.cycle != self._shortage.cycle:
            self._inbox.note(REPLENISHMENT_RECEIVED.name, f"about another cycle: {delivery.cycle}")
        elif delivery.quantity < 1:
            self._inbox.note(REPLENISHMENT_RECEIVED.name, f"{delivery.quantity} pieces were delivered")
        else:
            self._delivery.pass_with(delivery)

    @workflow.query(name=GET_SNAPSHOT)
    def get_snapshot(self) -> ReplenishmentSnapshot:
        """Everything that can be said about where the replenishment stands."""
        return ReplenishmentSnapshot(
            sku=self._shortage.sku,
            cycle=self._shortage.cycle,
            state=self._state,
            blocking_reason=self._delivery.waiting_for,
            ordered=self._ordered,
            reminders=self._delivery.state.reminded,
            signal_failures=self._inbox.failures,
        )
