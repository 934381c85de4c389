"""Where a mesh that is up can be reached: written by the supervisor, read by every other command."""

import dataclasses
from dataclasses import dataclass

from services.cli.runtime.errors import RuntimeProblem
from services.cli.runtime.state import StateDir


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """Addresses of one mesh; what is empty is not part of it."""

    supervisor_pid: int
    version: str
    edge_url: str
    edge_port: int
    nats_url: str
    postgres_dsn: str
    """With the role that may do everything, and its password."""
    external_nats: bool
    external_postgres: bool
    nats_user: str
    """The login that everybody shares at a server of the operator's; empty where each has its own."""
    nats_password: str
    nats_prefix: str
    issuer: str
    """Of the mesh's own tokens; empty where they do not open the edge, as an identity provider's do."""
    audience: str
    ports: dict[str, int]

    def write(self, state: StateDir) -> None:
        """Leaves it for the other commands."""
        state.write_json(state.instance_file, dataclasses.asdict(self))


def no_mesh(state: StateDir) -> RuntimeProblem:
    """What is told when no mesh is up on the directory."""
    return RuntimeProblem(
        f"no mesh is up on state directory {state.root}; start one with 'tocsin up', or name another directory "
        "with --state-dir or TOCSIN_STATE_DIR",
        exit_code=3,
    )


def running_instance(state: StateDir) -> Instance:
    """The mesh that is up on the directory; raises RuntimeProblem (exit code 3) when none is."""
    if not state.in_use:
        raise no_mesh(state)
    content = state.read_json(state.instance_file)
    if not content:
        raise RuntimeProblem(f"the mesh on {state.root} is just starting; try again in a moment", exit_code=3)
    try:
        return Instance(**content)
    except TypeError:
        raise RuntimeProblem(f"{state.instance_file} is damaged, or of another version of Tocsin than this") from None
