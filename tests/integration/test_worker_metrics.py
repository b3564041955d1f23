"""The three metrics of 002, scraped from a worker; its two names; its version."""

from __future__ import annotations

import httpx
from temporalio.api.workflowservice.v1 import SetWorkerDeploymentCurrentVersionRequest
from temporalio.client import Client
from temporalio.common import VersioningBehavior
from temporalio.service import RPCError

from infra.clients.search_attributes import ensure_search_attributes
from infra.ids import order_id_of
from infra.local.process import free_ports
from tests.waiting import until
from tests.workflow_support import FakeContexts, World, new_namespace, submission
from workflows.contracts.orders import GET_STATUS, ORDER_INTAKE
from workflows.visibility import SEARCH_ATTRIBUTES
from workflows.worker import Deployment, WorkerLimits, build_worker, build_workers, metrics_runtime

NAMES = (
    "temporal_workflow_started_total",
    "temporal_workflow_completed_total",
    "temporal_activity_execution_latency",
)


async def scraped(port: int) -> dict[str, float]:
    """What ``/metrics`` says, by the whole text before each number."""
    async with httpx.AsyncClient() as http:
        text = (await http.get(f"http://127.0.0.1:{port}/metrics")).text
    lines = [line.rpartition(" ") for line in text.splitlines() if line and not line.startswith("#")]
    return {series: float(number) for series, _, number in lines}


def total(series: dict[str, float], name: str, *labels: str) -> float:
    """The sum of the series of ``name`` that have all ``labels``."""
    return sum(
        number
        for key, number in series.items()
        if key.partition("{")[0] == name and all(label in key for label in labels)
    )


async def test_a_worker_serves_the_three_metrics_of_002(temporal_address: str, unique: str) -> None:
    """By exactly these names. A replay counts no second start; a continued run counts no start at all."""
    port, other = free_ports(2)
    async with new_namespace(temporal_address) as world:
        contexts = FakeContexts()
        client = await Client.connect(
            temporal_address, namespace=world.client.namespace, runtime=metrics_runtime(port)
        )
        await ensure_search_attributes(client, SEARCH_ATTRIBUTES)
        run = World(client, contexts, world.environment)
        intake = f'workflow_type="{ORDER_INTAKE.name}"'
        async with (
            build_worker(client, "order-processing", limits=WorkerLimits(signals_per_run=3), strict=True),
            build_worker(client, "oms", activities=contexts.implementations("oms")),
            build_worker(client, "ims", activities=contexts.implementations("ims")),
            build_worker(client, "wms", activities=contexts.implementations("wms")),
        ):
            assert await (await run.take_in(submission(unique), unique)).result() == order_id_of(unique)

            async def counted() -> bool:
                return total(await scraped(port), "temporal_workflow_completed_total", intake) == 1

            await until(counted)
            series = await scraped(port)
            assert total(series, "temporal_workflow_started_total", intake) == 1
            assert total(series, "temporal_activity_execution_latency_count", "ValidateOrder") == 1
            assert all(any(key.startswith(name) for key in series) for name in NAMES)

            handle = client.get_workflow_handle("order-fulfillment-" + order_id_of(unique))
            for number in range(3):
                await handle.signal("PackCompleted", {"order_id": f"{number}"})

            async def continued() -> bool:
                events = (await client.get_workflow_handle(handle.id).fetch_history()).events
                began = events[0].workflow_execution_started_event_attributes
                worked = any(event.HasField("workflow_task_completed_event_attributes") for event in events)
                return bool(began.continued_execution_run_id) and worked

            await until(continued, what="a second run has begun its work")
            fulfillment = 'workflow_type="OrderFulfillmentWorkflow"'
            assert total(await scraped(port), "temporal_workflow_started_total", fulfillment) == 1

        # A worker that knows nothing of it answers from a replay.
        second = await Client.connect(
            temporal_address, namespace=client.namespace, runtime=metrics_runtime(other)
        )
        async with build_worker(second, "order-processing"):
            asking = second.get_workflow_handle(ORDER_INTAKE.workflow_id(request_id=unique))
            assert await asking.query(GET_STATUS) == "CREATED"
            assert total(await scraped(other), "temporal_workflow_started_total", intake) == 0


async def test_order_workers_answer_to_both_of_their_names(temporal_address: str, unique: str) -> None:
    """What is started on ORDER_TASK_QUEUE (001) is run by the workers of order-processing (002)."""
    async with new_namespace(temporal_address) as world:
        contexts = FakeContexts()
        await ensure_search_attributes(world.client, SEARCH_ATTRIBUTES)
        first, also = build_workers(world.client, "order-processing", number=2)
        async with first, also, build_worker(world.client, "oms", activities=contexts.implementations("oms")):
            handle = await world.client.start_workflow(
                ORDER_INTAKE.name,
                submission(unique),
                id=ORDER_INTAKE.workflow_id(request_id=unique),
                task_queue="ORDER_TASK_QUEUE",
                result_type=str,
            )
            assert await handle.result() == order_id_of(unique)
            workers = {
                event.workflow_task_completed_event_attributes.identity
                for event in (await handle.fetch_history()).events
                if event.HasField("workflow_task_completed_event_attributes")
            }
            assert workers == {"order-processing-worker-2"}


async def test_a_versioned_worker_works_once_its_version_is_current(
    temporal_address: str, unique: str
) -> None:
    """Worker Versioning: a run says which version it is of, and moves on with its next task."""
    async with new_namespace(temporal_address) as world:
        client, contexts = world.client, FakeContexts()
        await ensure_search_attributes(client, SEARCH_ATTRIBUTES)
        deployment = Deployment("tidegate", f"build-{unique}")
        async with (
            build_worker(client, "order-processing", deployment=deployment),
            build_worker(client, "oms", activities=contexts.implementations("oms"), deployment=deployment),
        ):
            await make_current(client, deployment)
            handle = await world.take_in(submission(unique), unique)
            assert await handle.result() == order_id_of(unique)
            versioning = (await handle.describe()).raw_description.workflow_execution_info.versioning_info
            assert versioning.deployment_version.build_id == deployment.build_id
            assert versioning.behavior == VersioningBehavior.AUTO_UPGRADE.value


async def make_current(client: Client, deployment: Deployment) -> None:
    """What an operator does once the new workers poll: ``temporal worker deployment set-current-version``."""

    async def was_made() -> bool:
        try:
            await client.workflow_service.set_worker_deployment_current_version(
                SetWorkerDeploymentCurrentVersionRequest(
                    namespace=client.namespace,
                    deployment_name=deployment.name,
                    build_id=deployment.build_id,
                    version=f"{deployment.name}.{deployment.build_id}",
                    identity="test",
                )
            )
        except RPCError:
            return False  # the version is not known before its first poll
        return True

    await until(was_made)
