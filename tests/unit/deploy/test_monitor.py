"""monitor.sh: what it looks at, and what is an alert."""

import json
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.support.answering import AnsweringServer
from tests.support.recording import RecordingPrograms

# A cluster that is well. The answers are those of kubectl's templates, a line for each container.
KUBECTL = """
case "$*" in
  *"get deployments -o name"*) echo deployment.apps/ingestion ;;
  *"get deployments"*) printf 'ingestion 2 2\\ngateway 2 2\\n' ;;
  *containerStatuses*) printf 'ingestion-1 ingestion 0 - - -\\nnats-0 nats 0 - - -\\n' ;;
  *spec.containers*) printf 'ingestion-1/ingestion 500m 512Mi\\nnats-0/nats - 1Gi\\n' ;;
  *"top pods"*) printf 'ingestion-1 ingestion 125m 128Mi\\nnats-0 nats 40m 256Mi\\n' ;;
  *"logs ingestion-1"*) echo '{"level": "info", "event": "ready"}' ;;
  *"logs --follow"*) printf '%s\\n' '[pod/a] {"level": "info"}' '[pod/b] {"level":"error","event":"broken"}' ;;
  *port-forward*) echo "Forwarding from 127.0.0.1:${NATS##*:} -> 8222"; exec tail -f /dev/null ;;
esac
"""

Monitor = Callable[..., "subprocess.CompletedProcess[str]"]


def _jsz(*, waiting: int, current: bool = True) -> str:
    consumer = {"name": "aggregation", "num_pending": waiting, "num_ack_pending": 3, "num_redelivered": 1}
    stream: dict[str, Any] = {
        "name": "READINGS",
        "state": {"messages": 12345, "bytes": 678},
        "cluster": {"leader": "nats-0", "replicas": [{"name": "nats-1", "current": current}]},
        "consumer_detail": [consumer],
    }
    return json.dumps({"account_details": [{"name": "MESH", "stream_detail": [stream]}, {"name": "SYS"}]})


@pytest.fixture
def monitor(checkout: Path, programs: RecordingPrograms, edge: AnsweringServer) -> Monitor:
    """`monitor(*arguments, but=...)`: of a cluster that is well, except for the cases of bash in `but`."""
    edge.answers = [(200, _jsz(waiting=0))]

    def run(*arguments: str, but: str = "") -> "subprocess.CompletedProcess[str]":
        programs.add("kubectl", KUBECTL.replace('case "$*" in', f'case "$*" in\n{but}', 1))
        return programs.run(checkout / "deploy/scripts/monitor.sh", *arguments, NATS=edge.url)

    return run


def _alerts(done: "subprocess.CompletedProcess[str]") -> list[str]:
    return [line.removeprefix("ALERT ") for line in done.stdout.splitlines() if line.startswith("ALERT ")]


def test_what_is_well_is_shown_and_no_alert(
    monitor: Monitor, programs: RecordingPrograms, edge: AnsweringServer
) -> None:
    done = monitor()
    assert done.returncode == 0, done.stdout + done.stderr
    shown = [" ".join(line.split()) for line in done.stdout.splitlines()]
    assert "ingestion 2 2" in shown
    assert "ingestion-1, ingestion 125m 25% 128Mi 25%" in shown
    assert "nats-0, nats 40m -% 256Mi 25%" in shown
    assert "errors within 10m: 0" in shown
    assert "READINGS 12,345 678" in shown
    assert "aggregation 0 3 1" in shown
    assert shown[-1] == "all is well"
    assert edge.asked == ["/jsz?accounts=true&streams=true&consumers=true"]
    assert all(call.startswith("--namespace tocsin ") for call in programs.calls("kubectl"))


def _ago(**span: float) -> str:
    return (datetime.now(UTC) - timedelta(**span)).isoformat(timespec="seconds")


@pytest.mark.parametrize(
    ("but", "alerts"),
    [
        ("""*"get deployments -o json"*) printf 'ingestion 2 \\n' ;;""", ["service: ingestion has 0 of 2 pods"]),
        ("""*"get deployments -o json"*) ;;""", ["service: there is no deployment in the namespace tocsin"]),
        (
            "*containerStatuses*) echo 'ingestion-1 ingestion 7 CrashLoopBackOff - -' ;;",
            ["pod: ingestion-1, container ingestion: CrashLoopBackOff"],
        ),
        ("*containerStatuses*) echo 'ingestion-1 ingestion 0 ContainerCreating - -' ;;", []),
        (
            '*"top pods"*) echo "ingestion-1 ingestion 460m 500Mi" ;;',
            [
                "CPU: ingestion-1, container ingestion, is at 92 % of its limit",
                "memory: ingestion-1, container ingestion, is at 98 % of its limit",
            ],
        ),
        ('*"top pods"*) echo "Metrics API not available" >&2; exit 1 ;;', []),
        (
            """*"logs ingestion-1"*) printf '{"level":"error"}\\n{"level": "critical"}\\n{"level":"info"}\\n' ;;""",
            ["errors: ingestion-1 logged 2 within 10m, the last one:"],
        ),
        (
            "*port-forward*) echo 'error: pods \"nats-0\" not found' ;;",
            ['streams: no way to pod/nats-0: error: pods "nats-0" not found'],
        ),
    ],
    ids=[
        "pods are missing",
        "nothing is deployed",
        "a container crashes",
        "a container begins",
        "a container is at its limits",
        "nobody measures",
        "errors are logged",
        "NATS is out of reach",
    ],
)
def test_what_is_amiss_is_an_alert(monitor: Monitor, but: str, alerts: list[str]) -> None:
    done = monitor(but=but)
    assert _alerts(done) == alerts, done.stdout + done.stderr
    assert done.returncode == (1 if alerts else 0)


def test_a_restart_is_an_alert_while_it_is_recent(monitor: Monitor) -> None:
    ended = "*containerStatuses*) echo 'ingestion-1 ingestion 1 - OOMKilled {}' ;;".format
    when = _ago(minutes=2)
    told = f"pod: ingestion-1, container ingestion ended at {when} (OOMKilled), 1 restarts in all"
    assert _alerts(monitor(but=ended(when))) == [told]
    assert _alerts(monitor("--since", "1m", but=ended(when))) == []
    assert monitor(but=ended(_ago(hours=2))).returncode == 0


def test_a_consumer_that_is_behind_is_an_alert(monitor: Monitor, edge: AnsweringServer) -> None:
    edge.answers = [(200, _jsz(waiting=501))]
    assert monitor("--waiting", "501").returncode == 0
    done = monitor("--waiting", "500")
    assert _alerts(done) == ["streams: 501 messages of READINGS wait for aggregation"]
    assert done.returncode == 1


def test_servers_of_a_cluster_are_read_as_one(monitor: Monitor, edge: AnsweringServer) -> None:
    edge.answers = [(200, _jsz(waiting=7)), (200, _jsz(waiting=20, current=False))]
    two = "*containerStatuses*) printf 'nats-0 nats 0 - - -\\nnats-1 nats 0 - - -\\n' ;;"
    done = monitor("--waiting", "19", but=two)
    assert _alerts(done) == [
        "streams: READINGS has replicas that are not current: nats-1",
        "streams: 20 messages of READINGS wait for aggregation",
    ]


def test_a_server_outside_the_cluster_is_asked_where_it_is(
    monitor: Monitor, edge: AnsweringServer, programs: RecordingPrograms
) -> None:
    assert monitor("--nats-url", f"{edge.url}/").returncode == 0
    assert not [call for call in programs.calls("kubectl") if "port-forward" in call]
    edge.answers = [(401, "")]
    assert len(_alerts(monitor("--nats-url", edge.url))) == 1


def test_a_cluster_that_does_not_answer_is_another_exit_code(monitor: Monitor) -> None:
    done = monitor(but='*"get deployments"*) echo "connection refused" >&2; exit 1 ;;')
    assert done.returncode == 3
    assert "connection refused" in done.stderr


def test_logs_are_followed_for_a_service_and_a_level(monitor: Monitor, programs: RecordingPrograms) -> None:
    done = monitor("--logs", "ingestion", "--level", "warning")
    assert done.stdout == '[pod/b] {"level":"error","event":"broken"}\n'
    assert programs.calls("kubectl")[-1].endswith("--selector app.kubernetes.io/name=ingestion")
    assert len(monitor("--logs").stdout.splitlines()) == 2
    assert programs.calls("kubectl")[-1].endswith("--selector app.kubernetes.io/name")


def test_a_dry_run_asks_no_cluster(monitor: Monitor, programs: RecordingPrograms) -> None:
    assert "would run: kubectl --namespace far get pods" in monitor("--dry-run", "--namespace", "far").stdout
    assert monitor("--dry-run", "--logs").returncode == 0
    assert programs.calls("kubectl") == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--since", "soon"), "--since takes a span like 90s, 10m or 2h"),
        (("--cpu", "much"), "'much' is no whole number"),
        (("--level", "loud"), "unknown level: loud"),
        (("--fast",), "unknown option: --fast"),
    ],
)
def test_what_cannot_be_meant_is_refused(monitor: Monitor, arguments: tuple[str, ...], message: str) -> None:
    done = monitor(*arguments)
    assert done.returncode == 2
    assert message in done.stderr
