"""Where everything of a mesh is, who logs in as whom, and what each program is told in its environment."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from services.cli.runtime import edge
from services.cli.runtime.credentials import Credentials
from services.cli.runtime.database import DATABASE
from services.cli.runtime.database_roles import role_name
from services.cli.runtime.disk import journal_settings
from services.cli.runtime.nats_address import NATS_PASSWORD_VARIABLE, NATS_USER_VARIABLE
from services.cli.runtime.ports import LOOPBACK
from services.cli.runtime.postgres_address import read_dsn, with_login
from services.cli.runtime.postgres_cluster import SUPERUSER, PostgresCluster
from services.cli.runtime.preparation import Preparation
from services.cli.runtime.prometheus import RUNTIME
from services.cli.runtime.settings import POSTGRES_DSN_VARIABLE, SERVICES, RuntimeSettings
from services.cli.runtime.state import StateDir
from services.cli.runtime.stream_memory import StreamMemory
from services.cli.version import checkout_commit

_REFUSED_TARGETS = "TOCSIN_REFUSED_TARGETS"
_LINK_KEY_FILE = "TOCSIN_NOTIFICATION_LINK_KEY_FILE"
_UPLOAD_KEY_FILE = "TOCSIN_INGESTION_DEBT_UPLOAD_KEY_FILE"
_DEBT_SPOOL = "TOCSIN_INGESTION_DEBT_SPOOL"
_INHERITED = ("PATH", "LD_LIBRARY_PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "USER")


@dataclass(frozen=True, slots=True)
class Mesh:
    """All that the plan of a mesh is made from."""

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
        host = self.edge_host
        return f"http://{f'[{host}]' if ':' in host else host}:{self.ports['edge']}"

    @property
    def edge_host(self) -> str:
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

    def service_environment(self, service: str) -> dict[str, str]:
        """The variables by which a service finds everything (the contract between runtime and processes)."""
        return {
            **self.service_logins(service),
            "TOCSIN_NATS_URL": self.nats_url,
            "TOCSIN_GRPC_LISTEN": f"{_bracketed(self._host(service))}:{self.ports[service]}",
            "TOCSIN_METRICS_LISTEN": self._metrics_listen(service),
            "TOCSIN_PEER_TOKEN_FILE": str(self.credentials.peer_token_files[service]),
            _REFUSED_TARGETS: ",".join(self._refused_targets()),
            _LINK_KEY_FILE: self.settings.passed_on.get(_LINK_KEY_FILE) or str(self.credentials.link_key_file),
            _UPLOAD_KEY_FILE: self.settings.passed_on.get(_UPLOAD_KEY_FILE) or str(self.credentials.upload_key_file),
            **self._spool(service),
            **self._shared_environment(),
        }

    def _spool(self, service: str) -> dict[str, str]:
        """Where debt files under way outlive a process."""
        if service != "ingestion":
            return {}
        return {_DEBT_SPOOL: self.settings.passed_on.get(_DEBT_SPOOL) or str(self.state.spool)}

    def service_logins(self, service: str) -> dict[str, str]:
        """Those of a service's variables that hold its logins."""
        user, password = self.nats_login(service)
        return {
            POSTGRES_DSN_VARIABLE: with_login(self.admin_dsn, self.role(service), self.credentials.postgres[service]),
            NATS_USER_VARIABLE: user,
            NATS_PASSWORD_VARIABLE: password,
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

    def cluster(self) -> PostgresCluster:
        """The embedded database server."""
        return PostgresCluster.at(self.state.postgres, self.ports["postgres"], journal_settings(self.state.postgres))

    def envoy_values(self) -> dict[str, str]:
        """What its configuration is filled with."""
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
        return {**values, **upstream_values({**upstreams, **{service: self.peer(service) for service in SERVICES}})}

    def bare_environment(self) -> dict[str, str]:
        """For programs that are not ours: nothing of Tocsin's, above all no secrets."""
        inherited = self.settings.passed_on
        return {name: inherited[name] for name in _INHERITED if name in inherited}


def upstream_values(upstreams: Mapping[str, str]) -> dict[str, str]:
    """The values of Envoy's template for those behind it, of their `host:port` by name."""
    values: dict[str, str] = {}
    for upstream, address in upstreams.items():
        host, _, port = address.rpartition(":")
        values[f"{upstream.upper()}_HOST"] = host.strip("[]")
        values[f"{upstream.upper()}_PORT"] = port
    return values


def _reached(host: str) -> str:
    """Where this machine reaches what listens on `host`."""
    return LOOPBACK if host in ("0.0.0.0", "::") else host


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
