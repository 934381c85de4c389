"""A thousand alerts, posted one after another as cameras do: each becomes one row, one event and one webhook."""

import asyncio
import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from tests.e2e.conftest import Edge, until
from tocsin.events.v1.videos_pb2 import VideoProbed

COUNT = 1000


@contextmanager
def heard(edge: Edge) -> Iterator[Counter[str]]:
    """The uids of the VideoProbed events that a downstream team hears meanwhile, and how often."""
    uids: Counter[str] = Counter()
    loop, ready, stop = asyncio.new_event_loop(), threading.Event(), asyncio.Event()

    async def listen() -> None:
        async def hear(message: Any) -> None:
            uids[VideoProbed.FromString(message.data).uid] += 1

        async with edge.mesh.nats(downstream=True) as connection:
            await connection.subscribe("tocsin.videos.v1.probed", cb=hear)
            await connection.flush()
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(listen(),), daemon=True)
    thread.start()
    assert ready.wait(10)
    try:
        yield uids
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)
        loop.close()


def listed(rest: httpx.Client, what: str, store: str) -> list[dict[str, Any]]:
    """All of a list, by its pages."""
    found: list[dict[str, Any]] = []
    query = {"store": store, "pageSize": "400"}
    while True:
        page = rest.get(f"/v1/{what}", params=query).json()
        found += page[what]
        query["pageToken"] = page.get("nextPageToken", "")
        if not query["pageToken"]:
            return found


def test_each_of_a_thousand_alerts_has_one_row_one_event_and_one_webhook(
    edge: Edge, rest: httpx.Client, unique: Callable[[str], str]
) -> None:
    run, store = unique("UID"), unique("store")
    shutil.copyfile(edge.world.videos / "gate.avi", edge.world.videos / "test.avi")
    types = ["tocsin.events.v1.VideoProbed", "tocsin.events.v1.VideoProbeFailed"]
    subscription = rest.post(
        "/v1/webhookSubscriptions", json={"url": edge.world.webhook_url, "eventTypes": types}
    ).json()
    edge.world.webhook_secret = subscription["secret"]
    try:
        with heard(edge) as events:
            for i in range(COUNT):
                response = rest.post(
                    "/alert",
                    json={"uid": f"{run}-{i}", "video": "/videos/test.avi", "timestamp": time.time(), "store": store},
                )
                assert response.status_code == 200, response.text

            def hooks() -> Counter[tuple[str, str]]:
                told = [hook for hook in edge.world.hooks if hook.data.get("store") == store]
                assert all(hook.verified and hook.type == types[0] for hook in told)
                return Counter((hook.data["uid"], hook.event_id) for hook in told)

            until(lambda: len(hooks()) >= COUNT, timeout=60, what="a webhook for each alert")
            until(lambda: sum(event.startswith(run) for event in events) == COUNT, what="an event for each alert")
    finally:
        assert rest.delete(f"/v1/webhookSubscriptions/{subscription['id']}").status_code == 200
    uids = {f"{run}-{i}" for i in range(COUNT)}
    assert {uid: times for uid, times in events.items() if uid.startswith(run)} == dict.fromkeys(uids, 1)
    assert {uid for uid, _ in hooks()} == uids
    # One id for each, and no repeat: nothing had to be tried again.
    assert len(hooks()) == COUNT
    assert set(hooks().values()) == {1}
    videos = listed(rest, "videos", store)
    assert sorted(video["uid"] for video in videos) == sorted(uids)
    assert {(video["state"], video["width"], video["height"], video["attempts"]) for video in videos} == {
        ("PROBED", 640, 480, 1)
    }

    def alerts() -> bool:
        found = listed(rest, "alerts", store)
        assert sorted(alert["uid"] for alert in found) == sorted(uids)
        return {alert["state"] for alert in found} == {"PROBED"}

    until(alerts, what="the state of each alert")
