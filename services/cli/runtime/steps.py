"""What is prepared while a mesh starts: the database cluster, schemas, streams, and that the edge answers."""

from pathlib import Path
from typing import TYPE_CHECKING

from services.cli.runtime import preparation
from services.cli.runtime.database import DatabaseOptions
from services.cli.runtime.database_roles import ServiceSchema
from services.cli.runtime.mesh import Mesh
from services.cli.runtime.nats_accounts import RUNTIME_USER, outside_users
from services.cli.runtime.part import Step
from services.cli.runtime.postgres_address import read_dsn
from services.cli.runtime.postgres_cluster import SUPERUSER
from services.cli.runtime.probes import http_probe
from services.cli.runtime.settings import POSTGRES_DSN_VARIABLE, PROJECT, SERVICES, RuntimeSettings

if TYPE_CHECKING:
    from services.chassis.nats.topology import TopologyOptions

DATABASE_STEP = "database"
STREAMS_STEP = "streams"
CLUSTER_STEP = "cluster"
EDGE_STEP = "edge"
SYNC_NOTE = (
    "whether the NATS server syncs before it acknowledges cannot be seen from here: set jetstream { sync_interval: "
    "always } where it is a single one"
)
_SCHEMA_MAKERS = frozenset({"notification"})


def cluster_step(mesh: Mesh) -> Step:
    """Makes the embedded cluster where there is none."""
    cluster = mesh.cluster()
    password = mesh.credentials.postgres[SUPERUSER]
    environment = mesh.bare_environment()

    async def run() -> str:
        return await preparation.ensure_cluster(cluster, password, environment, mesh.state)

    return Step(name=CLUSTER_STEP, run=run)


def service_schemas(mesh: Mesh) -> tuple[ServiceSchema, ...]:
    """Each service's place in the database."""
    return tuple(
        ServiceSchema(
            service,
            mesh.role(service),
            mesh.credentials.postgres[service],
            migrations_of(service),
            makes_schemas=service in _SCHEMA_MAKERS,
        )
        for service in SERVICES
    )


def topology_options(settings: RuntimeSettings) -> "TopologyOptions":
    """What the settings say of the streams."""
    # Here, so that the servers start while it loads.
    from services.chassis.nats.topology import TopologyOptions

    return TopologyOptions(
        replicas=settings.replicas,
        partitions=settings.partitions,
        max_bytes=settings.stream_bytes,
        tenants=settings.tenants,
    )


def database_step(mesh: Mesh) -> Step:
    """Brings roles and schemas up to date."""
    schemas = service_schemas(mesh)
    needs = frozenset[str]() if mesh.settings.postgres_dsn else frozenset({"postgres"})
    address = read_dsn(mesh.admin_dsn, POSTGRES_DSN_VARIABLE)
    options = DatabaseOptions(
        own_server=not mesh.settings.postgres_dsn,
        revoke_public=mesh.settings.postgres_revoke_public,
        reset_passwords=mesh.settings.postgres_reset_passwords,
        secrets_file=mesh.state.secrets_file,
    )

    async def run() -> str:
        return await preparation.prepare_schemas(mesh.admin_dsn, address, schemas, options, mesh.preparation)

    return Step(name=DATABASE_STEP, run=run, needs=needs)


def streams_step(mesh: Mesh) -> Step:
    """Brings the streams up to date, on a server that may be the operator's."""
    user, password = mesh.nats_login(RUNTIME_USER)
    needs = frozenset[str]() if mesh.settings.nats_url else frozenset({"nats"})
    store = None if mesh.settings.nats_url else mesh.state.nats

    async def run() -> str:
        settings = mesh.settings
        if settings.nats_url:
            await _check_own_nats(mesh)
        done = await preparation.prepare_streams(
            mesh.nats_url,
            user,
            password,
            mesh.state.logs / "runtime.log",
            prefix=settings.names.prefix,
            options=topology_options(settings),
            store=store,
            done=mesh.preparation,
        )
        if settings.nats_url and mesh.preparation.streams and settings.replicas == 1:
            mesh.tell(SYNC_NOTE)
        return done

    return Step(name=STREAMS_STEP, run=run, needs=needs)


def edge_step(mesh: Mesh, parts: frozenset[str]) -> Step:
    """Waits until the edge answers."""
    probe = http_probe(mesh.edge_host, mesh.ports["edge"], "/health")

    async def run() -> str:
        return await preparation.wait_for_edge(probe)

    return Step(name=EDGE_STEP, run=run, needs=parts)


async def _check_own_nats(mesh: Mesh) -> None:
    """Refuses a server of the operator's that cannot be used, and tells what it lets others do."""
    from services.cli.runtime import own_nats

    notes = await own_nats.check_server(mesh.nats_url, *mesh.nats_login(RUNTIME_USER))
    for user in outside_users(mesh.settings.tenants):
        if login := mesh.outside_login(user):
            notes.append(await own_nats.check_outside_login(mesh.nats_url, user, *login))
    for note in filter(None, notes):
        mesh.tell(note)


def migrations_of(service: str) -> Path | None:
    """The directory of a service's migrations."""
    directory = PROJECT / "services" / service / "migrations"
    return directory if directory.is_dir() else None
