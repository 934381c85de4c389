"""The custom resources of the operators that the overlays name, from their Go modules: what an API server judges them
by, without the operators."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[3]
_MODULES = {
    "github.com/kedacore/keda/v2@v2.17.2": "config/crd/bases",
    "github.com/cert-manager/cert-manager@v1.18.2": "deploy/crds",
    "sigs.k8s.io/gateway-api@v1.4.1": "config/crd/standard",
    "github.com/external-secrets/external-secrets@v0.16.2": "config/crds/bases",
}


def definitions() -> Iterator[dict[str, Any]]:
    """Every definition. What a chart would fill in is left out, and so are conversions, which the operators make."""
    for module, folder in _MODULES.items():
        for path in sorted((_directory(module) / folder).glob("*.yaml")):
            text = "\n".join(line for line in path.read_text().splitlines() if "{{" not in line)
            for found in yaml.safe_load_all(text):
                if found and found["kind"] == "CustomResourceDefinition":
                    found["metadata"] = {"name": found["metadata"]["name"], "annotations": _approval(found)}
                    found["spec"].pop("conversion", None)
                    yield found


def _approval(found: dict[str, Any]) -> dict[str, str]:
    """Groups of k8s.io need one."""
    given = found["metadata"].get("annotations") or {}
    return {name: text for name, text in given.items() if name.startswith("api-approved")}


def _directory(module: str) -> Path:
    command = [str(ROOT / "scripts" / "go.sh"), "mod", "download", "-json", module]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT / "gateway")
    return Path(json.loads(done.stdout)["Dir"])
