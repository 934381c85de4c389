import asyncio

import grpc.aio
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from services.chassis.auth.dev_issuer import DevIssuer
from services.chassis.errors import AlreadyExists, DomainError, InvalidArgument, NotFound
from services.chassis.grpc.status import unpack
from services.chassis.nats import Event, Publisher
from services.chassis.nats.topology import ALERTS, VIDEO_FAILED_SUBJECT, VIDEO_PROBED_SUBJECT, VIDEO_STARTED_SUBJECT
from services.chassis.paging import PageTokens
from tests.integration.ingestion.conftest import World, started
from tests.support.eventually import eventually
from tocsin.events.v1 import alerts_pb2, videos_pb2
from tocsin.ingestion.v1 import alert_service_pb2 as pb

State = pb.Alert.State


def request(uid: str = "UID-1234", **changes: object) -> pb.CreateAlertRequest:
    fields = {"video": "/videos/test.avi", "timestamp": 1_720_000_000.5, "store": "store-42"} | changes
    return pb.CreateAlertRequest(uid=uid, **fields)  # pyright: ignore


async def failure(call: object) -> DomainError:
    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await call  # pyright: ignore
    return unpack(refusal.value)


async def reported(world: World) -> list[alerts_pb2.VideoAlertReported]:
    state = (await world.nats.js.stream_info(ALERTS)).state
    messages = [await world.nats.js.get_msg(ALERTS, n) for n in range(1, state.last_seq + 1)]
    return [alerts_pb2.VideoAlertReported.FromString(message.data or b"") for message in messages]


async def relayed(world: World) -> bool:
    async with world.database.connection() as connection:
        return not await connection.fetchval("SELECT EXISTS (SELECT FROM outbox)")


async def test_an_alert_is_accepted_once_and_reported_once(world: World) -> None:
    answers = await asyncio.gather(*(world.alerts.CreateAlert(request(), metadata=world.me) for _ in range(10)))
    assert {answer.SerializeToString() for answer in answers} == {answers[0].SerializeToString()}
    assert (answers[0].state, answers[0].timestamp) == (State.ACCEPTED, 1_720_000_000.5)
    await eventually(lambda: reported(world))
    assert await reported(world) == [
        alerts_pb2.VideoAlertReported(
            uid="UID-1234", video="/videos/test.avi", timestamp=1_720_000_000.5, store="store-42"
        )
    ]
    error = await failure(world.alerts.CreateAlert(request(video="/other.avi"), metadata=world.me))
    assert isinstance(error, AlreadyExists)
    assert error.metadata["id"] == "UID-1234"
    assert error.message == "there is an alert UID-1234 already, with other content"
    assert isinstance(await failure(world.alerts.GetAlert(pb.GetAlertRequest(uid="x"), metadata=world.me)), NotFound)


async def test_its_state_follows_the_video(world: World) -> None:
    publisher = Publisher(world.nats, source="tocsin/tests")
    for uid in ("u1", "u2"):
        await world.alerts.CreateAlert(request(uid), metadata=world.me)

    async def state(uid: str) -> tuple[int, str]:
        found = await world.alerts.GetAlert(pb.GetAlertRequest(uid=uid), metadata=world.me)
        return found.state, found.reason

    async def becomes(uid: str, wanted: int, reason: str = "") -> None:
        async def arrived() -> bool:
            return await state(uid) == (wanted, reason)

        await eventually(arrived)

    await publisher.publish(Event(VIDEO_STARTED_SUBJECT, videos_pb2.VideoProbeStarted(uid="u1", attempt=1)))
    await becomes("u1", State.PROBING)
    await publisher.publish(Event(VIDEO_PROBED_SUBJECT, videos_pb2.VideoProbed(uid="u1", width=640, height=480)))
    await becomes("u1", State.PROBED)
    await publisher.publish(Event(VIDEO_FAILED_SUBJECT, videos_pb2.VideoProbeFailed(uid="u2", failure="NOT_MEDIA")))
    await becomes("u2", State.FAILED, "NOT_MEDIA")
    for uid in ("u1", "u2", "unknown"):
        await publisher.publish(Event(VIDEO_STARTED_SUBJECT, videos_pb2.VideoProbeStarted(uid=uid, attempt=2)))
    await world.alerts.CreateAlert(request("u3"), metadata=world.me)
    await publisher.publish(Event(VIDEO_STARTED_SUBJECT, videos_pb2.VideoProbeStarted(uid="u3", attempt=1)))
    await becomes("u3", State.PROBING)
    assert await state("u1") == (State.PROBED, "")
    assert await state("u2") == (State.FAILED, "NOT_MEDIA")


async def test_a_history_names_the_services_that_do_not_answer(world: World) -> None:
    made = await world.alerts.CreateAlert(request(), metadata=world.me)
    told = await world.alerts.GetAlertHistory(pb.GetAlertHistoryRequest(uid="UID-1234"), metadata=world.me)
    assert [(entry.kind, entry.time) for entry in told.entries] == [
        (pb.GetAlertHistoryResponse.ACCEPTED, made.create_time)
    ]
    assert list(told.missing) == ["media_probe", "notification"]


async def test_lists_are_filtered_and_paged(world: World) -> None:
    for number in range(5):
        await world.alerts.CreateAlert(request(f"u{number}", store=f"s{number % 2}"), metadata=world.me)
    seen: list[str] = []
    token = ""
    while True:
        page = await world.alerts.ListAlerts(
            pb.ListAlertsRequest(page_size=2, page_token=token, store="s0", state=State.ACCEPTED), metadata=world.me
        )
        seen += [alert.uid for alert in page.alerts]
        token = page.next_page_token
        if not token:
            break
        other = pb.ListAlertsRequest(page_size=2, page_token=token, store="s1")
        assert (await failure(world.alerts.ListAlerts(other, metadata=world.me))).reason == "PAGE_TOKEN_INVALID"
    assert seen == ["u4", "u2", "u0"]
    late = pb.ListAlertsRequest(to=Timestamp(seconds=1_720_000_000))
    assert not (await world.alerts.ListAlerts(late, metadata=world.me)).alerts
    within = pb.ListAlertsRequest(to=Timestamp(seconds=1_720_000_001))
    getattr(within, "from").FromSeconds(1_720_000_000)
    assert len((await world.alerts.ListAlerts(within, metadata=world.me)).alerts) == 5
    forged = PageTokens("alerts", store="", state=0, since=None, until=None).make((1e9, "no id"))
    error = await failure(world.alerts.ListAlerts(pb.ListAlertsRequest(page_token=forged), metadata=world.me))
    assert error.reason == "PAGE_TOKEN_INVALID"


async def test_each_alert_of_a_batch_is_judged_alone(world: World) -> None:
    await world.alerts.CreateAlert(request("known"), metadata=world.me)
    await eventually(lambda: relayed(world))
    items = [
        request("u1"),
        request("a.b", video=""),
        request("known", video="/other.avi"),
        request("known"),
        request("u2", video="https://evil.example/a.mp4"),
        request("u3", store="s3"),
        request("u3", store="another"),
    ]
    batch = pb.BatchCreateAlertsRequest(alerts=items, dry_run=True)
    before = await world.footprint()
    would = await world.alerts.BatchCreateAlerts(batch, metadata=world.me)
    assert await world.footprint() == before
    batch.dry_run = False
    answer = await world.alerts.BatchCreateAlerts(batch, metadata=world.me)
    assert [(alert.uid, alert.state) for alert in answer.alerts] == [
        (uid, State.ACCEPTED) for uid in ("u1", "known", "u3")
    ]
    refused = {item.index: item for item in answer.rejections}
    assert {index: (item.reason, item.field, item.code) for index, item in refused.items()} == {
        1: ("INVALID_FIELD", "uid", 3),
        2: ("ALREADY_EXISTS", "", 6),
        4: ("VIDEO_NOT_ALLOWED", "video", 3),
        6: ("ALREADY_EXISTS", "", 6),
    }
    assert {violation.field for violation in refused[1].violations} == {"uid", "video"}
    assert refused[2].metadata["id"] == "known"
    # A dry run knows nothing of the neighbours: it compares with what is stored.
    assert [item.index for item in would.rejections] == [1, 2, 4]
    assert len(await eventually(lambda: _all_reported(world, 3))) == 3
    again = await world.alerts.BatchCreateAlerts(pb.BatchCreateAlertsRequest(alerts=items[:1]), metadata=world.me)
    assert again.alerts == answer.alerts[:1]
    for size in (0, 1001):
        error = await failure(
            world.alerts.BatchCreateAlerts(pb.BatchCreateAlertsRequest(alerts=items[:1] * size), metadata=world.me)
        )
        assert isinstance(error, InvalidArgument)


async def _all_reported(world: World, count: int) -> list[alerts_pb2.VideoAlertReported]:
    found = await reported(world)
    return found if len(found) >= count else []


async def test_a_dry_run_judges_and_stores_nothing(world: World) -> None:
    await world.alerts.CreateAlert(request("known"), metadata=world.me)
    await eventually(lambda: relayed(world))
    before = await world.footprint()

    async def tried(uid: str, **changes: object) -> pb.Alert:
        return await world.alerts.CreateAlert(request(uid, dry_run=True, **changes), metadata=world.me)

    new = await tried("new")
    assert (new.uid, new.state, new.HasField("create_time")) == ("new", State.STATE_UNSPECIFIED, False)
    assert (await tried("known")).state == State.ACCEPTED
    assert isinstance(await failure(tried("known", store="other")), AlreadyExists)
    assert (await failure(tried("new", video="https://evil.example/a.mp4"))).reason == "VIDEO_NOT_ALLOWED"
    assert isinstance(await failure(world.alerts.GetAlert(pb.GetAlertRequest(uid="new"), metadata=world.me)), NotFound)
    assert await world.footprint() == before


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"uid": ""}, "uid"),
        ({"uid": "a.b"}, "uid"),
        ({"uid": "x" * 64}, "uid"),
        ({"video": ""}, "video"),
        ({"video": "/a b"}, "video"),
        ({"video": "/a\0"}, "video"),
        ({"video": "/../etc/passwd"}, "video"),
        ({"video": "/%2e%2e/x"}, "video"),
        ({"video": "//evil.example/x"}, "video"),
        ({"video": "https://evil.example/x"}, "video"),
        ({"video": "http://u:p@videos.example/x"}, "video"),
        ({"video": "file:///x"}, "video"),
        ({"video": "/x#y"}, "video"),
        ({"video": "/" + "x" * 2048}, "video"),
        ({"timestamp": 0.0}, "timestamp"),
        ({"timestamp": float("nan")}, "timestamp"),
        ({"timestamp": float("inf")}, "timestamp"),
        ({"timestamp": 4e12}, "timestamp"),
        ({"store": ""}, "store"),
        ({"store": "s>"}, "store"),
    ],
)
async def test_a_bad_alert_is_refused_and_changes_nothing(world: World, changes: dict[str, object], field: str) -> None:
    before = await world.footprint()
    error = await failure(world.alerts.CreateAlert(request(**({"uid": "u1"} | changes)), metadata=world.me))  # pyright: ignore
    assert isinstance(error, InvalidArgument)
    assert {v.field for v in error.violations} == {field}
    assert await world.footprint() == before


async def test_what_media_probe_may_fetch_may_be_reported(ingestion_dsn: str, streams: str, issuer: DevIssuer) -> None:
    settings = {
        "TOCSIN_MEDIA_PROBE_VIDEO_SERVER": "http://127.0.0.1:9803/base",
        "TOCSIN_MEDIA_PROBE_ALLOWED_ORIGINS": "https://videos.example",
        "TOCSIN_MEDIA_PROBE_ALLOWED_TARGETS": "http://10.0.0.5:8080",
    }
    async with started(ingestion_dsn, streams, issuer, **settings) as world:
        urls = ("http://127.0.0.1:9803/a.mp4", "https://videos.example/a.mp4", "http://10.0.0.5:8080/a.mp4")
        for number, url in enumerate((*urls, "/a.avi?u=http://evil.example/")):
            await world.alerts.CreateAlert(request(f"u{number}", video=url), metadata=world.me)
        other = world.alerts.CreateAlert(request("other", video="http://127.0.0.1:9804/a.mp4"), metadata=world.me)
        assert (await failure(other)).reason == "VIDEO_NOT_ALLOWED"


async def test_allowed_origins_are_allowed(ingestion_dsn: str, streams: str, issuer: DevIssuer) -> None:
    origins = "https://videos.example, http://10.0.0.5:8080"
    async with started(ingestion_dsn, streams, issuer, video_origins=origins) as world:
        await world.alerts.CreateAlert(request(video="https://videos.example/a.mp4"), metadata=world.me)
        other = world.alerts.CreateAlert(request("u2", video="https://evil.example/a.mp4"), metadata=world.me)
        assert (await failure(other)).reason == "VIDEO_NOT_ALLOWED"
