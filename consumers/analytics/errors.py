"""Errors of the analytics application. A topic that is not there is a ``consumers.errors.MissingTopicError``.

TidegateError
└── ConsumerError
    └── AnalyticsCrashedError       faust stopped by itself, or the sink cannot go on
"""

from __future__ import annotations

from consumers.errors import ConsumerError


class AnalyticsCrashedError(ConsumerError):
    """The analytics application stopped by itself."""
