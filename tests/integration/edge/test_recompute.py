"""`tocsin windows recompute` through a real edge: an answer in time, and work that takes longer than a request may."""

from collections.abc import Generator
from contextlib import contextmanager

import httpx
import pytest

from services.cli import client as cli_client
from services.cli.main import run
from tests.integration.edge.conftest import Edge
from tests.support.rest import trust


@pytest.fixture(autouse=True)
def _impatient(edge_stack: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
    """The edge in place of a mesh; requests may last half a second."""

    class Mesh:
        @contextmanager
        def http(self, **_: object) -> Generator[httpx.Client]:
            headers = {"authorization": edge_stack.bearer, "grpc-timeout": "500m"}
            with httpx.Client(base_url=edge_stack.url, headers=headers, timeout=30, verify=trust()) as client:
                yield client

    monkeypatch.setattr(cli_client, "open_mesh", lambda _state_dir: Mesh())  # pyright: ignore[reportUnknownLambdaType]


def test_what_was_found_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["windows", "recompute", "tower", "lobby"]) == 0
    assert "1,234,567" in capsys.readouterr().out


def test_work_that_outlasts_the_request_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["windows", "recompute", "tower", "endless"]) == 1
    assert "the work goes on" in " ".join(capsys.readouterr().err.split())


def test_a_refusal_is_no_such_work(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["windows", "recompute", "tower", "endless", "--from", "yesterday"]) == 1
    error = capsys.readouterr().err
    assert "goes on" not in error
    assert "from" in error
