"""deploy.sh: in which order, how it waits, and how it takes back what does not work."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.answering import AnsweringServer
from tests.support.recording import RecordingPrograms

OBJECTS = """\
apiVersion: v1
kind: Secret
metadata:
  name: ingestion
  namespace: tocsin
---
apiVersion: apps/v1
kind: Deployment
metadata:
  labels:
    name: misleading
  name: envoy
  namespace: tocsin
spec:
  template:
    metadata:
      name: inner
    spec:
      containers:
      - image: envoyproxy/envoy:v1.40.0
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: ingestion
  namespace: tocsin
spec:
  template:
    spec:
      initContainers:
      - image: tocsin
      containers:
      - image: tocsin:dev
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: gateway
  namespace: tocsin
spec:
  template:
    spec:
      containers:
      - image: "other.example:5000/team/tocsin-gateway:dev"
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata:
  name: ingestion
  namespace: tocsin
---
apiVersion: batch/v1
kind: Job
metadata:
  name: migrate
  namespace: tocsin
---
apiVersion: apps/v1
kind: StatefulSet
metadata:
  name: nats
  namespace: tocsin
"""
# A cluster in which all goes well: every deployment is at revision 4, and at 5 once the services were applied.
KUBECTL = """
case "$*" in
  *kustomize*) [ ! -f "${@: -1}/kustomization.yaml" ] || cp "${@: -1}/kustomization.yaml" "$FOLDER/used.yaml"
    cat "$FOLDER/objects.yaml" ;;
  *current-context*) echo a-cluster ;;
  *"apply --filename"*) cp "${@: -1}" "$FOLDER/" ;;
  *"get deployments"*) printf 'ingestion 4\\ngateway 4\\nenvoy 4\\nsomething-else 9\\n' ;;
  *"get deployment "*) [ ! -f "$FOLDER/4-services.yaml" ] && echo 4 || echo 5 ;;
  *"get job"*) echo "SuccessCriteriaMet Complete " ;;
  *"get pods"*) printf 'gateway-abc\\tImagePullBackOff no such image\\ningestion-abc\\t \\n' ;;
  *"get events"*) printf 'gateway-abc: cannot pull\\nenvoy-1: of no interest\\n' ;;
  *"logs gateway-abc"*) echo "the last words" ;;
  *port-forward*) echo "Forwarding from 127.0.0.1:${EDGE##*:} -> 8080"; exec tail -f /dev/null ;;
esac
"""

Deploy = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def deploy(checkout: Path, programs: RecordingPrograms, edge: AnsweringServer, tmp_path: Path) -> Deploy:
    """`deploy(*arguments, but=...)`: in a cluster where all goes well, except for the cases of bash in `but`."""
    overlay = checkout / "deploy/kubernetes/overlays/stage"
    overlay.mkdir(parents=True)
    (overlay / "kustomization.yaml").write_text("")
    (tmp_path / "objects.yaml").write_text(OBJECTS)

    def run(*arguments: str, but: str = "") -> "subprocess.CompletedProcess[str]":
        programs.add("kubectl", KUBECTL.replace('case "$*" in', f'case "$*" in\n{but}', 1))
        script = checkout / "deploy/scripts/deploy.sh"
        return programs.run(script, *arguments, FOLDER=str(tmp_path), EDGE=edge.url)

    return run


def _asked(programs: RecordingPrograms) -> list[str]:
    """What was asked of the cluster to be changed or waited for, without the paths of files."""
    found: list[str] = []
    for call in programs.calls("kubectl"):
        words = call.removeprefix("--namespace tocsin ").split()
        if words[0] in ("apply", "delete", "rollout"):
            found.append(" ".join(Path(word).name for word in words if not word.startswith("--")))
    return found


def test_each_step_stands_before_the_next_begins(
    deploy: Deploy, programs: RecordingPrograms, edge: AnsweringServer, tmp_path: Path
) -> None:
    done = deploy("stage", "--version", "1.2.3", "--registry", "registry.example/team")
    assert done.returncode == 0, done.stderr
    assert _asked(programs) == [
        "apply 1-configuration.yaml",
        "apply 2-stores.yaml",
        "rollout status nats",
        "delete job migrate",
        "apply 3-migration.yaml",
        "apply 4-services.yaml",
        "rollout status envoy",
        "rollout status ingestion",
        "rollout status gateway",
        "apply 5-scaling.yaml",
    ]
    assert edge.asked == ["/health"]
    assert "done: Tocsin 1.2.3 runs in stage" in done.stdout
    assert (tmp_path / "3-migration.yaml").read_text().count("kind: Job") == 1
    assert (tmp_path / "4-services.yaml").read_text().count("kind:") == 3


def test_the_images_of_the_overlay_become_those_that_were_named(deploy: Deploy, tmp_path: Path) -> None:
    deploy("stage", "--version", "1.2.3", "--registry", "registry.example/team")
    image = '- {{name: "{}", newName: "{}", newTag: "1.2.3"}}'.format
    assert (tmp_path / "used.yaml").read_text().splitlines()[4:] == [
        image("other.example:5000/team/tocsin-gateway", "registry.example/team/tocsin-gateway"),
        image("tocsin", "registry.example/team/tocsin"),
    ]


def test_what_was_pushed_is_deployed_by_its_digest(deploy: Deploy, tmp_path: Path) -> None:
    pushed = tmp_path / "pushed.txt"
    pushed.write_text("r.example/tocsin 1.2.3 sha256:aa\nr.example/tocsin-gateway 1.2.3 sha256:bb\n")
    assert deploy("stage", "--images", str(pushed)).returncode == 0
    assert (tmp_path / "used.yaml").read_text().splitlines()[4:] == [
        '- {name: "other.example:5000/team/tocsin-gateway", newName: "r.example/tocsin-gateway", digest: "sha256:bb"}',
        '- {name: "tocsin", newName: "r.example/tocsin", digest: "sha256:aa"}',
    ]


def test_an_image_that_was_not_pushed_is_missed_before_anything_is_asked(
    deploy: Deploy, programs: RecordingPrograms, tmp_path: Path
) -> None:
    pushed = tmp_path / "pushed.txt"
    pushed.write_text("r.example/tocsin 1.2.3 sha256:aa\n")
    done = deploy("stage", "--images", str(pushed))
    assert done.returncode == 2
    assert "does not name the image tocsin-gateway" in done.stderr
    assert _asked(programs) == []


def test_a_service_that_does_not_come_up_takes_all_of_them_back(deploy: Deploy, programs: RecordingPrograms) -> None:
    failing = """*"rollout status deployment/gateway"*) [ -f "$FOLDER/once" ] || { touch "$FOLDER/once"; exit 1; } ;;"""
    done = deploy("stage", "--version", "2", but=failing)
    assert done.returncode == 1
    assert [call for call in programs.calls("kubectl") if "undo" in call] == [
        "--namespace tocsin rollout undo deployment/gateway --to-revision=4",
        "--namespace tocsin rollout undo deployment/ingestion --to-revision=4",
        "--namespace tocsin rollout undo deployment/envoy --to-revision=4",
    ]
    assert "apply 5-scaling.yaml" not in _asked(programs)
    assert "gateway-abc: ImagePullBackOff no such image" in done.stderr
    assert "the last words" in done.stderr
    assert "gateway-abc: cannot pull" in done.stderr
    assert "of no interest" not in done.stderr
    assert "what ran before runs; reason: deployment/gateway does not stand" in done.stderr


def test_what_did_not_change_is_not_taken_back_and_what_is_new_stays(
    deploy: Deploy, programs: RecordingPrograms
) -> None:
    cases = """
      *"rollout status deployment/gateway"*) [ -f "$FOLDER/once" ] || { touch "$FOLDER/once"; exit 1; } ;;
      *"get deployments"*) printf 'ingestion 4\\ngateway 4\\nenvoy \\n' ;;
      *"get deployment ingestion"*) echo 4 ;;"""
    done = deploy("stage", "--version", "2", but=cases)
    assert done.returncode == 1
    undone = [call for call in programs.calls("kubectl") if "undo" in call]
    assert undone == ["--namespace tocsin rollout undo deployment/gateway --to-revision=4"]
    assert "did not run before, and were left as they are: envoy" in done.stderr


def test_an_edge_that_is_not_healthy_takes_them_back_with_its_own_words(
    deploy: Deploy, programs: RecordingPrograms, edge: AnsweringServer
) -> None:
    edge.answers = [(503, '{"problems":[{"part":"ingestion"}]}')]
    done = deploy("stage", "--version", "2", "--timeout", "1")
    assert done.returncode == 1
    assert len([call for call in programs.calls("kubectl") if "undo" in call]) == 3
    assert '/health: 503 {"problems":[{"part":"ingestion"}]}' in done.stderr


def test_an_edge_that_needs_a_moment_gets_it(deploy: Deploy, edge: AnsweringServer) -> None:
    edge.answers = [(503, ""), (503, ""), (200, "{}")]
    assert deploy("stage", "--version", "2", "--edge", f"{edge.url}/").returncode == 0
    assert edge.asked == ["/health"] * 3


def test_a_way_back_that_fails_is_another_exit_code(deploy: Deploy) -> None:
    done = deploy("stage", "--version", "2", but='*"rollout status deployment/gateway"*) exit 1 ;;')
    assert done.returncode == 3
    assert "not back: gateway" in done.stderr


def test_a_migration_that_fails_leaves_the_services_alone(deploy: Deploy, programs: RecordingPrograms) -> None:
    cases = '*"get job"*) echo "Failed " ;; *"logs job/migrate"*) echo "a column is missing" ;;'
    done = deploy("stage", "--version", "2", but=cases)
    assert done.returncode == 1
    assert "apply 4-services.yaml" not in _asked(programs)
    assert "a column is missing" in done.stderr
    assert "the Job migrate failed; no service was changed" in done.stderr


def test_a_migration_that_does_not_end_is_not_waited_for_for_ever(deploy: Deploy) -> None:
    done = deploy("stage", "--version", "2", "--timeout", "1", but='*"get job"*) ;;')
    assert done.returncode == 1
    assert "the Job migrate did not end within 1 s" in done.stderr


def test_a_store_that_does_not_stand_leaves_the_services_alone(deploy: Deploy, programs: RecordingPrograms) -> None:
    done = deploy("stage", "--version", "2", but='*"rollout status statefulset/nats"*) exit 1 ;;')
    assert done.returncode == 1
    assert "apply 4-services.yaml" not in _asked(programs)
    assert "statefulset/nats does not stand; no service was changed" in done.stderr


def test_a_dry_run_asks_no_cluster(deploy: Deploy, programs: RecordingPrograms) -> None:
    done = deploy("stage", "--version", "1.2.3", "--dry-run")
    assert done.returncode == 0, done.stderr
    assert all("kustomize " in call for call in programs.calls("kubectl"))
    lines = [line.strip() for line in done.stdout.splitlines()]
    assert lines.index("would apply: Job/migrate") < lines.index("would apply: Deployment/ingestion")
    assert "would run: kubectl --namespace tocsin rollout status deployment/gateway --timeout=300s" in lines


def test_the_context_goes_with_every_call(deploy: Deploy, programs: RecordingPrograms) -> None:
    assert deploy("stage", "--version", "1", "--context", "far").returncode == 0
    assert all(call.startswith("--context far ") for call in programs.calls("kubectl"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "which overlay? There are: stage"),
        (("moon", "--version", "1"), "no overlay moon; there are: stage"),
        (("stage",), "--version or --images says what to deploy"),
        (("stage", "prod", "--version", "1"), "one overlay at a time: stage, prod"),
        (("stage", "--version"), "--version needs a value"),
        (("stage", "--version", "1", "--timeout", "soon"), "--timeout takes seconds, not 'soon'"),
        (("stage", "--images", "/nowhere"), "cannot read /nowhere"),
        (("stage", "--wipe"), "unknown option: --wipe"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    deploy: Deploy, programs: RecordingPrograms, arguments: tuple[str, ...], message: str
) -> None:
    done = deploy(*arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert programs.calls("kubectl") == []
