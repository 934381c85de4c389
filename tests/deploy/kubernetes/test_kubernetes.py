"""The mesh on a real Kubernetes, from the rollout to a drain. In this order: each goes on where the last one ended."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from tests.deploy.kubernetes.conftest import DEPLOYMENTS, Kube, Load, eventually
from tests.deploy.kubernetes.definitions import ROOT, definitions
from tests.support.manifests import KUBERNETES

pytestmark = pytest.mark.timeout(1200)
SERVICES = ("ingestion", "aggregation", "media-probe", "notification")


def test_it_rolls_out_from_nothing(kube: Kube) -> None:
    """All at once: services wait for their stores and for the migration by themselves."""
    began = time.monotonic()
    kube.run("delete", "job", "migrate", "--ignore-not-found")
    kube.run("apply", "--kustomize", str(KUBERNETES / "overlays" / "test"))
    kube.run("wait", "--for=condition=Complete", "job/migrate", "--timeout=400s")
    for name in DEPLOYMENTS:
        kube.rolled_out(name)
        eventually(f"two of {name}", lambda name=name: kube.ready(name) >= 2, within=300)
    print(f"rolled out in {time.monotonic() - began:.0f} s")
    for name in DEPLOYMENTS:
        for pod in kube.pods(name):
            assert pod["spec"]["serviceAccountName"] == name
            assert not any("kube-api-access" in volume["name"] for volume in pod["spec"].get("volumes", []))


def test_a_pod_that_asks_for_more_is_refused(kube: Kube) -> None:
    said = kube.run("run", "root", "--image=tocsin:test", "--restart=Never", check=False)
    assert "violates PodSecurity" in said


def test_readings_alarms_and_notifications_through_the_edge(kube: Kube) -> None:
    run = f"kube-{int(time.time())}"
    where = {"building": run, "sensorType": "temperature"}
    with kube.edge() as edge:

        def posted(path: str, body: dict[str, Any]) -> dict[str, Any]:
            answer = edge.post(path, json=body)
            assert answer.status_code == 200, answer.text
            return answer.json()

        health = edge.get("/health").json()
        assert health["status"] == "SERVING", health
        assert set(health["services"]) == set(SERVICES)
        condition = {"direction": "ABOVE", "limit": 300, "hysteresis": 2}
        posted("/v1/alarmRules", {"id": run, **where, "threshold": condition, "tenant": "test", "notify": [run]})
        for number in range(20):
            posted("/v1/readings", {**where, "room": "lobby", "value": 290.0 + number})

        def average() -> bool:
            found = edge.get(f"/v1/buildings/{run}/rooms/lobby/average?sensorType=temperature").json()
            return found.get("state") == "OK" and int(found["statistics"]["count"]) == 20

        eventually("the average of all readings", average)
        eventually("the alarm", lambda: bool(edge.get("/v1/alarms", params={"building": run}).json().get("alarms")))

        def told() -> bool:
            found = edge.get("/v1/notifications", params={"tenant": "test", "user": run}).json()
            return bool(found.get("notifications"))

        eventually("the notification of the alarm", told)
        note = {"tenant": "wellness", "user": run, "type": "INFO", "channel": "CONSOLE", "wait": True}
        assert posted("/v1/notifications", {**note, "title": "Hello", "body": "from a pod"})["status"] == "SENT"
        # There is no video server: that the alert came is what is seen of media-probe, and that it tries.
        posted("/v1/alerts", {"uid": run, "video": "/videos/none.mp4", "timestamp": time.time(), "store": "store-1"})
        eventually("the alert", lambda: edge.get(f"/v1/alerts/{run}").status_code == 200)


def _nothing_is_missing(kube: Kube, load: Load) -> None:
    """All that was acknowledged is there, once: readings in the averages, alerts, notifications of each user."""
    with kube.edge() as edge:

        def asked(path: str) -> dict[str, Any]:
            answer = edge.get(path)
            assert answer.status_code == 200, answer.text
            return answer.json()

        for room, count in load.ledger["acknowledged"].items():
            path = f"/v1/buildings/{load.run}/rooms/{room}/average?sensorType=temperature&window=7200s"

            def counted(path: str = path, count: int = count) -> bool:
                return int(asked(path).get("statistics", {}).get("count", 0)) == count

            eventually(f"{count} readings of {room}", counted, within=90)
        for uid in load.ledger["alerts"]:
            eventually(f"the alert {uid}", lambda uid=uid: edge.get(f"/v1/alerts/{uid}").status_code == 200)
        for user, count in load.ledger["notes"].items():
            found = asked(f"/v1/notifications?tenant=test&user={user}&pageSize=1000")["notifications"]
            assert len({one["title"] for one in found}) == len(found) == count, user


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_a_rolling_update_under_load_fails_no_call(kube: Kube, name: str) -> None:
    with kube.load() as load:
        kube.run("rollout", "restart", f"deployment/{name}")
        kube.rolled_out(name)
        eventually("the old pods to be gone", lambda: _settled(kube, name), within=200)
    assert load.failures == []
    assert load.ledger["calls"] > 50
    _nothing_is_missing(kube, load)


def _settled(kube: Kube, name: str) -> bool:
    found = kube.get("pods", "--selector", f"app.kubernetes.io/name={name}")["items"]
    return len(found) == 2 and all("deletionTimestamp" not in pod["metadata"] for pod in found)


def test_a_pod_deleted_under_load_fails_no_call(kube: Kube) -> None:
    with kube.load() as load:
        for name in ("ingestion", "gateway"):
            kube.run("delete", "pod", kube.pods(name)[0]["metadata"]["name"])
            eventually(f"two of {name}", lambda name=name: kube.ready(name) >= 2, within=200)
    assert load.failures == []
    _nothing_is_missing(kube, load)


def test_a_pod_gone_without_a_stop_loses_nothing(kube: Kube) -> None:
    """Calls under way with it fail, and are told so."""
    with kube.load() as load:
        for name in ("aggregation", "ingestion"):
            pod = kube.pods(name)[0]["metadata"]["name"]
            kube.run("delete", "pod", pod, "--grace-period=0", "--force")
            eventually(f"two of {name}", lambda name=name: kube.ready(name) >= 2, within=200)
    _nothing_is_missing(kube, load)


def _kill(kube: Kube, name: str) -> None:
    """Kills the process of a pod as the kernel does for want of memory: from the node, which has to be this machine."""
    status = kube.pods(name)[0]["status"]["containerStatuses"][0]
    container = status["containerID"].rpartition("/")[2]
    found = [path.parent for path in Path("/proc").glob("[0-9]*/cgroup") if container in _text(path)]
    if not found:
        pytest.skip("the processes of the node are not to be seen here")
    for path in found:
        os.kill(int(path.name), signal.SIGKILL)
    restarts = int(status["restartCount"])

    def again() -> bool:
        now = [one["status"]["containerStatuses"][0] for one in kube.pods(name)]
        return any(container != one.get("containerID", "").rpartition("/")[2] for one in now) and all(
            one["ready"] for one in now
        )

    eventually(f"{name} to run again ({restarts} restarts before)", again, within=200)


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:  # the process is gone
        return ""


def test_a_process_killed_in_a_pod_loses_nothing(kube: Kube) -> None:
    with kube.load() as load:
        for name in ("aggregation", "ingestion", "notification", "nats"):
            _kill(kube, name)
    _nothing_is_missing(kube, load)


def test_a_server_of_nats_that_is_lost_with_its_disk_loses_nothing(kube: Kube) -> None:
    """Of three. It comes back empty, and has its copies again before the next one goes."""
    with kube.load() as load:
        for pod in ("nats-0", "nats-1", "nats-2"):
            kube.run("delete", "pod", pod, "--grace-period=0", "--force")
            eventually(f"{pod} with all copies", lambda pod=pod: kube.has_all_copies(pod), within=240)
    _nothing_is_missing(kube, load)


def test_an_image_that_does_not_start_changes_nothing_and_is_taken_back(kube: Kube) -> None:
    with kube.load() as load:
        kube.run("set", "image", "deployment/notification", "notification=tocsin:missing")
        said = kube.run("rollout", "status", "deployment/notification", "--timeout=30s", check=False)
        assert "timed out" in said or "exceeded" in said, said
        assert kube.ready("notification") >= 2
        kube.run("rollout", "undo", "deployment/notification")
        kube.rolled_out("notification")
    assert load.failures == []


def test_a_drain_leaves_one_of_each(kube: Kube) -> None:
    """One node alone: what has to leave it finds no other, so that the budgets are all that holds."""
    (node,) = (one["metadata"]["name"] for one in kube.get("nodes")["items"])
    try:
        said = kube.run(
            *("drain", node, "--delete-emptydir-data", "--force", "--ignore-daemonsets", "--timeout=60s"),
            "--pod-selector=app.kubernetes.io/component in (service,edge)",
            check=False,
        )
        assert "violate the pod's disruption budget" in said, said
        for name in DEPLOYMENTS:
            assert kube.ready(name) >= 1, name
        with kube.edge() as edge:
            assert edge.get("/health").json()["status"] == "SERVING"
    finally:
        kube.run("uncordon", node)
    for name in DEPLOYMENTS:
        eventually(f"two of {name}", lambda name=name: kube.ready(name) >= 2, within=300)


def _deploy(*arguments: str) -> subprocess.CompletedProcess[str]:
    script = ROOT / "deploy" / "scripts" / "deploy.sh"
    return subprocess.run([script, "test", *arguments], capture_output=True, text=True, check=False, timeout=1000)


def _images(kube: Kube) -> set[str]:
    return {kube.get("deployment", name)["spec"]["template"]["spec"]["containers"][0]["image"] for name in DEPLOYMENTS}


def test_the_script_deploys_in_order_and_asks_the_edge(kube: Kube) -> None:
    done = _deploy("--version", "test")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "done: Tocsin test runs in test"


def test_the_script_takes_back_what_does_not_stand(kube: Kube) -> None:
    """Of the version `half` there are the services, which roll out, and no gateway."""
    before = _images(kube)
    with kube.load() as load:
        done = _deploy("--version", "half", "--timeout", "120")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "what ran before runs; reason: deployment/gateway does not stand" in done.stderr
    assert "tocsin-gateway:half" in done.stderr
    assert _images(kube) == before
    assert load.failures == []
    _nothing_is_missing(kube, load)
    with kube.edge() as edge:
        assert edge.get("/health").json()["status"] == "SERVING"


@pytest.fixture(scope="module")
def operators(kube: Kube) -> None:
    """The custom resources of KEDA, cert-manager, the Gateway API and External Secrets, without who acts on them."""
    found = {"apiVersion": "v1", "kind": "List", "items": list(definitions())}
    # Not validated: the API server describes itself anew with each of them, which takes it a while.
    arguments = ("--server-side", "--force-conflicts", "--validate=false", "--filename", "-")
    kube.run("apply", *arguments, given=json.dumps(found))
    kube.run("wait", "--for=condition=Established", "crd", "--all", "--timeout=60s")
    eventually(
        "its own description", lambda: "keda.sh" in kube.run("get", "--raw", "/openapi/v3", check=False), within=120
    )


@pytest.mark.usefixtures("operators")
@pytest.mark.parametrize("overlay", ["dev", "stage", "prod"])
def test_the_api_server_takes_the_overlays(kube: Kube, overlay: str) -> None:
    directory = str(KUBERNETES / "overlays" / overlay)
    # As objects of their own: what runs already cannot become them (a StatefulSet's disks).
    said = kube.run("create", "--dry-run=server", "--validate=strict", "--kustomize", directory, check=False)
    refused = [line for line in said.splitlines() if "created" not in line and "already exists" not in line]
    assert refused == [], said
    for kind in ("scaledobject", "certificate", "externalsecret", "httproute") if overlay != "dev" else ():
        assert f"{kind}." in said, said
