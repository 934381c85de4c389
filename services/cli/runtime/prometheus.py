"""Where the metrics of a mesh are: a file of targets (`file_sd_configs`) that Prometheus reads again when it changes.

So the ports of metrics may be chosen free: they stay the same from start to start, and where one had to move,
Prometheus follows.
"""

import json
from collections.abc import Mapping

from services.cli.runtime.state import StateDir

RUNTIME = "runtime"
"""The label of the runtime itself, which is no part."""


def write_targets(state: StateDir, metrics: Mapping[str, str]) -> None:
    """One target for each (name to `host:port` that answers `GET /metrics`), labelled with its name."""
    targets = [{"targets": [address], "labels": {"part": name}} for name, address in metrics.items()]
    state.write_text(state.prometheus_file, json.dumps(targets, indent=2) + "\n")


def read_targets(state: StateDir) -> dict[str, str]:
    """What `write_targets` was given; empty when the file is not there or is damaged."""
    try:
        content = json.loads(state.prometheus_file.read_text())
    except (OSError, ValueError):
        return {}
    found: dict[str, str] = {}
    match content:
        case [*targets]:
            for target in targets:
                match target:
                    case {"targets": [str(address)], "labels": {"part": str(name)}}:
                        found[name] = address
                    case _:
                        pass
        case _:
            pass
    return found
