"""A real Kubernetes with the overlay `test` on it; `README.md` beside this file says what it must have."""

import base64
import json
import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from services.chassis.auth.dev_issuer import DevIssuer
from tests.support.manifests import KUBERNETES
from tests.support.rest import trust

NAMESPACE = "tocsin"
DEPLOYMENTS = ("ingestion", "aggregation", "media-probe", "notification", "gateway", "envoy")
_HERE = Path(__file__).parent
_LONG = 420.0


@dataclass
class Kube:
    """The cluster that KUBECONFIG names."""

    issuer: DevIssuer

    def run(self, *arguments: str, given: str | None = None, check: bool = True, timeout: float = _LONG) -> str:
        """What `kubectl` prints, in the namespace."""
        command = ["kubectl", "--namespace", NAMESPACE, *arguments]
        done = subprocess.run(command, input=given, capture_output=True, text=True, check=False, timeout=timeout)
        assert not check or done.returncode == 0, f"{' '.join(arguments)}: {done.stderr}{done.stdout[-2000:]}"
        return done.stdout if check else done.stdout + done.stderr

    def get(self, *arguments: str) -> dict[str, Any]:
        return json.loads(self.run("get", *arguments, "--output", "json"))

    def apply(self, *objects: dict[str, Any]) -> None:
        self.run("apply", "--filename", "-", given=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))

    def pods(self, name: str) -> list[dict[str, Any]]:
        """The pods of a part that are not about to go."""
        found = self.get("pods", "--selector", f"app.kubernetes.io/name={name}")["items"]
        return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]

    def ready(self, name: str) -> int:
        return int(self.get("deployment", name)["status"].get("readyReplicas", 0))

    def rolled_out(self, name: str, within: int = 400) -> None:
        self.run("rollout", "status", f"deployment/{name}", f"--timeout={within}s", timeout=within + 30)

    def has_all_copies(self, pod: str) -> bool:
        """Whether a server of NATS is there, and holds all that its streams and consumers have."""
        asked = self.run("get", "--raw", f"/api/v1/namespaces/{NAMESPACE}/pods/{pod}:8222/proxy/healthz", check=False)
        return '"status":"ok"' in asked

    def token(self, life: timedelta = timedelta(hours=4)) -> str:
        return self.issuer.mint(ttl=life)

    @contextmanager
    def edge(self) -> Iterator[httpx.Client]:
        """A client of the edge's Service, through the API server."""
        headers = {"authorization": f"Bearer {self.token()}"}
        with ExitStack() as stack:
            client = stack.enter_context(httpx.Client(headers=headers, timeout=30, verify=trust()))
            for _ in range(4):  # a way may end in a pod that is about to go, or not stand at all
                with ExitStack() as attempt:
                    client.base_url = attempt.enter_context(self._way_to_the_edge())
                    if _reached(client):
                        stack.push(attempt.pop_all())
                        break
            else:
                pytest.fail("the edge is not reached")
            yield client

    @contextmanager
    def _way_to_the_edge(self) -> Iterator[str]:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        command = ["kubectl", "--namespace", NAMESPACE, "port-forward", "service/envoy", f"{port}:8080"]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as forward:
            try:
                yield f"http://127.0.0.1:{port}"
            finally:
                forward.terminate()

    @contextmanager
    def load(self, clients: int = 4, pause: float = 0.2) -> Iterator["Load"]:
        """Traffic for the time of the block; its ledger afterwards."""
        run = f"load-{secrets.token_hex(3)}"
        load = Load(run, datetime.now(UTC) - timedelta(minutes=30))
        self.apply(*_load_pod(load, clients, pause, self.token()))
        self.run("wait", "--for=condition=Ready", f"pod/{run}", "--timeout=120s")
        time.sleep(3)  # so that connections stand before anything happens
        try:
            yield load
        finally:
            self.run("exec", run, "--", "python", "-c", "import os, signal; os.kill(1, signal.SIGTERM)")
            self.run("wait", "--for=jsonpath={.status.phase}=Succeeded", f"pod/{run}", "--timeout=60s")
            load.ledger = json.loads(self.run("logs", run).splitlines()[-1])
            print(load)
            self.run("delete", "pod", run, "--wait=false")


@dataclass
class Load:
    """What was sent, and what became of it."""

    run: str
    start: datetime
    ledger: dict[str, Any] = field(default_factory=dict)

    @property
    def failures(self) -> list[str]:
        return self.ledger["failures"]

    def __str__(self) -> str:
        readings, notes = sum(self.ledger["acknowledged"].values()), sum(self.ledger["notes"].values())
        return (
            f"{self.ledger['calls']} calls, {len(self.failures)} failed: {readings} readings, "
            f"{len(self.ledger['alerts'])} alerts, {notes} notifications; the slowest took {self.ledger['slowest']} s"
        )


def _load_pod(load: Load, clients: int, pause: float, token: str) -> list[dict[str, Any]]:
    labels = {"app.kubernetes.io/name": "load", "app.kubernetes.io/part-of": "tests"}
    environment = {
        "EDGE_URL": "http://envoy:8080",
        "EDGE_TOKEN": token,
        "RUN": load.run,
        "START": load.start.isoformat(),
        "CLIENTS": str(clients),
        "PAUSE": str(pause),
    }
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": load.run, "labels": labels},
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "securityContext": {"runAsNonRoot": True, "runAsUser": 10001, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [
                {
                    "name": "load",
                    "image": "tocsin:test",
                    "imagePullPolicy": "IfNotPresent",
                    "args": ["python", "/load/load.py"],
                    "env": [{"name": name, "value": value} for name, value in environment.items()],
                    "securityContext": {
                        "allowPrivilegeEscalation": False,
                        "readOnlyRootFilesystem": True,
                        "capabilities": {"drop": ["ALL"]},
                    },
                    "volumeMounts": [{"name": "load", "mountPath": "/load"}],
                }
            ],
            "volumes": [{"name": "load", "configMap": {"name": "load"}}],
        },
    }
    program = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "load"},
        "data": {"load.py": (_HERE / "load.py").read_text()},
    }
    arrow = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "load"},
        "spec": {
            "podSelector": {"matchLabels": labels},
            "policyTypes": ["Egress"],
            "egress": [{"to": [{"podSelector": {"matchLabels": {"app.kubernetes.io/name": "envoy"}}}]}],
        },
    }
    return [program, arrow, pod]


def _reached(client: httpx.Client) -> bool:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            if client.get("/livez", timeout=5).status_code == 200:
                return True
        except httpx.HTTPError:
            time.sleep(0.5)
    return False


def eventually(what: str, condition: Callable[[], bool], within: float = 60.0, every: float = 0.5) -> None:
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline, f"waited {within:.0f} s for {what}"
        time.sleep(every)


@pytest.fixture(scope="session")
def kube(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kube]:
    """The mesh, rolled out from nothing; removed in the end unless TOCSIN_KUBE_KEEP is set."""
    asked = ["kubectl", "version", "--request-timeout=5s"]
    version = subprocess.run(asked, capture_output=True, text=True, check=False)
    if version.returncode:
        pytest.fail(f"kubectl reaches no cluster (KUBECONFIG): {version.stderr.strip()}", pytrace=False)
    directory = Path(os.environ.get("TOCSIN_KUBE_SECRETS") or tmp_path_factory.mktemp("kube") / "secrets")
    environment = {
        **os.environ,
        "TOCSIN_POSTGRES_DSN": "postgresql://tocsin@postgres:5432/tocsin",
        "TOCSIN_NATS_URL": "nats://nats:4222",
    }
    tocsin = str(Path(sys.executable).with_name("tocsin"))
    subprocess.run([tocsin, "deployment", "secrets", str(directory)], env=environment, check=True, capture_output=True)
    cluster = Kube(DevIssuer.open(directory / "mesh" / "auth"))
    cluster.run("apply", "--filename", str(KUBERNETES / "base" / "namespace.yaml"))
    cluster.apply(*(_secret(part) for part in sorted(directory.iterdir()) if part.is_dir() and part.name != "mesh"))
    try:
        yield cluster
    finally:
        if not os.environ.get("TOCSIN_KUBE_KEEP"):
            cluster.run("delete", "namespace", NAMESPACE, "--timeout=300s", check=False)


def _secret(part: Path) -> dict[str, Any]:
    files = {path.name: base64.b64encode(path.read_bytes()).decode() for path in part.iterdir()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": part.name}, "data": files}
