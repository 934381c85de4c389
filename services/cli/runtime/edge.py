"""The edge's two programs: Envoy with its rendered configuration, and the gateway."""

import importlib.util
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from string import Template

from services.cli.runtime.errors import ConfigurationProblem, RuntimeProblem
from services.cli.runtime.settings import PROJECT
from services.cli.runtime.state import StateDir

GATEWAY_VARIABLE = "TOCSIN_GATEWAY_BIN"
ENVOY_VARIABLE = "TOCSIN_ENVOY_BIN"
_TEMPLATE = PROJECT / "gateway" / "envoy" / "envoy.yaml.tmpl"


def find_gateway() -> Path:
    """The gateway's program; raises RuntimeProblem when it has not been built."""
    configured = os.environ.get(GATEWAY_VARIABLE)
    path = Path(configured) if configured else PROJECT / ".build" / "bin" / "tocsin-gateway"
    if not os.access(path, os.X_OK):
        raise RuntimeProblem(f"no gateway at {path}; build it with 'make gateway' or set {GATEWAY_VARIABLE}")
    return path


def find_envoy() -> Path:
    """Envoy's program: named by variable, else that of the installed wheel, else the one on PATH."""
    configured = os.environ.get(ENVOY_VARIABLE)
    if configured:
        if not os.access(configured, os.X_OK):
            raise ConfigurationProblem(f"{ENVOY_VARIABLE}={configured} is no program")
        return Path(configured)
    spec = importlib.util.find_spec("envoy")
    if spec is not None and spec.origin is not None:
        installed = Path(spec.origin).parent / "_bin" / "envoy"
        if installed.is_file():
            return installed
    on_path = shutil.which("envoy")
    if on_path is None:
        raise RuntimeProblem(f"no Envoy found; install the 'embedded' extra or set {ENVOY_VARIABLE}")
    return Path(on_path)


def write_envoy_config(state: StateDir, values: Mapping[str, str]) -> Path:
    """Fills the template with `values` and returns the file; raises RuntimeProblem when one is missing."""
    try:
        rendered = Template(_TEMPLATE.read_text()).substitute(values)
    except FileNotFoundError:
        raise RuntimeProblem(f"no Envoy configuration at {_TEMPLATE}") from None
    except (KeyError, ValueError) as error:
        raise RuntimeProblem(f"{_TEMPLATE} cannot be filled in: {error}") from error
    path = state.run / "envoy.yaml"
    state.write_text(path, rendered)
    return path


def envoy_command(config: Path) -> tuple[str, ...]:
    """Envoy for one configuration. Hot restart is off: it would make meshes on one machine share memory by number."""
    return (
        str(find_envoy()),
        "--config-path",
        str(config),
        "--disable-hot-restart",
        "--concurrency",
        "2",
        "-l",
        "warning",
    )
