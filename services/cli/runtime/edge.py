"""The edge's two programs: Envoy with its rendered configuration, and the gateway."""

import importlib.util
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path

from services.cli.runtime.errors import ConfigurationProblem, RuntimeProblem
from services.cli.runtime.program import is_program
from services.cli.runtime.settings import PROJECT
from services.cli.runtime.state import StateDir

GATEWAY_VARIABLE = "TOCSIN_GATEWAY_BIN"
ENVOY_VARIABLE = "TOCSIN_ENVOY_BIN"
ADMIN_SOCKET = "envoy-admin.sock"
"""Envoy's administration, in the directory where Envoy runs: the path of a socket has room for 107 bytes only, that of
a state directory may be longer."""
_TEMPLATE = PROJECT / "gateway" / "envoy" / "envoy.yaml.in"
_NAME = re.compile(r"\$\{([A-Z_]+)\}")


# The shape that services log in; `%j` is the message, escaped for JSON.
_LOG_FORMAT = '{"time":"%Y-%m-%dT%T.%f%z","level":"%l","service":"envoy","event":"%j","logger":"%n"}'
ENVOY_OPTIONS = ("--disable-hot-restart", "-l", "warning", "--log-format", _LOG_FORMAT)
"""What Envoy is started with, wherever it runs."""


def find_gateway(environment: Mapping[str, str] = os.environ) -> Path:
    """The gateway's program; raises RuntimeProblem when it has not been built."""
    configured = environment.get(GATEWAY_VARIABLE)
    path = Path(configured).absolute() if configured else PROJECT / ".build" / "bin" / "tocsin-gateway"
    if not is_program(path):
        if configured:
            raise ConfigurationProblem(f"{GATEWAY_VARIABLE}={configured} is no program")
        raise RuntimeProblem(f"no gateway at {path}; build it with 'make gateway' or set {GATEWAY_VARIABLE}")
    return path


def find_envoy(environment: Mapping[str, str] = os.environ) -> Path:
    """Envoy's program: named by variable, else that of the installed wheel, else the one on PATH."""
    configured = environment.get(ENVOY_VARIABLE)
    if configured:
        if not is_program(Path(configured)):
            raise ConfigurationProblem(f"{ENVOY_VARIABLE}={configured} is no program")
        return Path(configured).absolute()
    spec = importlib.util.find_spec("envoy")
    if spec is not None and spec.origin is not None:
        installed = Path(spec.origin).parent / "_bin" / "envoy"
        if installed.is_file():
            return installed
    on_path = shutil.which("envoy")
    if on_path is None:
        raise RuntimeProblem(f"no Envoy found; install the 'embedded' extra or set {ENVOY_VARIABLE}")
    return Path(on_path)


def write_envoy_config(state: StateDir, values: Mapping[str, str], sections: frozenset[str]) -> Path:
    """Fills the template and returns the file; raises RuntimeProblem when it asks for a value that is not there."""
    path = state.run / "envoy.yaml"
    state.write_text(path, fill_template(values, sections))
    return path


def fill_template(values: Mapping[str, str], sections: frozenset[str]) -> str:
    """Envoy's configuration; raises RuntimeProblem when the template asks for a value that is not there."""
    try:
        template = _TEMPLATE.read_text()
    except FileNotFoundError:
        raise RuntimeProblem(f"no Envoy configuration at {_TEMPLATE}") from None
    return render_envoy_config(template, values, sections)


def render_envoy_config(template: str, values: Mapping[str, str], sections: frozenset[str]) -> str:
    """`${NAME}` becomes its value; lines between `# begin NAME` and `# end NAME` stay only where NAME is in `sections`.

    Raises RuntimeProblem when a value is missing.
    """
    lines: list[str] = []
    inside: str | None = None
    for line in template.splitlines():
        words = line.split()
        if words[:2] == ["#", "begin"] and len(words) == 3:
            inside = words[2]
        elif words[:2] == ["#", "end"] and len(words) == 3:
            inside = None
        elif (inside is None or inside in sections) and not line.lstrip().startswith("#"):
            lines.append(_NAME.sub(lambda found: _value(found[1], values), line))
    return "\n".join(lines) + "\n"


def _value(name: str, values: Mapping[str, str]) -> str:
    try:
        return values[name]
    except KeyError:
        raise RuntimeProblem(f"{_TEMPLATE} asks for {name}, which this runtime does not know") from None


def edge_threads() -> int:
    """Threads for Envoy and for the gateway each: half of the machine, on which everything else runs too. On two cores
    one thread does more than two that are in each other's way."""
    return max((os.cpu_count() or 1) // 2, 1)


def envoy_command(config: Path) -> tuple[str, ...]:
    """Envoy for one configuration. Hot restart is off: it would make meshes on one machine share memory by number."""
    return (str(find_envoy()), "--config-path", str(config), "--concurrency", str(edge_threads()), *ENVOY_OPTIONS)
