"""The deployment that is looked at, as far as settings and state directory tell of it. Nothing of it is made."""

from dataclasses import dataclass

from services.cli.runtime.credentials import known_credentials
from services.cli.runtime.errors import RuntimeProblem
from services.cli.runtime.instance import Instance, running_instance
from services.cli.runtime.mesh import Mesh
from services.cli.runtime.reporter import SilentReporter
from services.cli.runtime.settings import SERVICES, RuntimeSettings
from services.cli.runtime.state import StateDir
from services.cli.runtime.stream_memory import StreamMemory
from services.cli.version import tocsin_version


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """What the checks are made from."""

    settings: RuntimeSettings
    state: StateDir
    mesh: Mesh
    edge_url: str
    """Where clients go; empty where nobody has said it."""
    edge_ca_file: str = ""
    nats_monitor_url: str = ""
    """The monitoring port of a NATS server of the operator's; empty where nobody has said it."""
    absent: str = ""
    """Why the mesh's own servers cannot be asked; empty where they are up, or none of them is its own."""

    @property
    def own_postgres(self) -> bool:
        """Whether the database server is the mesh's."""
        return not self.settings.postgres_dsn

    @property
    def own_nats(self) -> bool:
        """Whether the broker is the mesh's."""
        return not self.settings.nats_url


def read_deployment(
    settings: RuntimeSettings, *, edge_url: str, edge_ca_file: str, nats_monitor_url: str
) -> Deployment:
    """The deployment of these settings; `edge_url` is where it is, for one that no runtime of this host knows."""
    state = StateDir(settings.state_dir)
    state.check()
    instance, absent = _instance(state)
    ports = instance.ports if instance is not None else state.remembered_ports()
    mesh = Mesh(
        settings,
        state,
        ports,
        known_credentials(state, SERVICES, settings.tenants),
        tocsin_version(),
        StreamMemory(state, SilentReporter().fault, settings.names),
        prepared=False,
    )
    embedded = not (settings.postgres_dsn and settings.nats_url)
    return Deployment(
        settings=settings,
        state=state,
        mesh=mesh,
        edge_url=edge_url or (instance.edge_url if instance is not None else ""),
        edge_ca_file=edge_ca_file,
        nats_monitor_url=nats_monitor_url,
        absent=absent if embedded else "",
    )


def _instance(state: StateDir) -> tuple[Instance | None, str]:
    try:
        return running_instance(state), ""
    except RuntimeProblem as problem:
        return None, problem.message
