"""Holds everything in deploy/kubernetes to the schemas of several versions of Kubernetes, field by field.

    .build/quality/bin/python scripts/kube_lint.py

`kubectl` builds the overlays. What operators define (KEDA, cert-manager...) is judged by an API server in
`make kube-test`.
"""

import importlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

# It is too large for the workbench, where types are checked.
schemas: Any = importlib.import_module("kubernetes_validate")

OVERLAYS = Path(__file__).parents[1] / "deploy" / "kubernetes" / "overlays"
VERSIONS = ("1.30", "1.32", "1.34", "1.36")
"""From the oldest that has what is used here (`preStop: sleep`) on."""
CUSTOM = ("keda.sh", "cert-manager.io", "gateway.networking.k8s.io", "external-secrets.io")


def main() -> int:
    """The exit status: 1 when an object has what a version does not know."""
    refused = 0
    for overlay in sorted(OVERLAYS.iterdir()):
        objects = _built(overlay)
        known = [found for found in objects if found["apiVersion"].partition("/")[0] not in CUSTOM]
        for version in VERSIONS:
            refused += sum(_refused(found, version, overlay.name) for found in known)
        custom = len(objects) - len(known)
        print(f"{overlay.name}: {len(known)} objects looked at, {custom} of operators left to them")
    return 1 if refused else 0


def _built(overlay: Path) -> list[dict[str, Any]]:
    done = subprocess.run(["kubectl", "kustomize", str(overlay)], stdout=subprocess.PIPE, text=True, check=True)
    return [found for found in yaml.safe_load_all(done.stdout) if found]


def _refused(found: dict[str, Any], version: str, overlay: str) -> bool:
    try:
        schemas.validate(found, version, strict=True)
    except schemas.ValidationError as error:
        where = ".".join(map(str, error.path))
        print(f"{overlay}, {version}: {found['kind']} {found['metadata']['name']}: {where}: {error.message}")
        return True
    return False


if __name__ == "__main__":
    sys.exit(main())
