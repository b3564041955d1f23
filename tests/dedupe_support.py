"""What the tests of signal deduplication share: somebody who tells a workflow words, as the bridge does."""

from __future__ import annotations

import json
from typing import Any, Final

from temporalio.api.enums.v1 import EventType
from temporalio.client import Client, WorkflowHandle, WorkflowHistory
from temporalio.worker import Worker

from tests.dedupe_workflow import Chime, Deaf, Tally
from tests.waiting import until
from tests.workflow_support import signal_as_event
from workflows.dedupe import CONTINUE_AS_NEW_UPDATE, DedupeSignals

WORKFLOWS: Final = (Tally, Chime, Deaf)


class Teller:
    """Tells one Tally words, each under the id of an event, each time under a new request id."""

    def __init__(self, client: Client, name: str) -> None:
        self.client = client
        self.name = name
        self.handle: WorkflowHandle[Any, list[str]] = client.get_workflow_handle(name)
        self._requests = 0

    async def start(self, workflow: str = "Tally") -> None:
        """Start the workflow on a queue of its own."""
        await self.client.start_workflow(workflow, [], id=self.name, task_queue=self.name)

    def plain_worker(self) -> Worker:
        """A worker of that queue, without the plugin."""
        return Worker(self.client, task_queue=self.name, workflows=WORKFLOWS)

    def worker(self, **options: Any) -> Worker:
        """A worker of that queue, with the one line that deduplicates."""
        return Worker(
            self.client, task_queue=self.name, workflows=WORKFLOWS, plugins=[DedupeSignals(**options)]
        )

    async def tell(self, event_id: str, word: Any, signal: str = "tell") -> None:
        """Tell it ``word``, as the event ``event_id``."""
        self._requests += 1
        await signal_as_event(
            self.client, self.name, signal, event_id, f"{event_id}:{signal}:{self._requests}", word
        )

    async def words(self) -> list[str]:
        """What it was told so far."""
        return await self.handle.query(Tally.words)

    async def heard(self, *words: str) -> None:
        """Return once it was told exactly ``words``."""

        async def is_so() -> bool:
            return await self.words() == list(words)

        await until(is_so, what=f"told {words}")

    async def end(self) -> list[str]:
        """Everything it was told, by its end."""
        await self.tell("the end", "end")
        return await self.handle.result()

    async def history(self) -> WorkflowHistory:
        """The history of its current run."""
        return await self.handle.fetch_history()

    async def ask_for_a_new_run(self) -> dict[str, Any]:
        """Send the reserved update; what it answers."""
        answer: dict[str, Any] = await self.handle.execute_update(CONTINUE_AS_NEW_UPDATE)
        return answer

    async def markers(self) -> list[str]:
        """The patch markers in the history of its current run, oldest first."""
        return [
            json.loads(payload.data)["id"]
            for event in (await self.history()).events
            if event.event_type == EventType.EVENT_TYPE_MARKER_RECORDED
            for payloads in event.marker_recorded_event_attributes.details.values()
            for payload in payloads.payloads
        ]
