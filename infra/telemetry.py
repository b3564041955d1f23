"""What a process tells of itself: logs, structured, one event a line, on standard error; and traces, where wanted."""

from __future__ import annotations

import logging
import sys

import structlog

from infra.settings import Settings


def configure_telemetry(settings: Settings, *, process: str) -> None:
    """Configure logs and traces of a process that serves, or that others' traces begin in."""
    # Imported here: a command that only writes logs, as a demo's parent, does not load an API for traces.
    from infra.tracing import configure_tracing

    configure_logging(settings, process=process)
    configure_tracing(settings, process)


def configure_logging(settings: Settings, **context: str) -> None:
    """Send this process's logs to standard error, as text or as JSON, with ``context`` on each line.

    Called once by a command; libraries that log through :mod:`logging` are brought into the same form.
    """
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if settings.log_json
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(processor=renderer, foreign_pre_chain=shared))
    logging.basicConfig(level=max(level, logging.WARNING), handlers=[handler], force=True)
    structlog.contextvars.bind_contextvars(**context)
