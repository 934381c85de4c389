"""The service as a process of its own, on real NATS and PostgreSQL: alerts in, rows and events out."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
import grpc.aio
import pytest
from google.protobuf.message import Message

from services.chassis import errors
from services.chassis.auth.dev_issuer import DevIssuer
from services.chassis.grpc.client import connect
from services.chassis.nats import Event, NatsConnection, Publisher
from services.chassis.nats.envelope import MESSAGE_ID, Encoded, encode
from services.chassis.nats.topology import ALERT_REPORTED_SUBJECT
from services.media_probe.adapters.nats.alert_consumer import SERVICE
from tests.support import video_server as vs
from tests.support.dead_letter_stream import DeadLetters
from tests.support.eventually import eventually
from tests.support.ports import free_port
from tests.support.postgres import PostgresServer, Schemas
from tests.support.videos import make_video, noise
from tocsin.events.v1.alerts_pb2 import VideoAlertReported
from tocsin.events.v1.videos_pb2 import VideoProbed, VideoProbeFailed, VideoProbeStarted
from tocsin.media_probe.v1 import video_service_pb2 as pb
from tocsin.media_probe.v1.video_service_pb2_grpc import VideoServiceStub

MIGRATIONS = Path("services/media_probe/migrations")
KINDS: Mapping[str, type[Message]] = {
    message.DESCRIPTOR.full_name: message for message in (VideoProbed, VideoProbeFailed, VideoProbeStarted)
}
Databases = Callable[[Schemas], AbstractAsyncContextManager[str]]


@dataclass
class Service:
    """The running process, and what tests ask it."""

    environment: dict[str, str]
    nats: NatsConnection
    publisher: Publisher
    dsn: str
    videos: vs.VideoServer
    stub: VideoServiceStub
    log: Path
    events: list[Any] = field(default_factory=list)
    process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Returns once it says SERVING."""
        told = len(self.log.read_text()) if self.log.exists() else 0
        with self.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "services.media_probe", env=self.environment, stdout=log, stderr=log
            )

        async def serving() -> bool:
            assert self.process is not None
            assert self.process.returncode is None, self.log.read_text()
            return '"serving": true' in self.log.read_text()[told:]

        await eventually(serving, 20)

    async def end(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Its exit status."""
        process, self.process = self.process, None
        assert process is not None
        process.send_signal(how)
        return await process.wait()

    async def report(self, uid: str, video: str, *, event_id: str = "", timestamp: float = 1.25) -> str:
        """Publishes an alert; the id of the event."""
        alert = VideoAlertReported(uid=uid, video=video, timestamp=timestamp, store="store-1")
        event = Event(ALERT_REPORTED_SUBJECT, alert, id=event_id or f"{uid}:reported")
        await self.publisher.publish(event)
        return event.id

    async def state(self, uid: str, *states: str) -> asyncpg.Record:
        """The row of an alert once it is in one of the states."""

        async def row() -> asyncpg.Record | None:
            connection = await asyncpg.connect(self.dsn, server_settings={"search_path": SERVICE})
            try:
                return await connection.fetchrow(
                    "SELECT * FROM videos WHERE uid = $1 AND state = ANY($2::text[])", uid, list(states)
                )
            finally:
                await connection.close()

        try:
            return await eventually(row, 15)
        except AssertionError as error:
            raise AssertionError(f"{uid} is not {states}\n{self.log.read_text()}") from error

    def of(self, kind: type[Message], uid: str) -> list[Any]:
        """The events of this kind about an alert that have been published."""
        return [event for event in self.events if isinstance(event, kind) and getattr(event, "uid", "") == uid]

    async def told(self, kind: type[Message], uid: str, count: int = 1) -> list[Any]:
        """The events of this kind, once there are `count`."""
        await eventually(lambda: len(self.of(kind, uid)) >= count)
        return self.of(kind, uid)

    async def listen(self, message: Any) -> None:
        """Collects what is published about videos."""
        event = KINDS[message.headers["ce-type"]]()
        event.ParseFromString(message.data)
        self.events.append(event)


@pytest.fixture
async def service(
    databases: Databases, nats_url: str, nats_connection: NatsConnection, publisher: Publisher, tmp_path: Path
) -> AsyncIterator[Service]:
    async with running(databases, nats_url, nats_connection, publisher, tmp_path) as service:
        yield service


@asynccontextmanager
async def running(
    databases: Databases, nats_url: str, nats: NatsConnection, publisher: Publisher, tmp_path: Path, **settings: str
) -> AsyncIterator[Service]:
    issuer = DevIssuer.open(tmp_path / "auth")
    async with AsyncExitStack() as stack:
        dsn = await stack.enter_async_context(databases({SERVICE: MIGRATIONS.absolute()}))
        videos = await stack.enter_async_context(vs.video_server())
        port = free_port()
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("TOCSIN_")},
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
            "TOCSIN_POSTGRES_DSN": dsn,
            "TOCSIN_NATS_URL": nats_url,
            "TOCSIN_GRPC_LISTEN": f"127.0.0.1:{port}",
            "TOCSIN_AUTH_JWKS_FILE": str(issuer.jwks_file),
            "TOCSIN_MEDIA_PROBE_VIDEO_SERVER": videos.url,
            "TOCSIN_MEDIA_PROBE_RETRY_BASE": "50ms",
            "TOCSIN_MEDIA_PROBE_RETRY_CAP": "200ms",
            "TOCSIN_MEDIA_PROBE_MAX_ATTEMPTS": "3",
            "TOCSIN_MEDIA_PROBE_READ_TIMEOUT": "10s",
            "TOCSIN_MEDIA_PROBE_ON_DEMAND_PROBES": "1",
            "TOCSIN_MEDIA_PROBE_ACK_WAIT": "2s",
            **settings,
        }
        token = issuer.mint(["videos:read", "videos:write"])
        channel = await stack.enter_async_context(connect(f"127.0.0.1:{port}", token=lambda: token))
        stub = VideoServiceStub(channel.channel)
        service = Service(environment, nats, publisher, dsn, videos, stub, tmp_path / "service.log")
        subscription = await nats.nc.subscribe("tocsin.videos.v1.>", cb=service.listen)
        try:
            await service.start()
            yield service
        finally:
            await subscription.unsubscribe()
            if service.process is not None:
                await service.end()


async def test_an_alert_becomes_a_row_and_events(service: Service) -> None:
    service.videos.files["/cam/a.mp4"] = make_video("mp4", "libx264", audio="aac")
    await service.report("u1", "/cam/a.mp4")
    row = await service.state("u1", "PROBED")
    (probed,) = await service.told(VideoProbed, "u1")
    (started,) = await service.told(VideoProbeStarted, "u1")
    assert started.attempt == 1
    assert (probed.width, probed.height, probed.codec, probed.container) == (640, 360, "h264", "mp4")
    assert (probed.video, probed.store, probed.timestamp) == ("/cam/a.mp4", "store-1", 1.25)
    assert probed.bytes_fetched == row["bytes_fetched"] == sum(asked.sent for asked in service.videos.asked)
    video = await service.stub.GetVideo(pb.GetVideoRequest(uid="u1"))
    assert (video.state, video.width, video.height, video.attempts) == (pb.Video.PROBED, 640, 360, 1)
    assert video.requests == len(service.videos.asked)
    assert video.duration.ToTimedelta() > timedelta(0)
    assert video.HasField("update_time")
    assert await service.end() == 0


async def test_a_redelivery_has_one_effect(service: Service) -> None:
    service.videos.files["/a.mkv"] = make_video("matroska", "libx264")
    event_id = await service.report("u1", "/a.mkv")
    await service.told(VideoProbed, "u1")
    asked = len(service.videos.asked)
    # The same event under another publication, as when the publisher's acknowledgement was lost for long.
    alert = VideoAlertReported(uid="u1", video="/a.mkv", timestamp=1.25, store="store-1")
    encoded = encode(Event(ALERT_REPORTED_SUBJECT, alert, id=event_id), source="tocsin/tests")
    headers = {**encoded.headers, MESSAGE_ID: "another"}
    assert not (await service.publisher.publish_encoded(Encoded(encoded.subject, encoded.payload, headers))).duplicate
    await service.report("u2", "/a.mkv")
    await service.told(VideoProbed, "u2")
    await _settled(service)
    assert len(service.of(VideoProbed, "u1")) == 1
    assert len(service.videos.asked) == asked + 1


async def test_permanent_failures_are_recorded_told_and_dead_lettered(service: Service) -> None:
    service.videos.files["/noise.mp4"] = noise(5000)
    await service.report("u1", "/noise.mp4")
    await service.report("u2", "/nowhere.mp4")
    await service.report("u3", "http://169.254.169.254/latest/meta-data")
    for uid, reason in (("u1", "NOT_MEDIA"), ("u2", "NOT_FOUND"), ("u3", "BLOCKED_TARGET")):
        row = await service.state(uid, "FAILED")
        assert (row["failure"], row["attempts"]) == (reason, 1)
        (failed,) = await service.told(VideoProbeFailed, uid)
        assert (failed.failure, failed.attempts) == (reason, 1)
        assert failed.message
    letters = DeadLetters(service.nats, service.publisher)
    found = await eventually(lambda: _at_least(letters, 3))
    assert sorted(letter.reason.partition(":")[0] for letter in found) == ["BLOCKED_TARGET", "NOT_FOUND", "NOT_MEDIA"]
    assert len(service.of(VideoProbeFailed, "u1")) == 1

    # The way back through the dead letters: the video has been uploaded meanwhile.
    service.videos.files["/nowhere.mp4"] = make_video("mp4", "mpeg4")
    (letter,) = [letter for letter in found if letter.reason.startswith("NOT_FOUND")]
    await letters.retry(letter.sequence)
    await service.told(VideoProbed, "u2")
    assert (await service.state("u2", "PROBED"))["attempts"] == 1


async def test_malformed_alerts_are_dead_lettered_without_a_row(service: Service) -> None:
    await service.report("bad uid", "/a.mp4", event_id="e1")
    await service.report("u1", "/a\0b.mp4", event_id="e2")
    await service.report("u2", "/a.mp4", event_id="e3", timestamp=float("nan"))
    letters = DeadLetters(service.nats, service.publisher)
    found = await eventually(lambda: _at_least(letters, 3))
    assert {letter.reason for letter in found} == {
        "malformed alert: uid",
        "malformed alert: video",
        "malformed alert: timestamp",
    }
    with pytest.raises(errors.NotFound):
        await service.stub.GetVideo(pb.GetVideoRequest(uid="u1"))


async def test_passing_failures_are_retried_in_sight(service: Service) -> None:
    gate = asyncio.Event()

    async def gated(request: vs.web.Request, data: bytes) -> vs.web.StreamResponse:
        await gate.wait()
        return await service.videos.plain(request, data)

    service.videos.files["/a.mkv"] = make_video("matroska", "libx264")
    service.videos.behaviour["/a.mkv"] = vs.in_turn(vs.status(503), vs.status(429, {"Retry-After": "1"}), gated)
    loop = asyncio.get_running_loop()
    await service.report("u1", "/a.mkv")
    await eventually(lambda: len(service.videos.asked) == 2)
    second = loop.time()
    await eventually(lambda: len(service.videos.asked) == 3)
    assert loop.time() - second > 0.8  # Retry-After was honoured
    row = await service.state("u1", "RETRYING")
    assert (row["attempts"], row["failure"]) == (2, "UNREACHABLE")
    video = await service.stub.GetVideo(pb.GetVideoRequest(uid="u1"))
    assert video.state == pb.Video.RETRYING
    with pytest.raises(errors.FailedPrecondition) as caught:
        await service.stub.RetryVideo(pb.RetryVideoRequest(uid="u1"))
    assert caught.value.reason == "NOT_FAILED"
    gate.set()
    row = await service.state("u1", "PROBED")
    assert (row["attempts"], row["failure"]) == (3, None)
    assert [event.attempt for event in service.of(VideoProbeStarted, "u1")] == [1, 2, 3]


@pytest.mark.chaos
async def test_a_server_that_hangs_keeps_no_other_one_waiting(
    databases: Databases, nats_url: str, nats_connection: NatsConnection, publisher: Publisher, tmp_path: Path
) -> None:
    async with (
        vs.video_server({"hangs.mp4": b""}, {"/hangs.mp4": vs.silent}) as hanging,
        running(
            databases,
            nats_url,
            nats_connection,
            publisher,
            tmp_path,
            TOCSIN_MEDIA_PROBE_CONCURRENT_PROBES="4",
            TOCSIN_MEDIA_PROBE_ALLOWED_TARGETS=hanging.url,
        ) as service,
    ):
        service.videos.files["/good.mp4"] = make_video("mp4", "libx264")
        for number in range(20):
            await service.report(f"hangs-{number}", f"{hanging.url}/hangs.mp4")
        await eventually(lambda: len(hanging.asked) >= 3)
        began = asyncio.get_running_loop().time()
        await service.report("good", "/good.mp4")
        await service.state("good", "PROBED")
        # Those that hang are given up after 10 s; they have all the places that one server may have.
        assert asyncio.get_running_loop().time() - began < 9


async def test_retries_are_bounded_and_retry_video_begins_anew(service: Service) -> None:
    service.videos.files["/a.mkv"] = make_video("matroska", "libx264")
    service.videos.behaviour["/a.mkv"] = vs.status(500)
    await service.report("u1", "/a.mkv")
    row = await service.state("u1", "FAILED")
    assert (row["attempts"], row["failure"], row["requests"]) == (3, "UNREACHABLE", 3)
    await service.told(VideoProbeFailed, "u1")
    assert len(service.videos.asked) == 3
    del service.videos.behaviour["/a.mkv"]
    video = await service.stub.RetryVideo(pb.RetryVideoRequest(uid="u1"))
    assert (video.state, video.attempts) == (pb.Video.RETRYING, 0)
    await service.told(VideoProbed, "u1")
    assert (await service.state("u1", "PROBED"))["attempts"] == 1
    with pytest.raises(errors.NotFound):
        await service.stub.RetryVideo(pb.RetryVideoRequest(uid="nobody"))


async def test_lists_are_paged_newest_first(service: Service) -> None:
    service.videos.files["/a.mkv"] = make_video("matroska", "libx264")
    for n in range(5):
        await service.report(f"u{n}", "/a.mkv" if n % 2 else "/none", timestamp=float(n))
    for n in range(5):
        await service.state(f"u{n}", "PROBED", "FAILED")
    found: list[str] = []
    token = ""
    while True:
        page = await service.stub.ListVideos(pb.ListVideosRequest(page_size=2, page_token=token))
        found += [video.uid for video in page.videos]
        if not (token := page.next_page_token):
            break
    assert found == ["u4", "u3", "u2", "u1", "u0"]
    failed = await service.stub.ListVideos(pb.ListVideosRequest(state=pb.Video.FAILED, store="store-1"))
    assert [video.uid for video in failed.videos] == ["u4", "u2", "u0"]
    assert not (await service.stub.ListVideos(pb.ListVideosRequest(store="other"))).videos
    first = await service.stub.ListVideos(pb.ListVideosRequest(page_size=1))
    for wrong in (
        pb.ListVideosRequest(page_token=first.next_page_token, store="other"),
        pb.ListVideosRequest(page_token="x"),
    ):
        with pytest.raises(errors.InvalidArgument) as caught:
            await service.stub.ListVideos(wrong)
        assert caught.value.reason == "PAGE_TOKEN_INVALID"


async def test_probes_on_demand_store_nothing_and_are_bounded(service: Service) -> None:
    service.videos.files["/a.webm"] = make_video("webm", "libvpx")
    video = await service.stub.ProbeVideo(pb.ProbeVideoRequest(video="/a.webm"))
    assert (video.state, video.uid, video.width, video.container) == (pb.Video.PROBED, "", 640, "webm")
    blocked = await service.stub.ProbeVideo(pb.ProbeVideoRequest(video="http://localhost:1/x"))
    assert (blocked.state, blocked.failure) == (pb.Video.FAILED, pb.Video.BLOCKED_TARGET)
    service.videos.behaviour["/slow"] = vs.silent
    slow: grpc.aio.UnaryUnaryCall[Any, Any] = service.stub.ProbeVideo(pb.ProbeVideoRequest(video="/slow"))
    waiting = asyncio.ensure_future(slow)
    await eventually(lambda: service.videos.of("/slow"))
    with pytest.raises(errors.ResourceExhausted) as caught:
        await service.stub.ProbeVideo(pb.ProbeVideoRequest(video="/a.webm"))
    assert caught.value.reason == "TOO_MANY_PROBES"
    assert caught.value.retry_after == timedelta(seconds=1)
    waiting.cancel()
    await asyncio.wait([waiting])
    assert not (await service.stub.ListVideos(pb.ListVideosRequest())).videos


async def test_a_kill_in_the_middle_of_a_probe_loses_and_doubles_nothing(service: Service) -> None:
    gate = asyncio.Event()

    async def gated(request: vs.web.Request, data: bytes) -> vs.web.StreamResponse:
        await gate.wait()
        return await service.videos.plain(request, data)

    video = make_video("matroska", "libx264")
    for n in range(4):
        service.videos.files[f"/{n}.mkv"] = video
        service.videos.behaviour[f"/{n}.mkv"] = gated
    for n in range(4):
        await service.report(f"u{n}", f"/{n}.mkv")
    await eventually(lambda: len(service.videos.asked) == 4)
    workers = _children(service)
    assert workers
    await service.end(signal.SIGKILL)
    # No orphan stays behind.
    await eventually(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers))
    gate.set()
    await service.start()
    for n in range(4):
        await service.state(f"u{n}", "PROBED")
        await service.told(VideoProbed, f"u{n}")
    await _settled(service)
    assert [len(service.of(VideoProbed, f"u{n}")) for n in range(4)] == [1, 1, 1, 1]


@pytest.mark.chaos
async def test_a_database_that_goes_away_costs_no_attempt_and_no_result(
    postgres_servers: Callable[[], PostgresServer],
    nats_url: str,
    nats_connection: NatsConnection,
    publisher: Publisher,
    tmp_path: Path,
) -> None:
    postgres = await asyncio.to_thread(postgres_servers)
    async with running(postgres.database, nats_url, nats_connection, publisher, tmp_path) as service:
        gate = asyncio.Event()

        async def gated(request: vs.web.Request, data: bytes) -> vs.web.StreamResponse:
            await gate.wait()
            return await service.videos.plain(request, data)

        service.videos.files["/a.mkv"] = make_video("matroska", "libx264")
        service.videos.behaviour["/a.mkv"] = gated
        await service.report("u1", "/a.mkv")
        await eventually(lambda: service.videos.asked)
        await asyncio.to_thread(postgres.crash)
        gate.set()
        await eventually(lambda: "message.postponed" in service.log.read_text())
        await asyncio.to_thread(postgres.start)
        row = await service.state("u1", "PROBED")
        assert row["attempts"] == 1
        await service.told(VideoProbed, "u1")
        await _settled(service)
        assert len(service.of(VideoProbed, "u1")) == 1
        assert not await DeadLetters(service.nats, service.publisher).list(service=SERVICE)
        assert await service.end() == 0


async def _at_least(letters: DeadLetters, count: int) -> Any:
    found = await letters.list(service=SERVICE)
    return found if len(found) >= count else None


async def _settled(service: Service) -> None:
    """Returns once every alert is acknowledged or given up."""

    async def none_left() -> bool:
        info = await service.nats.js.consumer_info("ALERTS", f"{SERVICE}_alerts")
        return not info.num_ack_pending and not info.num_pending

    await eventually(none_left)


def _children(service: Service) -> list[int]:
    assert service.process is not None
    text = Path(f"/proc/{service.process.pid}/task/{service.process.pid}/children").read_text()
    return [int(pid) for pid in text.split()]
