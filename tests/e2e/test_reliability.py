"""kill -9 in the middle of work: what was acknowledged is there, once."""

import os
import signal
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from services.cli.runtime.status import read_reports
from tests.e2e.conftest import Edge, until

BATCHES = 40
BATCH = 50


def pid_of(edge: Edge, part: str) -> int:
    report = next(report for report in read_reports(edge.mesh.state) if report.name == part)
    assert report.pid is not None
    return report.pid


def healthy_again(edge: Edge, rest: httpx.Client, part: str, killed: int) -> None:
    def restarted() -> bool:
        report = next(report for report in read_reports(edge.mesh.state) if report.name == part)
        return report.healthy and report.pid != killed

    until(restarted, timeout=30, what=f"{part} restarted")
    until(lambda: rest.get("/health").status_code == 200, timeout=30, what="a healthy mesh")


@pytest.mark.chaos
@pytest.mark.parametrize("part", ["aggregation", "ingestion"])
def test_readings_survive_kill_9(edge: Edge, rest: httpx.Client, unique: Callable[[str], str], part: str) -> None:
    tower = unique("tower")
    start = datetime.now(UTC) - timedelta(minutes=14)
    killed = pid_of(edge, part)
    acknowledged: list[str] = []
    half = threading.Event()

    def send(index: int) -> None:
        times = [(start + timedelta(milliseconds=100 * (index * BATCH + row))).isoformat() for row in range(BATCH)]
        place = {"building": tower, "room": "lobby", "sensorType": "temperature"}
        body = {"readings": [{**place, "value": 290.0 + index, "eventTime": time} for time in times]}

        def accepted() -> bool:
            # A client that got no answer sends again: first wins, so that this can double nothing.
            try:
                answer = rest.post("/v1/readings:batch", json=body)
            except httpx.HTTPError:
                return False
            if answer.status_code >= 500:
                return False
            assert answer.status_code == 200, answer.text
            assert answer.json()["accepted"] == BATCH
            return True

        until(accepted, timeout=30, what=f"batch {index} accepted")
        acknowledged.extend(times)

    def kill() -> None:
        half.wait()
        os.kill(killed, signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    for index in range(BATCHES):
        if index == BATCHES // 2:
            half.set()
        send(index)
    killer.join()
    healthy_again(edge, rest, part, killed)

    query = {"sensorType": "temperature", "pageSize": 1000, "oldestFirst": "true"}

    def stored() -> list[str]:
        found: list[str] = []
        token = ""
        while True:
            page = rest.get(f"/v1/buildings/{tower}/rooms/lobby/readings", params={**query, "pageToken": token}).json()
            found += [entry["eventTime"] for entry in page.get("readings", [])]
            token = page.get("nextPageToken", "")
            if not token:
                return found

    until(lambda: len(stored()) >= len(acknowledged), timeout=30, what="everything acknowledged is stored")
    times = [datetime.fromisoformat(time) for time in stored()]
    assert sorted(times) == sorted(datetime.fromisoformat(time) for time in acknowledged), "lost or doubled readings"
    statistics: dict[str, Any] = until(
        lambda: _counted(rest, tower, len(acknowledged)), timeout=30, what="the average over all of them"
    )
    assert int(statistics["count"]) == len(acknowledged)
    assert statistics["mean"] == pytest.approx(290.0 + (BATCHES - 1) / 2)


def _counted(rest: httpx.Client, building: str, count: int) -> dict[str, Any] | None:
    answer = rest.get(f"/v1/buildings/{building}/rooms/lobby/average", params={"window": "1200s"}).json()
    statistics = answer.get("statistics", {})
    return statistics if answer.get("state") == "OK" and int(statistics["count"]) >= count else None


@pytest.mark.chaos
@pytest.mark.parametrize("part", ["media-probe", "notification"])
def test_alerts_survive_kill_9(edge: Edge, rest: httpx.Client, unique: Callable[[str], str], part: str) -> None:
    subscription = rest.post(
        "/v1/webhookSubscriptions",
        json={"url": edge.world.webhook_url, "eventTypes": ["tocsin.events.v1.VideoProbed"]},
    ).json()
    edge.world.webhook_secret = subscription["secret"]
    killed = pid_of(edge, part)
    uids = [unique("cam") for _ in range(30)]
    for index, uid in enumerate(uids):
        if index == len(uids) // 2:
            os.kill(killed, signal.SIGKILL)
        body = {"uid": uid, "video": "/videos/yard.mkv", "timestamp": 1.7e9, "store": "s"}
        assert rest.post("/v1/alerts", json=body).status_code == 200
    healthy_again(edge, rest, part, killed)

    def hooks() -> dict[str, set[str]]:
        found: dict[str, set[str]] = {}
        for hook in edge.world.hooks:
            if hook.data.get("uid") in uids:
                found.setdefault(hook.data["uid"], set()).add(hook.event_id)
        return found

    until(lambda: len(hooks()) == len(uids), timeout=50, what="a webhook for each alert")
    # A receiver drops what it has seen by `webhook-id`: one id for each alert, however often it was sent.
    assert all(len(ids) == 1 for ids in hooks().values())
    states = {rest.get(f"/v1/alerts/{uid}").json()["state"] for uid in uids}
    assert states == {"PROBED"}
    assert rest.delete(f"/v1/webhookSubscriptions/{subscription['id']}").status_code == 200
