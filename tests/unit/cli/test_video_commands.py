"""`tocsin videos`: what it asks, what people read, and the exit codes."""

import json
from typing import Any

import httpx
import pytest

from services.cli.main import run
from tests.unit.cli.test_question_commands import Put, edge

__all__ = ["edge"]
PROBED = {
    "uid": "cam-1", "store": "lobby", "video": "/a.mp4", "state": "PROBED", "width": 360, "height": 640,
    "rotation": 270, "codec": "h264", "container": "mp4",
}  # fmt: skip
FAILED = {
    "uid": "cam-2", "store": "lobby", "video": "/b.mp4", "state": "FAILED", "failure": "NOT_FOUND",
    "message": "the video server answered 404",
}  # fmt: skip


def test_lists_ask_for_what_is_given_and_say_what_is_known(edge: Put, capsys: pytest.CaptureFixture[str]) -> None:
    fake = edge(lambda _: {"videos": [PROBED, FAILED], "nextPageToken": "more"})
    assert run(["videos", "list", "--store", "lobby", "--state", "failed", "--limit", "2"]) == 0
    assert dict(fake.asked[0].url.params) == {"store": "lobby", "state": "FAILED", "pageSize": "2"}
    shown = capsys.readouterr().out
    assert "360x640, h264, mp4, turned by 270" in shown
    assert "NOT_FOUND: the video server answered 404" in shown
    assert "there are more" in shown
    assert run(["videos", "list", "--state", "lost"]) == 2


def test_one_is_shown_and_probed(edge: Put, capsys: pytest.CaptureFixture[str]) -> None:
    fake = edge(lambda request: PROBED if request.method == "GET" else {**FAILED, "uid": ""})
    assert run(["videos", "show", "cam 1", "--json"]) == 0
    assert fake.asked[0].url.raw_path == b"/v1/videos/cam%201"
    assert json.loads(capsys.readouterr().out) == PROBED
    assert run(["videos", "probe", "/b.mp4"]) == 1
    assert json.loads(fake.asked[1].content) == {"video": "/b.mp4"}
    assert "NOT_FOUND" in capsys.readouterr().err


def test_what_has_failed_is_retried_by_name_or_all_of_it(edge: Put, capsys: pytest.CaptureFixture[str]) -> None:
    def answer(request: httpx.Request) -> Any:
        if request.method == "POST":
            return FAILED
        if request.url.params.get("pageToken"):
            return {"videos": [FAILED]}
        return {"videos": [{**FAILED, "uid": "cam-3"}], "nextPageToken": "2"}

    fake = edge(answer)
    assert run(["videos", "retry", "cam-2"]) == 0
    assert fake.asked[-1].url.path == "/v1/videos/cam-2:retry"
    assert "cam-2 is probed again" in capsys.readouterr().out
    assert run(["videos", "retry", "--all", "--store", "lobby"]) == 0
    paths = [one.url.path for one in fake.asked if one.method == "POST"]
    assert paths[1:] == ["/v1/videos/cam-3:retry", "/v1/videos/cam-2:retry"]
    assert fake.asked[1].url.params["store"] == "lobby"
    assert "2 are probed again" in capsys.readouterr().out
    for wrong in ([], ["cam-2", "--all"], ["cam-2", "--store", "lobby"]):
        assert run(["videos", "retry", *wrong]) == 2


def test_a_history_is_a_table_that_says_who_did_not_answer(edge: Put, capsys: pytest.CaptureFixture[str]) -> None:
    failed = {"time": "2026-11-22T10:15:31Z", "kind": "FAILED", "attempt": 1, "reason": "NOT_FOUND", "message": "gone"}
    told = {
        "time": "2026-11-22T10:15:32Z",
        "kind": "TOLD",
        "attempt": 2,
        "subscription": "s-1",
        "origin": "https://a.example",
    }
    fake = edge(lambda request: {"entries": [failed, told], "missing": ["notification"]})
    assert run(["videos", "history", "cam 1"]) == 0
    assert fake.asked[0].url.raw_path == b"/v1/alerts/cam%201/history"
    shown = " ".join(capsys.readouterr().out.split())
    for part in (
        "FAILED attempt 1, NOT_FOUND: gone",
        "TOLD attempt 2, https://a.example (subscription s-1)",
        "not answered, so there may be more: notification",
    ):
        assert part in shown


def test_a_dry_run_of_an_alert_says_what_would_be(edge: Put, capsys: pytest.CaptureFixture[str]) -> None:
    answers = [
        {"uid": "a1", "state": "STATE_UNSPECIFIED"},
        {"uid": "a1", "state": "PROBED", "createTime": "2026-11-22T10:15:31Z"},
    ]
    fake = edge(lambda request: answers.pop(0))
    for told in ("alert a1 would be accepted", "alert a1 is known already, with this content, and is PROBED"):
        assert run(["alert", "a1", "/videos/a.mp4", "--dry-run"]) == 0
        assert told in " ".join(capsys.readouterr().out.split())
    assert [json.loads(request.content)["dryRun"] for request in fake.asked] == [True, True]
