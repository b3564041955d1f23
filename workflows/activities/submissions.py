"""What a workflow passes on about an order, in the services' types."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal, InvalidOperation

from temporalio.exceptions import ApplicationError

from services.orders import OrderLine, OrderSubmission
from workflows.contracts.orders import OrderIntakeRequest


def submission_of(request: OrderIntakeRequest) -> OrderSubmission:
    """The submission in the service's types; not retried where a text is no amount or no time."""
    try:
        return OrderSubmission(
            order_id=request.order_id,
            request_id=request.request_id,
            customer_id=request.customer_id,
            currency=request.currency,
            ordered_at=datetime.fromisoformat(request.ordered_at),
            lines=tuple(
                OrderLine(line.sku, line.quantity, Decimal(line.unit_price), Decimal(line.discount))
                for line in request.lines
            ),
        )
    except (ValueError, InvalidOperation) as error:
        reason = f"not an order: {type(error).__name__}"
        raise ApplicationError(reason, type="InvalidOrderError", non_retryable=True) from error
