"""Where the metrics of a mesh are, and how one finds them."""

import json

import httpx
import pytest
from rich.console import Console

from services.cli.main import run
from services.cli.runtime.banner import print_addresses
from services.cli.runtime.prometheus import read_targets
from tests.e2e.conftest import Edge
from tests.support.rest import trust

PARTS = {"runtime", "envoy", "gateway", "ingestion", "aggregation", "media-probe", "notification"}


def addresses(edge: Edge) -> dict[str, str]:
    return read_targets(edge.mesh.state)


def test_every_part_of_ours_answers_with_its_metrics(edge: Edge) -> None:
    found = addresses(edge)
    assert set(found) == PARTS
    for name, address in found.items():
        answer = httpx.get(f"http://{address}/metrics", timeout=5, verify=trust())
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/plain"), name
        names = {line.split("{")[0].split(" ")[0] for line in answer.text.splitlines() if not line.startswith("#")}
        assert any(one.startswith(("tocsin_", "envoy_")) for one in names), name
        assert not [one for one in names if one.startswith("tocsin_") and one.endswith("_created")], name


def test_they_are_where_prometheus_and_people_look(edge: Edge, capsys: pytest.CaptureFixture[str]) -> None:
    found = addresses(edge)
    state = edge.mesh.state
    targets = json.loads(state.prometheus_file.read_text())
    assert {one["labels"]["part"]: one["targets"] for one in targets} == {name: [at] for name, at in found.items()}
    assert run(["env", "--json", "--state-dir", str(state.root)]) == 0
    values = json.loads(capsys.readouterr().out)
    for name, address in found.items():
        assert values[f"{name.replace('-', '_').upper()}_METRICS_URL"] == f"http://{address}/metrics"
    assert run(["status", "--state-dir", str(state.root)]) == 0
    status = capsys.readouterr().out
    assert all(address.rpartition(":")[2] in status for address in found.values()), status
    print_addresses(Console(width=200), edge.mesh.instance, state)
    assert str(state.prometheus_file) in capsys.readouterr().out
