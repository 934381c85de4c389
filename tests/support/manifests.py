"""The Kubernetes objects of `deploy/kubernetes`, as files or as kustomize builds them, and what policies allow."""

import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

KUBERNETES = Path(__file__).parents[2] / "deploy" / "kubernetes"
BASE = KUBERNETES / "base"
Manifest = Mapping[str, Any]

_UNITS = {"": 1.0, "m": 0.001, "Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30}


def base_objects() -> list[Manifest]:
    """Those of the base, from its files: nothing has to be built for them."""
    listed: list[str] = yaml.safe_load((BASE / "kustomization.yaml").read_text())["resources"]
    return [found for name in listed for found in yaml.safe_load_all((BASE / name).read_text())]


def built(overlay: str) -> list[Manifest]:
    """Those of an overlay, as `kubectl` builds them."""
    directory = str(KUBERNETES / "overlays" / overlay)
    done = subprocess.run(["kubectl", "kustomize", directory], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [found for found in yaml.safe_load_all(done.stdout) if found]


def of_kind(objects: list[Manifest], *kinds: str) -> list[Manifest]:
    return [found for found in objects if found["kind"] in kinds]


def name_of(found: Manifest) -> str:
    return found["metadata"]["name"]


def pod_of(workload: Manifest) -> Manifest:
    """The pod that a workload makes: its specification."""
    return workload["spec"]["template"]["spec"]


def labels_of(workload: Manifest) -> Mapping[str, str]:
    return workload["spec"]["template"]["metadata"]["labels"]


def containers_of(workload: Manifest) -> list[Manifest]:
    """All containers of a workload, those that only prepare among them."""
    pod = pod_of(workload)
    return [*pod.get("initContainers", []), *pod["containers"]]


def quantity(text: str | int) -> float:
    """`500m`, `512Mi` as a number."""
    digits = str(text).rstrip("KMGim")
    return float(digits) * _UNITS[str(text)[len(digits) :]]


def selects(selector: Manifest, labels: Mapping[str, str]) -> bool:
    """Whether a label selector takes what has these labels."""
    wanted = selector.get("matchLabels", {})
    if any(labels.get(key) != value for key, value in wanted.items()):
        return False
    for one in selector.get("matchExpressions", []):
        assert one["operator"] == "In", "the only operator that is used here"
        if labels.get(one["key"]) not in one["values"]:
            return False
    return True


@dataclass(frozen=True)
class Arrow:
    """What NetworkPolicies let through, from pods to pods of the namespace."""

    source: str
    target: str
    port: int


def arrows(objects: list[Manifest]) -> set[Arrow]:
    """Every connection between the workloads that their policies allow, on the ports that their containers name."""
    workloads = of_kind(objects, "Deployment", "StatefulSet", "Job")
    policies = of_kind(objects, "NetworkPolicy")
    return {
        Arrow(name_of(source), name_of(target), port)
        for source in workloads
        for target in workloads
        for port_name, port in _ports(target)
        if _allowed(policies, "egress", source, target, port_name, port)
        and _allowed(policies, "ingress", target, source, port_name, port)
    }


def _ports(workload: Manifest) -> Iterator[tuple[str, int]]:
    for container in pod_of(workload)["containers"]:
        for port in container.get("ports", []):
            yield port["name"], port["containerPort"]


def _allowed(
    policies: list[Manifest], direction: str, subject: Manifest, other: Manifest, port_name: str, port: int
) -> bool:
    """Whether policies of `subject` allow the other one. Without any that selects it, everything is."""
    own = [
        policy["spec"]
        for policy in policies
        if selects(policy["spec"]["podSelector"], labels_of(subject))
        and direction.capitalize() in policy["spec"]["policyTypes"]
    ]
    peers = "from" if direction == "ingress" else "to"
    return not own or any(
        _names(rule.get("ports"), port_name, port) and _reaches(rule.get(peers), other)
        for policy in own
        for rule in policy.get(direction, [])
    )


def _names(ports: list[Manifest] | None, port_name: str, port: int) -> bool:
    return ports is None or any(
        one["port"] in (port, port_name) and one.get("protocol", "TCP") == "TCP" for one in ports
    )


def _reaches(peers: list[Manifest] | None, other: Manifest) -> bool:
    """Whether the rule takes a pod of our namespace; what it says of other namespaces and of addresses, it does not say
    of that."""
    return peers is None or any(
        "namespaceSelector" not in peer and "podSelector" in peer and selects(peer["podSelector"], labels_of(other))
        for peer in peers
    )
