"""Judges the programs of a mesh before anything of it is made."""

from services.cli.runtime.edge import ENVOY_VARIABLE, GATEWAY_VARIABLE, find_envoy, find_gateway
from services.cli.runtime.nats_server import BINARY_VARIABLE, find_nats_server
from services.cli.runtime.postgres_binaries import BIN_DIR_VARIABLE, find_postgres
from services.cli.runtime.settings import RuntimeSettings


def check_programs(settings: RuntimeSettings, *, chosen_only: bool = False) -> None:
    """Raises RuntimeProblem when a part that is to run here has no program; with `chosen_only` looks at no others than
    those that the operator names."""
    finders = {
        "postgres": (BIN_DIR_VARIABLE, find_postgres, not settings.postgres_dsn),
        "nats": (BINARY_VARIABLE, find_nats_server, not settings.nats_url),
        "gateway": (GATEWAY_VARIABLE, find_gateway, True),
        "envoy": (ENVOY_VARIABLE, find_envoy, True),
    }
    for part, (variable, find, here) in finders.items():
        if here and settings.runs(part) and (not chosen_only or settings.passed_on.get(variable)):
            find(settings.passed_on)
