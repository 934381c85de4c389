"""Every part of a mesh tells the version and the commit that it was started from."""

import httpx
import pytest

from services.cli.runtime.settings import SERVICES
from services.cli.version import checkout_commit, tocsin_version
from tests.e2e.conftest import Edge
from tests.support.rest import trust


def test_health_tells_the_version(anonymous: httpx.Client) -> None:
    assert anonymous.get("/health").json()["version"] == tocsin_version()


@pytest.mark.parametrize("part", [*SERVICES, "gateway"])
def test_metrics_tell_version_and_commit(edge: Edge, part: str) -> None:
    port = edge.mesh.instance.ports[f"{part}_metrics"]
    text = httpx.get(f"http://127.0.0.1:{port}/metrics", verify=trust()).text
    (line,) = [line for line in text.splitlines() if line.startswith("tocsin_build_info{")]
    assert f'version="{tocsin_version()}"' in line
    assert f'commit="{checkout_commit()}"' in line
