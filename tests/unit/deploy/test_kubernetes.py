"""What holds for everything that is deployed on Kubernetes, in the base and in every overlay."""

import re
import shutil
from collections.abc import Iterator

import pytest
import yaml

from services.aggregation import bootstrap as aggregation
from services.chassis.nats import topology
from services.chassis.tenants import DEFAULT_TENANTS, tenant_names
from services.cli.configuration.catalogue import all_settings
from services.media_probe.adapters.nats import alert_consumer
from services.notification.adapters.nats import alarms, debts, requests
from tests.support.manifests import (
    KUBERNETES,
    Arrow,
    Manifest,
    arrows,
    base_objects,
    built,
    containers_of,
    labels_of,
    name_of,
    of_kind,
    pod_of,
    quantity,
    selects,
)

OVERLAYS = ("dev", "stage", "prod", "test")
PRODUCTION = ("base", "stage", "prod")
SERVICES = {"ingestion", "aggregation", "media-probe", "notification"}
WORKLOADS = ("Deployment", "StatefulSet", "Job")
SERVERS = ("Deployment", "StatefulSet")

pytestmark = pytest.mark.skipif(not KUBERNETES.is_dir(), reason="this checkout has no deploy/")


@pytest.fixture(scope="module", params=("base", *OVERLAYS))
def source(request: pytest.FixtureRequest) -> str:
    if request.param != "base" and shutil.which("kubectl") is None:
        pytest.skip("kubectl, which builds overlays, is not here")
    return request.param


@pytest.fixture(scope="module")
def objects(source: str) -> list[Manifest]:
    return base_objects() if source == "base" else built(source)


def _containers(objects: list[Manifest], *kinds: str) -> Iterator[tuple[str, Manifest]]:
    for workload in of_kind(objects, *(kinds or WORKLOADS)):
        for container in containers_of(workload):
            yield f"{name_of(workload)}/{container['name']}", container


def test_every_container_has_requests_and_limits(objects: list[Manifest]) -> None:
    for name, container in _containers(objects):
        requests_, limits = container["resources"]["requests"], container["resources"]["limits"]
        assert quantity(limits["cpu"]) <= quantity("500m"), name
        assert quantity(limits["memory"]) <= quantity("512Mi"), name
        for resource in ("cpu", "memory", "ephemeral-storage"):
            assert 0 < quantity(requests_[resource]) <= quantity(limits[resource]), f"{name}: {resource}"


def test_every_server_has_all_three_probes(objects: list[Manifest]) -> None:
    for workload in of_kind(objects, *SERVERS):
        for container in pod_of(workload)["containers"]:
            ports = {port["name"]: port["containerPort"] for port in container.get("ports", [])}
            for kind in ("startupProbe", "readinessProbe", "livenessProbe"):
                probe = container[kind]
                (how,) = {"grpc", "httpGet", "tcpSocket", "exec"} & probe.keys()
                if how != "exec":
                    port = probe[how]["port"]
                    assert port in ports or port in ports.values(), f"{name_of(workload)}: {kind}"


def test_liveness_of_services_does_not_depend_on_others(objects: list[Manifest]) -> None:
    for workload in of_kind(objects, "Deployment"):
        if name_of(workload) in SERVICES:
            (container,) = pod_of(workload)["containers"]
            for kind in ("startupProbe", "livenessProbe"):
                probe = container[kind]
                assert probe.get("grpc", {}).get("service") == "liveness" or probe["httpGet"]["path"] == "/livez"


def test_nobody_is_root_nor_can_become_it(objects: list[Manifest]) -> None:
    for workload in of_kind(objects, *WORKLOADS):
        pod = pod_of(workload)
        assert pod["securityContext"]["runAsNonRoot"] is True, name_of(workload)
        assert pod["securityContext"]["runAsUser"] > 0, name_of(workload)
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name_of(workload)
        assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys(), name_of(workload)
        assert not any("hostPath" in volume for volume in pod.get("volumes", [])), name_of(workload)
    for name, container in _containers(objects):
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }, name


def test_nobody_speaks_to_the_api_server(objects: list[Manifest]) -> None:
    accounts = {name_of(account): account for account in of_kind(objects, "ServiceAccount")}
    used: list[str] = []
    for workload in of_kind(objects, *WORKLOADS):
        pod = pod_of(workload)
        assert pod["automountServiceAccountToken"] is False, name_of(workload)
        assert pod["enableServiceLinks"] is False, name_of(workload)
        assert accounts[pod["serviceAccountName"]]["automountServiceAccountToken"] is False
        used.append(pod["serviceAccountName"])
    assert sorted(used) == sorted(accounts), "each has an account of its own"


def test_no_secret_is_in_git(objects: list[Manifest], source: str) -> None:
    assert of_kind(objects, "Secret") == []
    for name, container in _containers(objects):
        for variable in container.get("env", []):
            assert not re.search(r"PASSWORD|DSN|SECRET(?!S_DIR)|TOKEN(?!_FILE)", variable["name"]), name
    for settings in of_kind(objects, "ConfigMap"):
        assert "://" not in "".join(re.findall(r"\w+:[^\s@/]+@", str(settings["data"]))), source


def test_what_pods_refer_to_is_there(objects: list[Manifest], source: str) -> None:
    settings = {name_of(one) for one in of_kind(objects, "ConfigMap")}
    given = {*SERVICES, "envoy", "migrate", "nats", "postgres"}  # by the operator: tocsin deployment secrets
    given |= {one["spec"]["secretName"] for one in of_kind(objects, "Certificate")}
    for workload in of_kind(objects, *WORKLOADS):
        pod = pod_of(workload)
        mounted = [source_ for volume in pod.get("volumes", []) for source_ in _sources(volume)]
        for container in containers_of(workload):
            mounted += container.get("envFrom", [])
            volumes = {volume["name"] for volume in pod.get("volumes", [])}
            volumes |= {claim["metadata"]["name"] for claim in workload["spec"].get("volumeClaimTemplates", [])}
            assert {mount["name"] for mount in container.get("volumeMounts", [])} <= volumes, name_of(workload)
        for one in mounted:
            if secret := one.get("secret"):
                assert (secret.get("secretName") or secret["name"]) in given, name_of(workload)
            found = one.get("configMap") or one.get("configMapRef")
            if found and source != "base":
                assert found["name"] in settings, name_of(workload)
                assert re.fullmatch(r"[a-z-]+-[a-z0-9]{10}", found["name"]), "a change of it is a rollout"


def test_where_certificates_are_named_they_are(objects: list[Manifest]) -> None:
    named = any("TOCSIN_GRPC_TLS_CERT_FILE" in one["data"] for one in of_kind(objects, "ConfigMap"))
    for workload in of_kind(objects, "Deployment"):
        checks = name_of(workload) in SERVICES  # all that runs with the settings of a service refuses files that lack
        looked_at = containers_of(workload) if checks else pod_of(workload)["containers"][:1]
        for container in looked_at:
            mounts = {mount["mountPath"] for mount in container.get("volumeMounts", [])}
            assert ("/run/secrets/tls" in mounts) == named, f"{name_of(workload)}/{container['name']}"


def _sources(volume: Manifest) -> list[Manifest]:
    return volume["projected"]["sources"] if "projected" in volume else [volume]


def test_settings_are_those_that_somebody_reads(objects: list[Manifest], source: str) -> None:
    known = {setting.name for setting in all_settings()}
    if source == "base":
        lines = (KUBERNETES / "base" / "settings.env").read_text().splitlines()
        names = {line.partition("=")[0] for line in lines if line and not line.startswith("#")}
    else:
        (settings,) = (one for one in of_kind(objects, "ConfigMap") if name_of(one).startswith("tocsin-settings-"))
        names = set(settings["data"])
    for _, container in _containers(objects):
        names |= {one["name"] for one in container.get("env", []) if one["name"].startswith("TOCSIN_")}
    assert {name for name in names if name.startswith("TOCSIN_")} - known == set()


def test_two_to_ten_of_each_and_never_none(objects: list[Manifest], source: str) -> None:
    if source == "dev":
        pytest.skip("one of each, on purpose")
    scaled: list[str] = []
    for one in of_kind(objects, "HorizontalPodAutoscaler"):
        spec = one["spec"]
        scaled.append(spec["scaleTargetRef"]["name"])
        assert 2 <= spec["minReplicas"] <= spec["maxReplicas"] <= 10
        (metric,) = spec["metrics"]
        assert 50 <= metric["resource"]["target"]["averageUtilization"] <= 80
    for one in of_kind(objects, "ScaledObject"):
        spec = one["spec"]
        scaled.append(spec["scaleTargetRef"]["name"])
        assert 2 <= spec["minReplicaCount"] <= spec["maxReplicaCount"] <= 10
        (processor,) = (trigger for trigger in spec["triggers"] if trigger["type"] == "cpu")
        assert 50 <= int(processor["metadata"]["value"]) <= 80
    deployments = of_kind(objects, "Deployment")
    assert sorted(scaled) == sorted(map(name_of, deployments)), "each is scaled by one"
    for workload in deployments:
        assert "replicas" not in workload["spec"], "the autoscaler says it"
        assert workload["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
        keys = {spread["topologyKey"] for spread in pod_of(workload)["topologySpreadConstraints"]}
        assert keys == {"kubernetes.io/hostname", "topology.kubernetes.io/zone"}, name_of(workload)
    budgets = of_kind(objects, "PodDisruptionBudget")
    for workload in deployments:
        (budget,) = (one for one in budgets if selects(one["spec"]["selector"], labels_of(workload)))
        assert budget["spec"]["minAvailable"] >= 1


def test_a_stop_has_the_time_that_it_may_take(objects: list[Manifest]) -> None:
    budgets = {**dict.fromkeys(SERVICES, 85), "gateway": 12, "envoy": 0}
    for workload in of_kind(objects, "Deployment"):
        pod = pod_of(workload)
        waits = [one["lifecycle"]["preStop"]["sleep"]["seconds"] for one in pod["containers"] if "lifecycle" in one]
        # Names are asked for every 5 s, and kept for 5 s.
        assert max(waits) >= 10, name_of(workload)
        assert pod["terminationGracePeriodSeconds"] >= max(waits) + budgets[name_of(workload)], name_of(workload)


def test_services_lead_to_pods(objects: list[Manifest]) -> None:
    workloads = of_kind(objects, *SERVERS)
    for service in of_kind(objects, "Service"):
        spec = service["spec"]
        (workload,) = (one for one in workloads if selects({"matchLabels": spec["selector"]}, labels_of(one)))
        named = [port for one in containers_of(workload) for port in one.get("ports", [])]
        ports = {port["name"]: port["containerPort"] for port in named}
        for port in spec["ports"]:
            assert port["targetPort"] in ports, name_of(service)
            if spec.get("clusterIP") == "None":
                assert port["port"] == ports[port["targetPort"]], "a headless Service translates no port"
        balanced_by_clients = name_of(service) in {*SERVICES, "gateway"}
        assert (spec.get("clusterIP") == "None") >= balanced_by_clients, name_of(service)


def test_connections_are_the_arrows_of_the_architecture(objects: list[Manifest]) -> None:
    everything = next(one for one in of_kind(objects, "NetworkPolicy") if name_of(one) == "default-deny")
    assert everything["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    expected = {Arrow("envoy", "gateway", 8081), Arrow("envoy", "gateway", 8082)}
    expected |= {Arrow(edge, service, 50051) for edge in ("envoy", "gateway") for service in SERVICES}
    present = {name_of(one) for one in of_kind(objects, *WORKLOADS)}
    users = {*SERVICES, "migrate"}
    if "nats" in present:
        expected |= {Arrow(user, "nats", 4222) for user in users} | {Arrow("nats", "nats", 6222)}
    if "postgres" in present:
        expected |= {Arrow(user, "postgres", 5432) for user in users}
    # Whoever reaches the edge at all may do so from within, too.
    found = {arrow for arrow in arrows(objects) if arrow.target != "envoy" and arrow.source in {*users, *present}}
    strangers = {"world"} & present
    assert {arrow for arrow in found if not {arrow.source, arrow.target} & strangers} == expected


def test_queues_that_are_scaled_by_are_those_of_the_code(objects: list[Manifest], source: str) -> None:
    scaled = of_kind(objects, "ScaledObject")
    assert bool(scaled) == (source in ("stage", "prod"))
    consumers = {
        (topology.ALARM_NOTICES, alarms.OPTIONS.durable),
        (topology.DEBTS, debts.OPTIONS.durable),
        (topology.ALERTS, f"{alert_consumer.SERVICE}_{alert_consumer.CONSUMER}"),
        (topology.READINGS_PRIORITY, f"{aggregation.SERVICE}_{aggregation.CONSUMER}"),
        *((topology.READINGS, f"aggregation_readings_{number}") for number in range(8)),
    }
    for tenant in tenant_names(DEFAULT_TENANTS):
        options = requests.consumer_options(tenant)
        consumers.add((options.stream, options.durable))
    found = {
        (trigger["metadata"]["stream"], trigger["metadata"]["consumer"])
        for one in scaled
        for trigger in one["spec"]["triggers"]
        if trigger["type"] == "nats-jetstream"
    }
    assert found == (consumers if scaled else set())


def test_every_part_that_has_secrets_can_get_them_from_a_store(objects: list[Manifest], source: str) -> None:
    stores = {one["spec"]["target"]["name"] for one in of_kind(objects, "ExternalSecret")}
    assert stores == ({*SERVICES, "envoy", "migrate", "nats"} if source in ("stage", "prod") else set())


def test_every_file_belongs_to_a_kustomization() -> None:
    used: set[str] = set()
    for path in KUBERNETES.rglob("kustomization.yaml"):
        content = yaml.safe_load(path.read_text())
        named = [*content.get("resources", []), *content.get("components", [])]
        named += [patch["path"] for patch in content.get("patches", []) if "path" in patch]
        for generator in content.get("configMapGenerator", []):
            named += [*generator.get("files", []), *generator.get("envs", [])]
        for name in named:
            target = (path.parent / name.partition("=")[2] if "=" in name else path.parent / name).resolve()
            assert target.exists(), f"{path}: {name}"
            used.add(str(target))
    parts = ("base", "components", "overlays")
    files = {str(path.resolve()) for part in parts for path in (KUBERNETES / part).rglob("*") if path.is_file()}
    assert {one for one in files if not one.endswith("kustomization.yaml")} - used == set()
