"""`tocsin upload --resumable`: what breaks off goes on, in the same command or in the next one."""

import hashlib
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from services.cli import resumable_upload
from services.cli.main import run
from tests.unit.cli.test_debt_commands import told
from tests.unit.cli.test_question_commands import Put, edge

__all__ = ["edge"]
CONTENT = b"name\n" + b"Ann\n" * 100
ID = "0197c0de-0000-7000-8000-000000000002"


class Desk:
    """Keeps parts. `breaks`: after how many bytes the next streams break off; None: not at all; an int below 0: they
    are answered with that status."""

    def __init__(self, *breaks: int | None) -> None:
        self.breaks = list(breaks)
        self.kept = b""
        self.announced: list[dict[str, Any]] = []
        self.gone = False

    def __call__(self, request: httpx.Request) -> Any:
        match request.method, request.url.path:
            case "POST", "/v1/debtFiles:createUpload":
                self.announced.append(json.loads(request.read()))
                self.kept, self.gone = b"", False
                return {"id": ID}
            case "HEAD", _:
                if self.gone:
                    return httpx.Response(410)
                return httpx.Response(200, headers={"upload-offset": str(len(self.kept))})
            case "PATCH", _:
                return self.append(request)
            case "GET", path if path.endswith(":watch"):
                whole = self.kept == CONTENT
                end = told(id=ID, state="COMPLETED" if whole else "RECEIVING")
                headers = {"content-type": "text/event-stream"}
                return httpx.Response(200, text=f"data: {json.dumps(end)}\n\n", headers=headers)
            case _:
                return httpx.Response(404, json={"detail": f"no {request.url.path}"})

    def append(self, request: httpx.Request) -> httpx.Response:
        assert request.headers["upload-offset"] == str(len(self.kept))
        assert request.headers["content-length"] == str(len(CONTENT) - len(self.kept))
        data = request.read()
        most = self.breaks.pop(0) if self.breaks else None
        if most is not None and most < 0:
            return httpx.Response(-most, json={"detail": "no"}, headers={"retry-after": "0"})
        self.kept += data[:most]
        if most is not None:
            raise httpx.WriteError("broken pipe")
        return httpx.Response(204, headers={"upload-offset": str(len(self.kept))})


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(resumable_upload, "_PAUSES", (0, 0, 0))
    path = tmp_path / "debts.csv"
    path.write_bytes(CONTENT)
    return path


def notes(tmp_path: Path) -> list[str]:
    return [page.read_text() for page in (tmp_path / "cache" / "tocsin" / "uploads").glob("*")]


def test_it_says_what_an_upload_says(edge: Put, file: Path, tmp_path: Path) -> None:
    desk = Desk()
    edge(desk)
    assert run(["upload", str(file), "--resumable", "--dry-run", "--reject-limit", "2.5%", "--locale", "pt-BR"]) == 0
    assert desk.announced == [
        {
            "filename": "debts.csv",
            "dryRun": True,
            "rejectPercent": 2.5,
            "locale": "pt-BR",
            "size": len(CONTENT),
            "sha256": hashlib.sha256(CONTENT).hexdigest(),
            "way": "RESUMABLE",
        }
    ]
    assert desk.kept == CONTENT
    assert notes(tmp_path) == []


@pytest.mark.parametrize("breaks", [[0, 100, 0, 57], [-503, 20, -429], [-409]])
def test_what_breaks_off_goes_on(edge: Put, file: Path, breaks: list[int]) -> None:
    desk = Desk(*breaks)
    edge(desk)
    assert run(["upload", str(file), "--resumable"]) == 0
    assert (desk.kept, len(desk.announced)) == (CONTENT, 1)


def test_the_next_command_goes_on(edge: Put, file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    desk = Desk(100, 0, 0, 0)
    edge(desk)
    assert run(["upload", str(file), "--resumable"]) == 1
    assert "what came is kept: run the command again to go on (100 of 405 bytes)" in capsys.readouterr().err
    assert notes(tmp_path) == [ID]
    assert run(["upload", str(file)]) == 0
    assert "100 bytes are there already" in capsys.readouterr().out
    assert (desk.kept, len(desk.announced), notes(tmp_path)) == (CONTENT, 1, [])


def test_what_is_gone_or_another_file_begins_anew(edge: Put, file: Path) -> None:
    desk = Desk(100, 0, 0, 0)
    edge(desk)
    assert run(["upload", str(file), "--resumable"]) == 1
    desk.gone = True
    assert run(["upload", str(file), "--resumable"]) == 0
    assert len(desk.announced) == 2


def test_a_refusal_ends_it(edge: Put, file: Path, tmp_path: Path) -> None:
    desk = Desk(-400)
    edge(desk)
    assert run(["upload", str(file), "--resumable"]) == 1
    assert notes(tmp_path) == []
