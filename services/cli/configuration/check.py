"""Judges every setting of a mesh before anything of it starts."""

import difflib
from collections.abc import Callable, Collection, Mapping

from services.chassis.settings import Refused, read
from services.cli.configuration.catalogue import SERVICE_SETTINGS, all_settings
from services.cli.configuration.gateway import check_gateway
from services.cli.configuration.tls_files import tls_problems
from services.cli.runtime.edge_options import read_edge_options
from services.cli.runtime.errors import ConfigurationProblem
from services.cli.runtime.ports import check_addresses
from services.cli.runtime.programs import check_programs
from services.cli.runtime.settings import RuntimeSettings, part_name
from services.cli.runtime.state import StateDir
from services.cli.runtime.used_servers import check_state

_PLACES = {
    # What the runtime gives to each service; here only that it is there matters.
    "TOCSIN_POSTGRES_DSN": "postgresql://runtime@127.0.0.1/tocsin",
    "TOCSIN_NATS_URL": "nats://127.0.0.1:4222",
    "TOCSIN_GRPC_LISTEN": "127.0.0.1:0",
    "TOCSIN_METRICS_LISTEN": "127.0.0.1:0",
    "TOCSIN_PEER_TOKEN_FILE": "token",
}

_RENAMED = {
    "TOCSIN_MEDIA_PROBE_PRIVATE_ORIGINS": "TOCSIN_MEDIA_PROBE_ALLOWED_TARGETS",
    "TOCSIN_ENVOY_ADMIN_PORT": "TOCSIN_ENVOY_METRICS_PORT",
}
_REMOVED = frozenset({"TOCSIN_NATS_MONITOR_PORT"})


def problems(settings: RuntimeSettings) -> list[str]:
    """What is wrong with the settings of the parts that are to run, a line each; empty when they can be used."""
    environment = settings.passed_on
    found: list[str] = []
    judges: list[tuple[str, Callable[[], object]]] = [
        *((part_name(name), _service(name, environment)) for name in SERVICE_SETTINGS),
        ("gateway", lambda: check_gateway({**environment, **_PLACES})),
        ("envoy", lambda: read_edge_options(environment)),
    ]
    wanted = [judge for part, judge in judges if settings.runs(part)]
    wanted += [
        lambda: check_addresses(settings.port_requests()),
        lambda: check_programs(settings, chosen_only=True),
        lambda: check_state(StateDir(settings.state_dir), settings),
    ]
    for judge in wanted:
        try:
            judge()
        except (Refused, ConfigurationProblem) as problem:
            # What several parts share is said once.
            if str(problem) not in found:
                found.append(str(problem))
    return [*found, *tls_problems(environment, edge=settings.runs("envoy"))]


_SHELL = {"TOCSIN_URL"}
"""For the people at the shell: `tocsin env` prints them."""


def unknown_variables(environment: Mapping[str, str]) -> list[str]:
    """Variables `TOCSIN_...` that nobody reads, a line each with the nearest that somebody does."""
    known = {setting.name for setting in all_settings()} | _SHELL
    return [_unknown(name, known) for name in sorted(environment) if name.startswith("TOCSIN_") and name not in known]


def _unknown(name: str, known: Collection[str]) -> str:
    if name in _REMOVED:
        return f"{name} is no setting any more; nothing takes its place"
    if name in _RENAMED:
        return f"{name} is no setting any more; it is {_RENAMED[name]} now"
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.75)
    return f"{name} is no setting" + (f"; did you mean {near[0]}?" if near else "")


def _service(name: str, environment: Mapping[str, str]) -> Callable[[], object]:
    return lambda: read(SERVICE_SETTINGS[name], {**environment, **_PLACES})
