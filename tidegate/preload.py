"""Imported once by the server that the supervisor forks its children from. It must start no thread."""

from __future__ import annotations

import gc
import importlib
import signal
from typing import Final

MODULES: Final = (
    "aiokafka",
    "asyncpg",
    "fastavro",
    "httpx",
    "prometheus_client",
    "pydantic_settings",
    "rich.table",
    "sqlalchemy.ext.asyncio",
    "structlog",
    "temporalio.client",
    "temporalio.worker",
    "typer",
    "tidegate.commands.bridge",
    "tidegate.commands.relay",
    "tidegate.commands.simulate",
    "tidegate.commands.worker",
    "tidegate.wiring.services",
    "workflows.activities.ims",
    "workflows.activities.oms",
    "workflows.activities.sms",
    "workflows.activities.wms",
    "workflows.worker",
)
"""What most children import."""

signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C is for the supervisor; children undo this
signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})  # as the supervisor has started this

gc.disable()  # nothing that is loaded here is garbage
for _module in MODULES:
    importlib.import_module(_module)
gc.enable()

gc.collect()
gc.freeze()  # what is shared stays shared: the children's collectors do not touch it
