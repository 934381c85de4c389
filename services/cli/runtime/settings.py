"""What `tocsin up` is told: options first, then the environment, then defaults."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

from services.chassis.mesh_names import MeshNames, prefix_problem
from services.chassis.secret_files import SecretsUnreadable, with_secret_files
from services.chassis.tenants import DEFAULT_TENANTS, REQUESTS_OF, tenant_names, tenants_problem
from services.cli.runtime.errors import ConfigurationProblem
from services.cli.runtime.health import HealthLimits
from services.cli.runtime.identity_provider import AUTH_DEV_TOKENS_VARIABLE, Identity, read_identity
from services.cli.runtime.nats_address import NATS_URL_VARIABLE, read_nats
from services.cli.runtime.ports import LOOPBACK, PortRequest
from services.cli.runtime.postgres_address import read_dsn
from services.cli.runtime.state import StateDir

SERVICES = ("ingestion", "aggregation", "media_probe", "notification")
DEFAULT_EDGE_PORT = 8080
STREAMS = (
    *("READINGS", "READINGS_PRIORITY", "ALERTS", "VIDEOS", "DEBTS", "DEBT_FILES", "WINDOWS", "ALARMS", "ALARM_NOTICES"),
    *("PAYLOADS", "INVOICES", "NOTIFICATIONS", "DEAD_LETTERS", "HEALTH"),
)
"""The streams of the topology, beside those of tenants. (Named here, as the topology takes long to load.)"""
PROJECT = Path(__file__).parents[3]
PORT_OPTIONS: Mapping[str, str] = {"edge": "--port", "postgres": "--postgres-port", "nats": "--nats-port"}
"""The options of `tocsin up` that set ports, by the ports' names."""

PORT_NAMES: Mapping[str, str] = {
    "edge": "the edge",
    "edge_tls": "the edge's TLS listener",
    "envoy_metrics": "Envoy's metrics",
    "postgres": "PostgreSQL",
    "nats": "NATS",
    "runtime_metrics": "the runtime's metrics",
    "gateway": "the gateway",
    "gateway_grpc": "the gateway's reflection",
    "gateway_metrics": "the gateway's metrics",
    **{service: service.replace("_", "-") for service in SERVICES},
    **{f"{service}_metrics": f"{service.replace('_', '-')}'s metrics" for service in SERVICES},
}
"""What listens on a port, by the port's name."""

EDGE_PORT_VARIABLE = "TOCSIN_EDGE_PORT"
EDGE_TLS_VARIABLE = "TOCSIN_EDGE_TLS_CERT_FILE"
EDGE_HOST_VARIABLE = "TOCSIN_EDGE_HOST"
METRICS_HOST_VARIABLE = "TOCSIN_METRICS_HOST"
UNHEALTHY_AFTER_VARIABLE = "TOCSIN_UNHEALTHY_AFTER"
RESTART_AFTER_VARIABLE = "TOCSIN_RESTART_AFTER"
POSTGRES_DSN_VARIABLE = "TOCSIN_POSTGRES_DSN"
POSTGRES_ROLE_PREFIX_VARIABLE = "TOCSIN_POSTGRES_ROLE_PREFIX"
POSTGRES_REVOKE_PUBLIC_VARIABLE = "TOCSIN_POSTGRES_REVOKE_PUBLIC"
POSTGRES_RESET_PASSWORDS_VARIABLE = "TOCSIN_POSTGRES_RESET_PASSWORDS"
NATS_PREFIX_VARIABLE = "TOCSIN_NATS_PREFIX"
NATS_REPLICAS_VARIABLE = "TOCSIN_NATS_REPLICAS"
NATS_STREAM_BYTES_VARIABLE = "TOCSIN_NATS_STREAM_BYTES"
PARTITIONS_VARIABLE = "TOCSIN_READINGS_PARTITIONS"
TENANTS_VARIABLE = "TOCSIN_NOTIFICATION_TENANTS"
MOVE_VARIABLE = "TOCSIN_MOVE"


_SIZE = re.compile(r"(\d{1,9})(B|KiB|MiB|GiB|TiB)")
_SIZE_UNITS = {"B": 1, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3, "TiB": 1024**4}
_ON = ("1", "true", "yes", "on")
_OFF = ("0", "false", "no", "off")


def part_name(service: str) -> str:
    """The name of a service as people read it: `media_probe` is `media-probe`."""
    return service.replace("_", "-")


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeSettings:
    """One mesh's settings. `configured_ports` by the names of `port_requests`; what is missing is chosen."""

    state_dir: Path
    edge_host: str = LOOPBACK
    configured_ports: Mapping[str, int] = field(default_factory=dict[str, int])
    postgres_dsn: str = ""
    """A server to use in place of an own one: role (may create roles) and database (the schemas' home)."""
    postgres_role_prefix: str = ""
    """What the names of the services' roles begin with; the database's name by default."""
    postgres_revoke_public: bool = False
    """Whether a database that was there before Tocsin is closed to everybody else."""
    postgres_reset_passwords: bool = False
    """Whether roles with a password that this state directory does not know get a new one."""
    nats_url: str = ""
    """A server to use in place of an own one, with `nats_user` and `nats_password` for everybody."""
    nats_user: str = ""
    nats_password: str = ""
    names: MeshNames = field(default_factory=MeshNames)
    """What subjects and streams are called at the server."""
    move: bool = False
    """Whether other servers than those of the last start are meant."""
    replicas: int = 1
    """Copies of each stream."""
    partitions: int = 8
    """Partitions of the readings."""
    tenants: tuple[str, ...] = tenant_names(DEFAULT_TENANTS)
    """Those of the notifications."""
    stream_bytes: Mapping[str, int] = field(default_factory=dict[str, int])
    """How large streams may grow, by name; others as by default."""
    service_hosts: Mapping[str, str] = field(default_factory=dict[str, str])
    """What services listen on, where it is not loopback."""
    peers: Mapping[str, str] = field(default_factory=dict[str, str])
    """Where services answer (`host:port`) that run on another host."""
    identity: Identity = field(default_factory=Identity)
    """Whose tokens are accepted."""
    metrics_host: str = LOOPBACK
    """What everything that answers metrics listens on."""
    only: frozenset[str] | None = None
    """Names of the parts to run; None for all."""
    health: HealthLimits = field(default_factory=HealthLimits)
    """When a part is called unhealthy, and when it is restarted."""
    passed_on: Mapping[str, str] = field(default_factory=dict[str, str])
    """The environment that parts inherit, before their own variables."""

    def runs(self, part: str) -> bool:
        """Whether the part is wanted."""
        return self.only is None or part in self.only

    def port_requests(self) -> list[PortRequest]:
        """Every port of the mesh's own parts."""
        elsewhere: set[str] = set()
        if not self.passed_on.get(EDGE_TLS_VARIABLE):
            elsewhere.add("edge_tls")
        if self.postgres_dsn:
            elsewhere.add("postgres")
        if self.nats_url:
            elsewhere.add("nats")
        return [self._request(name) for name in PORT_NAMES if name not in elsewhere]

    def _request(self, name: str) -> PortRequest:
        host, variable = self.service_hosts.get(name, LOOPBACK), f"TOCSIN_{name.upper()}_HOST"
        if name in ("edge", "edge_tls"):
            host, variable = self.edge_host, f"--host or {EDGE_HOST_VARIABLE}"
        elif name.endswith("_metrics"):
            host, variable = self.metrics_host, METRICS_HOST_VARIABLE
        elif name not in SERVICES:
            variable = ""
        configured, option = self.configured_ports.get(name), PORT_OPTIONS.get(name, "")
        return PortRequest(name, PORT_NAMES[name], port_variable(name), host, configured, option, variable)


def parts_of(only: str | None) -> frozenset[str] | None:
    """The names in an option `--only`; None for all parts."""
    return frozenset(name.strip() for name in only.split(",") if name.strip()) if only else None


def port_variable(name: str) -> str:
    """The variable that sets a port: `envoy_metrics` is `TOCSIN_ENVOY_METRICS_PORT`."""
    return f"TOCSIN_{name.upper()}_PORT"


def read_settings(
    state_dir: Path,
    options: Mapping[str, int | None],
    *,
    edge_host: str | None = None,
    only: frozenset[str] | None = None,
    environment: Mapping[str, str] = os.environ,
) -> RuntimeSettings:
    """The settings of this start, from the environment and the files in TOCSIN_SECRETS_DIR; `options` are ports given
    on the command line, by name.

    Raises ConfigurationProblem about the first variable or option that makes no sense.
    """
    environment = read_environment(environment)
    postgres_dsn = environment.get(POSTGRES_DSN_VARIABLE, "")
    if postgres_dsn:
        read_dsn(postgres_dsn, POSTGRES_DSN_VARIABLE)
    nats = read_nats(environment)
    settings = RuntimeSettings(
        state_dir=state_dir,
        edge_host=edge_host or environment.get(EDGE_HOST_VARIABLE) or LOOPBACK,
        postgres_dsn=postgres_dsn,
        postgres_role_prefix=environment.get(POSTGRES_ROLE_PREFIX_VARIABLE, ""),
        postgres_revoke_public=switch(environment, POSTGRES_REVOKE_PUBLIC_VARIABLE),
        postgres_reset_passwords=switch(environment, POSTGRES_RESET_PASSWORDS_VARIABLE),
        nats_url=nats.url,
        nats_user=nats.user,
        nats_password=nats.password,
        names=read_names(environment),
        move=switch(environment, MOVE_VARIABLE),
        replicas=_number(environment, NATS_REPLICAS_VARIABLE, 1, range(1, 6)),
        partitions=_number(environment, PARTITIONS_VARIABLE, 8, range(1, 1025)),
        tenants=read_tenants(environment),
        stream_bytes=_sizes(environment, NATS_STREAM_BYTES_VARIABLE),
        service_hosts=_of_services(environment, "TOCSIN_{}_HOST"),
        peers=_of_services(environment, "TOCSIN_PEER_{}"),
        identity=read_identity(environment, dev_tokens=switch(environment, AUTH_DEV_TOKENS_VARIABLE)),
        metrics_host=environment.get(METRICS_HOST_VARIABLE) or LOOPBACK,
        only=only,
        health=_health(environment),
        passed_on=dict(environment),
    )
    if settings.replicas > 1 and not settings.nats_url:
        raise ConfigurationProblem(
            f"{NATS_REPLICAS_VARIABLE} is {settings.replicas}, and the mesh's own NATS server is a single one; name a "
            f"cluster with {NATS_URL_VARIABLE}"
        )
    # Clients know the address of the last run.
    ports: dict[str, int] = {"edge": StateDir(state_dir).remembered_ports().get("edge", DEFAULT_EDGE_PORT)}
    for request in settings.port_requests():
        option = options.get(request.name)
        given = str(option) if option is not None else environment.get(request.variable, "")
        if given:
            ports[request.name] = _port(given, request.variable if option is None else request.option)
    known = {"postgres", "nats", "gateway", "envoy", *(part_name(service) for service in SERVICES)}
    if only is not None and (unknown := only - known):
        raise ConfigurationProblem(f"no part is called {min(unknown)!r}; there are {', '.join(sorted(known))}")
    return replace(settings, configured_ports=ports)


def read_environment(environment: Mapping[str, str] = os.environ) -> Mapping[str, str]:
    """The environment, with what the files in TOCSIN_SECRETS_DIR add to it. Raises ConfigurationProblem."""
    try:
        return with_secret_files(environment)
    except SecretsUnreadable as error:
        raise ConfigurationProblem(str(error)) from None


def read_names(environment: Mapping[str, str]) -> MeshNames:
    """What subjects and streams are called at the server. Raises ConfigurationProblem."""
    prefix = environment.get(NATS_PREFIX_VARIABLE, "")
    if problem := prefix_problem(prefix):
        raise ConfigurationProblem(f"{NATS_PREFIX_VARIABLE} {problem}")
    return MeshNames(prefix)


def read_tenants(environment: Mapping[str, str]) -> tuple[str, ...]:
    """The tenants of the notifications. Names that are none are left out: the service says what is wrong with them."""
    names = tenant_names(environment.get(TENANTS_VARIABLE) or DEFAULT_TENANTS)
    return tuple(name for name in dict.fromkeys(names) if tenants_problem((name,)) is None)


def _health(environment: Mapping[str, str]) -> HealthLimits:
    defaults = HealthLimits()
    limits = replace(
        defaults,
        unhealthy_after=_duration(environment, UNHEALTHY_AFTER_VARIABLE, defaults.unhealthy_after),
        restart_after=_duration(environment, RESTART_AFTER_VARIABLE, defaults.restart_after),
    )
    if limits.restart_after < limits.unhealthy_after:
        raise ConfigurationProblem(f"{RESTART_AFTER_VARIABLE} must not be less than {UNHEALTHY_AFTER_VARIABLE}")
    return limits


def _duration(environment: Mapping[str, str], variable: str, default: timedelta) -> timedelta:
    text = environment.get(variable, "")
    if not text:
        return default
    found = re.fullmatch(r"(\d+)(s|m|h)", text)
    if found is None or int(found[1]) == 0:
        raise ConfigurationProblem(f"{variable} must be a duration like 20s or 5m, not {text!r}")
    return int(found[1]) * {"s": timedelta(seconds=1), "m": timedelta(minutes=1), "h": timedelta(hours=1)}[found[2]]


def switch(environment: Mapping[str, str], variable: str) -> bool:
    """A variable that is true or false; false where it is unset. Raises ConfigurationProblem."""
    text = environment.get(variable, "").lower()
    if text not in ("", *_ON, *_OFF):
        raise ConfigurationProblem(f"{variable} must be true or false, not {text!r}")
    return text in _ON


def _of_services(environment: Mapping[str, str], variable: str) -> dict[str, str]:
    given = {service: environment.get(variable.format(service.upper()), "") for service in SERVICES}
    return {service: text for service, text in given.items() if text}


def _number(environment: Mapping[str, str], variable: str, default: int, allowed: range) -> int:
    text = environment.get(variable) or str(default)
    if not text.isascii() or not text.isdigit() or int(text) not in allowed:
        raise ConfigurationProblem(f"{variable} must be from {allowed.start} to {allowed.stop - 1}, not {text!r}")
    return int(text)


def _sizes(environment: Mapping[str, str], variable: str) -> dict[str, int]:
    found: dict[str, int] = {}
    for entry in filter(None, (part.strip() for part in environment.get(variable, "").split(","))):
        name, _, text = entry.partition("=")
        size = _SIZE.fullmatch(text)
        if size is None or (name not in STREAMS and not name.startswith(REQUESTS_OF)):
            raise ConfigurationProblem(
                f"{variable} must be like READINGS=4GiB,WINDOWS=512MiB, not {entry!r}; streams are {', '.join(STREAMS)}"
            )
        found[name] = int(size[1]) * _SIZE_UNITS[size[2]]
    return found


def _port(text: str, name: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 65535:
        raise ConfigurationProblem(f"{name} must be a port from 1 to 65535, not {text!r}")
    return int(text)


def from_environment(variable: str, default: str) -> str:
    """The variable's value; the default where it is unset or empty."""
    return os.environ.get(variable) or default
