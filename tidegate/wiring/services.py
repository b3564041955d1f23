"""The services and the simulated outside world, wired to their databases."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from pydantic_settings import BaseSettings, SettingsConfigDict
from sqlalchemy.exc import DBAPIError, ProgrammingError
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from infra.clients.kafka import aiokafka_options
from infra.clients.postgres import create_engine
from infra.errors import MisuseError, UnavailableError
from infra.settings import Settings
from outbox import Outbox
from services.carts import Carts
from services.ims import Ims
from services.label_carrier import LabelCarrier
from services.oms import Oms
from services.returns import Returns
from services.sms import Sms
from services.upstream import Simulation, Storefront
from services.upstream.agenda import Agenda
from services.upstream.label_carrier import SimulatedLabelCarrier
from services.upstream.process import RoleProcess
from services.upstream.role import Role
from services.wms import Wms
from tidegate.wiring.schemas import open_schemas


class SimulationSettings(BaseSettings):
    """How the simulated label carrier behaves inside the SMS worker: ``TIDEGATE_SIMULATION__SEED``,
    ``TIDEGATE_SIMULATION__LABEL_FAILURE``. The other simulated systems are told by their command's options.
    """

    model_config = SettingsConfigDict(env_prefix="TIDEGATE_SIMULATION__", extra="ignore")

    seed: int = 0
    label_failure: float = 0.0


@dataclass(frozen=True, slots=True)
class Services:
    """The contexts, on one database."""

    oms: Oms
    ims: Ims
    wms: Wms
    sms: Sms
    carts: Carts
    returns: Returns


@asynccontextmanager
async def open_services(settings: Settings, carrier: LabelCarrier | None = None) -> AsyncIterator[Services]:
    """The services on the database in ``settings``; their connections end with the block.

    Labels come from ``carrier``, or from the simulated one. Raises :class:`UnavailableError` where the
    database does not answer, :class:`MisuseError` where its tables are missing.
    """
    async with open_database(settings) as (sessions, outbox):
        chosen = carrier or SimulatedLabelCarrier(_simulation_of_labels())
        yield Services(
            Oms(sessions, outbox),
            Ims(sessions, outbox),
            Wms(sessions, outbox),
            Sms(sessions, outbox, chosen),
            Carts(sessions, outbox),
            Returns(sessions, outbox),
        )


@asynccontextmanager
async def open_storefront(
    settings: Settings, simulation: Simulation | None = None
) -> AsyncIterator[Storefront]:
    """The storefront on the upstream database in ``settings``. Raises as :func:`open_services`."""
    async with open_database(settings, upstream=True) as (sessions, outbox):
        yield Storefront(sessions, outbox, simulation)


@asynccontextmanager
async def open_role(
    settings: Settings, role: Role, simulation: Simulation, *, group_prefix: str = "tidegate-"
) -> AsyncIterator[RoleProcess]:
    """The process that plays ``role``, in the consumer group ``<group_prefix><role>``; not started.

    Raises as :func:`open_services`.
    """
    schemas = await open_schemas(settings)
    try:
        async with open_sessions(settings, upstream=True) as sessions:
            kafka = {**aiokafka_options(settings.kafka), "group_id": f"{group_prefix}{role.name}"}
            agenda = Agenda(role, sessions, Outbox(schemas.codec))
            yield RoleProcess(role, simulation, agenda, schemas.lookup, kafka)
    finally:
        await schemas.close()


@asynccontextmanager
async def open_database(
    settings: Settings, *, upstream: bool = False
) -> AsyncIterator[tuple[async_sessionmaker[AsyncSession], Outbox]]:
    """Sessions on the services' database, or on the upstream one, and its outbox. Raises as :func:`open_services`."""
    schemas = await open_schemas(settings)
    try:
        async with open_sessions(settings, upstream=upstream) as sessions:
            yield sessions, Outbox(schemas.codec)
    finally:
        await schemas.close()


@asynccontextmanager
async def open_sessions(
    settings: Settings, *, upstream: bool = False
) -> AsyncIterator[async_sessionmaker[AsyncSession]]:
    """Sessions on the services' database, or on the upstream one. Raises as :func:`open_services`."""
    engine = create_engine(settings.postgres, upstream=upstream)
    name = "upstream" if upstream else "services"
    try:
        yield async_sessionmaker(engine, class_=AsyncSession)
    except ProgrammingError as error:
        if getattr(error.orig, "sqlstate", None) not in {"42P01", "3F000"}:
            raise
        raise MisuseError(f"the {name} database has no tables yet: run `tidegate migrate`") from error
    except (DBAPIError, OSError) as error:
        if isinstance(error, DBAPIError) and not _lost_connection(error):
            raise
        where = f"{engine.url.host}:{engine.url.port}/{engine.url.database}"
        raise UnavailableError(f"PostgreSQL ({name}) at {where} does not answer: {error}") from error
    finally:
        await engine.dispose()


def _lost_connection(error: DBAPIError) -> bool:
    """Whether the server went away or refused us: connection errors, shutdowns, too many connections."""
    state = str(getattr(error.orig, "sqlstate", None) or "")
    return error.connection_invalidated or state[:2] in {"08", "53", "57"} or state == "3D000"


def _simulation_of_labels() -> Simulation:
    settings = SimulationSettings()
    return Simulation(seed=settings.seed, label_failure=settings.label_failure)
