"""Durable intent to create an order: once it has started, a submission is never lost, even if OMS is down.

Source: 003, "Workflow 1 — OrderIntakeWorkflow"; design §7.
"""

from __future__ import annotations

import asyncio
from enum import StrEnum

from temporalio import workflow
from temporalio.common import RawValue, WorkflowIDReusePolicy
from temporalio.exceptions import ApplicationError, WorkflowAlreadyStartedError
from temporalio.workflow import ParentClosePolicy

from workflows.activities.contracts.orders import CREATE_ORDER, EMIT_ORDER_EVENT, VALIDATE_ORDER, EventToEmit
from workflows.contracts.orders import (
    GET_STATUS,
    ORDER_FULFILLMENT,
    ORDER_INTAKE,
    FulfillmentRequest,
    OrderIntakeRequest,
)
from workflows.emitting import emitted_event_id
from workflows.patches import INTAKE_STATUS
from workflows.policies import INTAKE_CLOCK
from workflows.signals import UnreadableError, read
from workflows.visibility import note_status


class IntakeStatus(StrEnum):
    """How far an intake has come. Source: 003, "Queries"."""

    RECEIVED = "RECEIVED"
    VALIDATED = "VALIDATED"
    CREATED = "CREATED"
    FAILED = "FAILED"


@workflow.defn(name=ORDER_INTAKE.name)
class OrderIntakeWorkflow:
    """Takes one submission to an order whose fulfillment has started. Gives the order's id.

    Fails, and stays failed, where the submission is invalid; otherwise it tries again until it succeeds or
    its 7 days are over. Cancelling it in Temporal has an effect until it creates the order and none after:
    from then on the order's own cancellation (``CancelOrder``) is what ends it.
    """

    def __init__(self) -> None:
        self._status = IntakeStatus.RECEIVED
        self._committed = False

    @workflow.run
    async def run(self, submission: RawValue) -> str:
        """Take in ``submission``, an :class:`OrderIntakeRequest`."""
        intake = asyncio.create_task(self._intake(submission))
        deadline = workflow.now() + INTAKE_CLOCK
        while not intake.done():
            try:
                await workflow.wait_condition(intake.done, timeout=deadline - workflow.now())
            except TimeoutError:
                self._reach(IntakeStatus.FAILED)
                raise ApplicationError(
                    f"not taken in within {INTAKE_CLOCK.days} days", type="IntakeTimeoutError"
                ) from None
            except asyncio.CancelledError:
                if not self._committed:
                    self._reach(IntakeStatus.FAILED)
                    raise
        try:
            return intake.result()
        except Exception:
            self._reach(IntakeStatus.FAILED)
            raise

    async def _intake(self, submission: RawValue) -> str:
        try:
            request = read(OrderIntakeRequest, submission)
        except UnreadableError as error:
            raise ApplicationError(str(error), type="InvalidOrderError", non_retryable=True) from error

        self._reach(IntakeStatus.RECEIVED, request.order_id)

        # 1. Validate Order
        await VALIDATE_ORDER(request)
        self._reach(IntakeStatus.VALIDATED)

        # 2. Create Order
        self._committed = True
        order_id = await CREATE_ORDER(request)
        self._reach(IntakeStatus.CREATED)

        # 3. Emit Order Created Event
        event_id = emitted_event_id("Emit Order Created Event")
        await EMIT_ORDER_EVENT(EventToEmit(order_id, "OrderCreated", event_id))

        # 4. Start Fulfillment Workflow
        await self._start_fulfillment(order_id)

        # 5. Complete
        return order_id

    async def _start_fulfillment(self, order_id: str) -> None:
        """Start it and leave it to itself; one that has started before, running or closed, is the one."""
        try:
            await workflow.start_child_workflow(
                ORDER_FULFILLMENT.name,
                FulfillmentRequest(order_id),
                id=ORDER_FULFILLMENT.workflow_id(order_id=order_id),
                task_queue=ORDER_FULFILLMENT.queue,
                parent_close_policy=ParentClosePolicy.ABANDON,
                id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
            )
        except WorkflowAlreadyStartedError:
            workflow.logger.info("fulfillment of %s had been started", order_id)

    def _reach(self, status: IntakeStatus, order_id: str | None = None) -> None:
        self._status = status
        note_status(status.value, order_id=order_id, since=INTAKE_STATUS)

    @workflow.query(name=GET_STATUS)
    def get_status(self) -> str:
        """RECEIVED, VALIDATED, CREATED or FAILED."""
        return self._status.value
