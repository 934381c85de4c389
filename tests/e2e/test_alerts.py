"""Video alerts through the edge: probed by ranges, told by a signed webhook."""

import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from services.cli.demo.videos import BROKEN
from tests.e2e.conftest import Edge, until


def alert(uid: str, video: str, **more: Any) -> dict[str, Any]:
    return {"uid": uid, "video": video, "timestamp": 1_720_000_000.5, "store": "store-42", **more}


def finished(rest: httpx.Client, uid: str) -> dict[str, Any]:
    def final() -> Any:
        state = rest.get(f"/v1/alerts/{uid}").json()
        return state if state["state"] in ("PROBED", "FAILED") else None

    return until(final, what=f"a final state of {uid}")


def test_videos_of_every_kind_are_probed_and_announced(
    edge: Edge, rest: httpx.Client, unique: Callable[[str], str]
) -> None:
    types = ["tocsin.events.v1.VideoProbed", "tocsin.events.v1.VideoProbeFailed"]
    subscription = rest.post("/v1/webhookSubscriptions", json={"url": edge.world.webhook_url, "eventTypes": types})
    assert subscription.status_code == 200, subscription.text
    edge.world.webhook_secret = subscription.json()["secret"]
    assert "secret" not in rest.get(f"/v1/webhookSubscriptions/{subscription.json()['id']}").json() or (
        rest.get(f"/v1/webhookSubscriptions/{subscription.json()['id']}").json()["secret"] == ""
    )
    uids = {unique("cam"): name for name in edge.videos}
    for uid, name in uids.items():
        answer = rest.post("/v1/alerts", json=alert(uid, f"/videos/{name}"))
        assert answer.status_code == 200, answer.text
    for uid, name in uids.items():
        assert finished(rest, uid)["state"] == "PROBED", rest.get(f"/v1/videos/{uid}").text
        video = rest.get(f"/v1/videos/{uid}").json()
        assert (video["width"], video["height"]) == edge.videos[name]
        assert video["store"] == "store-42"
        assert 0 < int(video["bytesFetched"]) <= 65_536
    phone = next(uid for uid, name in uids.items() if name == "phone.mp4")
    assert rest.get(f"/v1/videos/{phone}").json()["rotation"] in (90, 270)
    # What the header of the one that lies says is not what is seen: the sizes above are those of the pictures.
    header = (edge.world.videos / "recorder.avi").read_bytes()[:4096]
    assert (1088).to_bytes(4, "little") in header
    assert (1080).to_bytes(4, "little") not in header

    def hooks() -> dict[str, Any]:
        return {hook.data["uid"]: hook for hook in edge.world.hooks if hook.data.get("uid") in uids}

    until(lambda: len(hooks()) == len(uids), what="a webhook for each video")
    assert all(hook.verified for hook in hooks().values())
    assert {uid: (hook.data["width"], hook.data["height"]) for uid, hook in hooks().items()} == {
        uid: edge.videos[name] for uid, name in uids.items()
    }
    assert rest.delete(f"/v1/webhookSubscriptions/{subscription.json()['id']}").status_code == 200


@pytest.mark.parametrize(("video", "failure"), [(BROKEN, "NOT_MEDIA"), ("missing.mp4", "NOT_FOUND")])
def test_what_is_no_video_fails_with_its_reason(
    rest: httpx.Client, unique: Callable[[str], str], video: str, failure: str
) -> None:
    uid = unique("cam")
    assert rest.post("/v1/alerts", json=alert(uid, f"/videos/{video}")).status_code == 200
    state = finished(rest, uid)
    assert (state["state"], state["reason"]) == ("FAILED", failure)
    assert rest.get(f"/v1/videos/{uid}").json()["failure"] == failure

    def dead() -> bool:
        letters = rest.get("/v1/deadLetters", params={"service": "media_probe", "pageSize": 1000}).json()
        return any(
            uid in rest.get(f"/v1/deadLetters/{letter['id']}").json().get("payloadJson", "")
            for letter in letters.get("deadLetters", [])
        )

    until(dead, what="its dead letter")


def test_the_uid_is_an_idempotency_key(rest: httpx.Client, unique: Callable[[str], str]) -> None:
    uid = unique("cam")
    first = rest.post("/alert", json=alert(uid, "/videos/gate.avi"))
    again = rest.post("/v1/alerts", json=alert(uid, "/videos/gate.avi"))
    assert first.status_code == again.status_code == 200, (first.text, again.text)
    assert first.json()["createTime"] == again.json()["createTime"]
    other = rest.post("/v1/alerts", json=alert(uid, "/videos/dock.mp4"))
    assert other.status_code == 409
    assert other.json()["reason"] == "ALREADY_EXISTS"
    assert finished(rest, uid)["video"] == "/videos/gate.avi"


@pytest.mark.parametrize(
    ("body", "timestamp"),
    [
        ('{"uid":"UID","video":"/videos/gate.avi","timestamp":1720000000,"store":"store-42"}', 1_720_000_000),
        ('{"uid":"UID","video":"/videos/gate.avi","timestamp":1720000000.123456,"store":"s"}', 1_720_000_000.123456),
        ('{"uid":"UID","video":"/videos/gate.avi","timestamp":"1720000000.5","store":"s"}', 1_720_000_000.5),
        ('{"uid":"UID","video":"/videos/gate.avi","timestamp":1.72e9,"store":"s"}', 1_720_000_000),
        (
            '\n\t{ "store" : "s",\r\n "timestamp" : 1720000000.50 , "uid":"UID", "video":"/videos/gate.avi" }\n\n',
            1_720_000_000.5,
        ),
    ],
    ids=["integer", "float", "text", "exponent", "white space"],
)
@pytest.mark.parametrize("path", ["/alert", "/v1/alerts"])
def test_numbers_come_as_clients_write_them(
    rest: httpx.Client, unique: Callable[[str], str], path: str, body: str, timestamp: float
) -> None:
    uid = unique("cam")
    json = {"content-type": "application/json"}
    answer = rest.post(path, content=body.replace("UID", uid), headers=json)
    assert answer.status_code == 200, answer.text
    assert rest.get(f"/v1/alerts/{uid}").json()["timestamp"] == timestamp


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"uid": 1234}, "uid"),
        ({"uid": " cam-1"}, "uid"),
        ({"store": None}, "store"),
        ({"timestamp": "yesterday"}, "timestamp"),
        ({"timestamp": True}, "timestamp"),
        ({"timestamp": "NaN"}, "timestamp"),
        ({"timestamp": 1_720_000_000_500}, "timestamp"),
        ({"camera": "front"}, "camera"),
    ],
)
@pytest.mark.parametrize("path", ["/alert", "/v1/alerts"])
def test_what_is_no_alert_is_refused_by_its_field(
    rest: httpx.Client, unique: Callable[[str], str], path: str, changes: dict[str, Any], field: str
) -> None:
    answer = rest.post(path, json=alert(unique("cam"), "/videos/gate.avi") | changes)
    assert answer.status_code == 400, answer.text
    assert field in answer.json()["detail"], answer.text


def test_a_batch_tells_what_is_wrong_of_each(rest: httpx.Client, unique: Callable[[str], str]) -> None:
    good, bad = unique("cam"), unique("cam")
    items = [alert(bad, "file:///etc/passwd"), alert(good, "/videos/gate.avi"), alert("a.b", "/videos/gate.avi")]
    answer = rest.post("/v1/alerts:batch", json={"alerts": items, "dryRun": True})
    assert answer.status_code == 200, answer.text
    assert rest.get(f"/v1/alerts/{good}").status_code == 404
    answer = rest.post("/v1/alerts:batch", json={"alerts": items})
    assert [one["uid"] for one in answer.json()["alerts"]] == [good]
    told = [(one["index"], one["reason"], one["field"]) for one in answer.json()["rejections"]]
    assert told == [(0, "INVALID_FIELD", "video"), (2, "INVALID_FIELD", "uid")]
    assert finished(rest, good)["state"] == "PROBED"
    assert rest.get(f"/v1/alerts/{bad}").status_code == 404


def test_a_dry_run_of_the_command_stores_nothing(edge: Edge, rest: httpx.Client, unique: Callable[[str], str]) -> None:
    uid = unique("cam")

    def tried(video: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "services.cli.main", "alert", uid, video, "--dry-run", "--timestamp", "1.72e9"]
        state = ["--state-dir", str(edge.mesh.state.root)]
        return subprocess.run([*command, *state], capture_output=True, text=True, timeout=60, check=False)

    good = tried("/videos/gate.avi")
    assert (good.returncode, good.stdout) == (0, f"alert {uid} would be accepted\n"), good.stderr
    blocked = tried("http://169.254.169.254/latest/meta-data")
    assert blocked.returncode == 1
    assert "must be a path on the video server, or a URL of an allowed origin" in " ".join(blocked.stderr.split())
    assert rest.get(f"/v1/alerts/{uid}").status_code == 404


def test_the_history_tells_of_attempts_and_of_who_was_told(
    edge: Edge, rest: httpx.Client, unique: Callable[[str], str]
) -> None:
    """The video is missing, then uploaded and asked for again: the alert follows, and so do its subscribers."""
    uid, name = unique("cam"), unique("late") + ".avi"
    types = ["tocsin.events.v1.VideoProbed", "tocsin.events.v1.VideoProbeFailed"]
    made = rest.post("/v1/webhookSubscriptions", json={"url": edge.world.webhook_url, "eventTypes": types}).json()
    edge.world.webhook_secret = made["secret"]
    try:
        assert rest.post("/v1/alerts", json=alert(uid, f"/videos/{name}")).status_code == 200
        assert finished(rest, uid)["reason"] == "NOT_FOUND"
        shutil.copyfile(edge.world.videos / "gate.avi", edge.world.videos / name)
        assert rest.post(f"/v1/videos/{uid}:retry", json={}).status_code == 200
        until(lambda: finished(rest, uid)["state"] == "PROBED", what="the other probe")

        def history() -> Any:
            told = rest.get(f"/v1/alerts/{uid}/history").json()
            return told if [one["kind"] for one in told["entries"]].count("TOLD") == 2 else None

        found = until(history, what="a history in which all is told")
    finally:
        assert rest.delete(f"/v1/webhookSubscriptions/{made['id']}").status_code == 200
    assert found["missing"] == []
    entries = found["entries"]
    assert [one["kind"] for one in entries] == ["ACCEPTED", "FAILED", "TOLD", "PROBED", "TOLD"]
    assert [one["reason"] for one in entries] == ["", "NOT_FOUND", "", "", ""]
    assert [one["attempt"] for one in entries] == [0, 1, 1, 1, 1]
    told = [(one["subscription"], one["origin"]) for one in entries if one["kind"] == "TOLD"]
    assert told == [(made["id"], edge.world.webhook_origin)] * 2
    assert entries[0]["time"] == rest.get(f"/v1/alerts/{uid}").json()["createTime"]
    video = rest.get(f"/v1/videos/{uid}").json()
    assert [(one["number"], one["failure"]) for one in video["history"]] == [
        (1, "NOT_FOUND"),
        (1, "FAILURE_UNSPECIFIED"),
    ]
    assert len({one["eventId"] for one in video["history"]} - {""}) == 2
    # Subscriptions that are gone are not told of.
    assert [one["kind"] for one in rest.get(f"/v1/alerts/{uid}/history").json()["entries"]] == [
        "ACCEPTED",
        "FAILED",
        "PROBED",
    ]
    assert rest.get(f"/v1/alerts/{unique('nobody')}/history").status_code == 404


@pytest.mark.parametrize(
    "video",
    [
        "http://169.254.169.254/latest/meta-data",
        "file:///etc/passwd",
        "//elsewhere.test/a.mp4",
        "/videos/../../etc/passwd",
        "http://user:secret@127.0.0.1/a.mp4",
        "videos/a.mp4",
    ],
)
def test_videos_elsewhere_are_refused(rest: httpx.Client, unique: Callable[[str], str], video: str) -> None:
    uid = unique("cam")
    answer = rest.post("/v1/alerts", json=alert(uid, video))
    assert answer.status_code == 400, answer.text
    assert answer.json()["errors"][0]["field"] == "video"
    assert rest.get(f"/v1/alerts/{uid}").status_code == 404


def test_an_alert_is_probed_within_seconds(rest: httpx.Client, unique: Callable[[str], str]) -> None:
    uid, start = unique("cam"), time.monotonic()
    assert rest.post("/v1/alerts", json=alert(uid, "/videos/yard.mkv")).status_code == 200
    finished(rest, uid)
    assert time.monotonic() - start < 10
