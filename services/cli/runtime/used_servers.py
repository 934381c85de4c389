"""Which servers hold the data of a mesh: remembered in its state directory, so that none is changed by oversight."""

from dataclasses import dataclass
from pathlib import Path

from services.cli.runtime.errors import ConfigurationProblem
from services.cli.runtime.nats_address import NATS_URL_VARIABLE
from services.cli.runtime.postgres_address import read_dsn
from services.cli.runtime.settings import (
    MOVE_VARIABLE,
    NATS_PREFIX_VARIABLE,
    POSTGRES_DSN_VARIABLE,
    RuntimeSettings,
)
from services.cli.runtime.state import StateDir


@dataclass(frozen=True, slots=True)
class _Place:
    """Where data are, as one variable says it."""

    variable: str
    default: str
    """What it is called where the variable is not set."""
    named: str
    """What it is called before the address."""

    def described(self, address: str) -> str:
        return f"{self.named} {address}" if address else self.default


_PLACES = {
    "postgres": _Place(POSTGRES_DSN_VARIABLE, "its own PostgreSQL", "PostgreSQL at"),
    "nats": _Place(NATS_URL_VARIABLE, "its own NATS", "NATS at"),
    "nats_prefix": _Place(NATS_PREFIX_VARIABLE, "NATS without a prefix", "NATS under the prefix"),
}


def check_state(state: StateDir, settings: RuntimeSettings) -> bool:
    """Whether a mesh has used the directory before; raises ConfigurationProblem when it is not for one, or one with
    other servers."""
    if not state.check():
        return False
    check_servers(state, settings)
    return True


def check_servers(state: StateDir, settings: RuntimeSettings) -> None:
    """Raises ConfigurationProblem when a start would use other servers than the last one, and so other data."""
    if settings.move:
        return
    known = _known(state)
    for name, address in _used(settings).items():
        place, before = _PLACES[name], known.get(name, address)
        if before != address:
            back = f"set {place.variable} to that" if before else f"unset {place.variable}"
            raise ConfigurationProblem(
                f"the mesh of {state.root} has its data on {place.described(before)}, and would start without them on "
                f"{place.described(address)}; {back}, or set {MOVE_VARIABLE}=true for one start to move on purpose"
            )


def remember_servers(state: StateDir, settings: RuntimeSettings) -> None:
    """Keeps for the next start which servers are used."""
    used = _known(state) | _used(settings)
    if used != state.read_derived(_file(state)):
        state.write_json(_file(state), used)


def _used(settings: RuntimeSettings) -> dict[str, str]:
    """Addresses without a login; empty where the variable is not set. A host of a mesh that has neither a server nor
    its address says nothing about it."""
    used: dict[str, str] = {}
    if settings.postgres_dsn:
        address = read_dsn(settings.postgres_dsn, POSTGRES_DSN_VARIABLE)
        used["postgres"] = f"{address.server}/{address.database}"
    elif settings.runs("postgres"):
        used["postgres"] = ""
    if settings.nats_url or settings.runs("nats"):
        used |= {"nats": settings.nats_url, "nats_prefix": settings.names.prefix}
    return used


def _known(state: StateDir) -> dict[str, str]:
    """What was remembered; where nothing was, data of an own server tell."""
    stored = state.read_derived(_file(state))
    known = {name: address for name, address in stored.items() if name in _PLACES and isinstance(address, str)}
    if state.postgres.exists():
        known.setdefault("postgres", "")
    if (state.nats / "jetstream").exists():
        known.setdefault("nats", "")
    return known


def _file(state: StateDir) -> Path:
    return state.root / "servers.json"
