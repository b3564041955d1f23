"""What the services refuse, below :class:`infra.errors.TidegateError`.

    TidegateError
    └── ServiceError
        ├── InvalidOrderError        the order can never be accepted as it is       not retryable
        ├── IllegalTransitionError   the aggregate is past, or not yet at, the step  not retryable
        ├── UnknownOrderError        the context holds nothing under that order id   not retryable
        ├── UnknownCheckoutError     no checkout is on record under that id          not retryable
        ├── InvalidReturnError       the return can never be accepted as it is      not retryable
        ├── UnknownReturnError       no return is on record under that id            not retryable
        ├── UnknownItemError         IMS holds no item under that sku                not retryable
        ├── BillOfMaterialsError     components that are unknown or lead to themselves  (misuse)
        ├── LabelRefusedError        the carrier gave no label this time             retryable
        ├── PaymentRefusedError      the payment provider, or a check, said no        not retryable
        │   ├── CardDeclinedError        the provider does not hold the amount
        │   ├── InsufficientFundsError   there is not enough money behind the card
        │   ├── CardInvalidError         the card cannot be used
        │   └── FraudDetectedError       the payment is taken for a fraud
        ├── RefundRefusedError       more is asked back than is left of what was taken  not retryable
        └── ProviderFailedError      the payment provider gave no usable answer      retryable
            └── ProviderRestingError     it is not even asked: the circuit is open   retryable, later

Source: 003, "Retry & Timeout Philosophy": validation errors and illegal state transitions are not retried; 002,
"Payment-Specific Retries": nor are fraud and insufficient funds.
"""

from __future__ import annotations

from infra.errors import InvalidInputError, TidegateError


class ServiceError(TidegateError):
    """A service refused an operation."""


class InvalidOrderError(ServiceError):
    """The order is structurally invalid: no retry will make it acceptable."""


class IllegalTransitionError(ServiceError):
    """The aggregate's state does not allow the operation, and repeating it will not help."""


class UnknownOrderError(ServiceError):
    """The context holds nothing under that order id."""


class UnknownCheckoutError(ServiceError):
    """No checkout is on record under that id."""


class InvalidReturnError(ServiceError, InvalidInputError):
    """The return is structurally invalid, or its id was used for another one."""


class UnknownReturnError(ServiceError):
    """No return is on record under that id."""


class UnknownItemError(ServiceError):
    """IMS holds no item under that sku."""


class BillOfMaterialsError(ServiceError, InvalidInputError):
    """Components that are unknown, or that lead back to the item they make up."""


class LabelRefusedError(ServiceError):
    """The carrier gave no label this time; asking again may help."""


class PaymentRefusedError(ServiceError):
    """The payment provider, or a check of the payment, said no; asking again gives the same answer."""


class CardDeclinedError(PaymentRefusedError):
    """The provider does not hold the amount on this card."""


class InsufficientFundsError(PaymentRefusedError):
    """There is not enough money behind the card."""


class CardInvalidError(PaymentRefusedError):
    """The card cannot be used: expired, blocked, or no such card."""


class FraudDetectedError(PaymentRefusedError):
    """The payment is taken for a fraud."""


class RefundRefusedError(ServiceError):
    """More is asked back than is left of what was taken, or what was asked for makes no sense."""


class ProviderFailedError(ServiceError):
    """The payment provider gave no usable answer: whether it did what it was asked is not known."""


class ProviderRestingError(ProviderFailedError):
    """The payment provider is not asked for a while, because it has failed too often.

    ``seconds`` is how long until it is asked again.
    """

    def __init__(self, message: str, seconds: float) -> None:
        super().__init__(message)
        self.seconds = seconds
