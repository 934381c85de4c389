"""The ranged reader against a real server, well and badly behaved."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import aiohttp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.chassis.net_guard import AddressGuard
from services.chassis.origins import Origin, Targets
from services.media_probe.adapters.http.remote_file import FileBudget, RemoteFile
from services.media_probe.adapters.http.video_source import HttpOptions, open_http_source
from services.media_probe.domain.failure import Failure, ProbeFailed
from services.media_probe.domain.target import TargetRule
from tests.integration.media_probe.conftest import OpenRig
from tests.support import video_server as vs
from tests.support.videos import noise

FILE = noise(200_000)


async def fails(file: RemoteFile, offset: int = 0, length: int = 1000) -> ProbeFailed:
    with pytest.raises(ProbeFailed) as caught:
        await file.read(offset, length)
    return caught.value


@settings(max_examples=25, deadline=None)
@given(
    reads=st.lists(
        st.tuples(st.integers(0, 50_000), st.integers(1, 9000), st.integers(0, 5000)), min_size=1, max_size=8
    ),
    size=st.integers(1, 45_000),
    behaviour=st.sampled_from([None, vs.whole(), vs.whole(chunked=True), vs.whole(zipped=True)]),
)
def test_reads_are_the_files_bytes(
    reads: Sequence[tuple[int, int, int]], size: int, behaviour: vs.Misbehave | None
) -> None:
    async def run() -> None:
        data = FILE[:size]
        async with vs.video_server({"f": data}, {"/f": behaviour} if behaviour else None) as server:
            allowed = Targets.of([Origin.of(server.url)])
            target, guard = TargetRule(server.url, allowed), AddressGuard(allowed)
            budget = FileBudget(max_bytes=1 << 20, max_requests=40)
            async with (
                open_http_source(guard, target, budget, HttpOptions()) as source,
                source.open(f"{server.url}/f") as file,
            ):
                for offset, length, ahead in reads:
                    assert await file.read(offset, length, ahead) == data[offset : offset + length]
                assert file.effort.requests == len(server.asked)
                if behaviour is None:
                    assert file.effort.bytes_fetched == sum(asked.sent for asked in server.asked)

    asyncio.run(run())


async def test_what_is_known_is_not_fetched_again_and_the_connection_is_kept(open_rig: OpenRig) -> None:
    async with vs.video_server({"f": FILE}) as server, open_rig(server) as rig:
        async with rig.source.open(f"{server.url}/f") as file:
            await file.read(0, 1000)
            await file.read(100, 500)
            await file.read(500, 1000)
            await file.read(150_000, 100)
            assert await file.read(199_990, 100) == FILE[199_990:]
            assert file.size == len(FILE)
        ranges = [asked.range for asked in server.asked]
        assert ranges == ["bytes=0-999", "bytes=1000-1499", "bytes=150000-150099", "bytes=199990-200089"]
        assert server.asked[0].if_range == ""
        assert all(asked.if_range for asked in server.asked[1:])
        assert len(server.connections) == 1


async def test_a_server_without_ranges_is_read_no_further_than_needed(open_rig: OpenRig) -> None:
    big = noise(8_000_000)
    async with (
        vs.video_server({"f": big}, {"/f": vs.whole()}) as server,
        open_rig(server) as rig,
        rig.source.open(f"{server.url}/f") as file,
    ):
        assert await file.read(0, 1000) == big[:1000]
        assert await file.read(30_000, 1000) == big[30_000:31_000]
        assert file.effort.requests == 1
        assert file.effort.bytes_fetched < 1_000_000


async def test_an_endless_body_is_cut(open_rig: OpenRig) -> None:
    async with (
        vs.video_server({"f": FILE}, {"/f": vs.endless}) as server,
        open_rig(server, max_bytes=1 << 19) as rig,
        rig.source.open(f"{server.url}/f") as file,
    ):
        assert await file.read(0, 1000) == FILE[:1000]
        assert (await fails(file, 5_000_000)).failure is Failure.BUDGET_EXCEEDED
        assert file.effort.bytes_fetched < 2 << 19


async def test_a_zip_bomb_is_within_the_budget(open_rig: OpenRig) -> None:
    bomb = b"\0" * 50_000_000
    async with (
        vs.video_server({"f": bomb}, {"/f": vs.whole(zipped=True)}) as server,
        open_rig(server, max_bytes=1 << 19) as rig,
        rig.source.open(f"{server.url}/f") as file,
    ):
        assert (await fails(file, 40_000_000)).failure is Failure.BUDGET_EXCEEDED
        assert file.effort.bytes_fetched <= (1 << 19) + 65536


async def test_the_budget_of_requests(open_rig: OpenRig) -> None:
    async with (
        vs.video_server({"f": FILE}) as server,
        open_rig(server, max_requests=3) as rig,
        rig.source.open(f"{server.url}/f") as file,
    ):
        for offset in (0, 50_000, 100_000):
            await file.read(offset, 10)
        assert (await fails(file, 150_000)).failure is Failure.BUDGET_EXCEEDED
        assert len(server.asked) == 3


async def test_a_part_that_begins_earlier_or_ends_earlier_is_used(open_rig: OpenRig) -> None:
    async def stingy(request: aiohttp.web.Request, data: bytes) -> aiohttp.web.StreamResponse:
        start = max(0, (request.http_range.start or 0) - 7)
        return await vs.claims(f"bytes {start}-{start + 99}/{len(data)}", body=data[start : start + 100])(request, data)

    async with (
        vs.video_server({"f": FILE}, {"/f": stingy}) as server,
        open_rig(server) as rig,
        rig.source.open(f"{server.url}/f") as file,
    ):
        assert await file.read(1000, 300) == FILE[1000:1300]


@pytest.mark.parametrize(
    ("behaviour", "failure", "transient"),
    [
        (vs.status(404), Failure.NOT_FOUND, False),
        (vs.status(500), Failure.UNREACHABLE, True),
        (vs.status(403), Failure.UNREACHABLE, False),
        (vs.claims("bytes 5000-5999/200000"), Failure.UNREACHABLE, False),
        (vs.claims(None), Failure.UNREACHABLE, False),
        (vs.claims("bytes 0-999/200000", more={"Content-Encoding": "gzip"}), Failure.UNREACHABLE, False),
        (vs.claims("bytes 0-999/200000", body=b""), Failure.UNREACHABLE, True),
        (vs.status(200, {"Content-Encoding": "br"}), Failure.UNREACHABLE, False),
        (vs.dropped, Failure.UNREACHABLE, True),
        (vs.moved("http://localhost:1/x"), Failure.BLOCKED_TARGET, False),
        (vs.moved("http://169.254.169.254/x"), Failure.BLOCKED_TARGET, False),
        (vs.moved("file:///etc/passwd"), Failure.BLOCKED_TARGET, False),
        (vs.moved("/f"), Failure.UNREACHABLE, False),
    ],
)
async def test_bad_answers_are_typed(
    open_rig: OpenRig, behaviour: vs.Misbehave, failure: Failure, transient: bool
) -> None:
    async with (
        vs.video_server({"f": FILE}, {"/f": behaviour}) as server,
        open_rig(server) as rig,
        rig.source.open(f"{server.url}/f") as file,
    ):
        error = await fails(file)
    assert (error.failure, error.transient) == (failure, transient), error


@pytest.mark.parametrize(("after", "reset"), [(3000, False), (0, False), (500, True)])
async def test_a_cut_answer_is_called_one(open_rig: OpenRig, after: int, reset: bool) -> None:
    async with (
        vs.video_server({"f": FILE}, {"/f": vs.cut(after, reset=reset)}) as server,
        open_rig(server) as rig,
        rig.source.open(f"{server.url}/f") as file,
    ):
        with pytest.raises(ProbeFailed) as caught:
            await file.read(0, 16_384)
    assert (caught.value.failure, caught.value.transient) == (Failure.UNREACHABLE, True)
    assert caught.value.message == "the video server cut its answer short"


async def test_a_redirect_on_the_same_origin_is_followed_once(open_rig: OpenRig) -> None:
    async with (
        vs.video_server({"real": FILE}, {"/f": vs.moved("/real", 307)}) as server,
        open_rig(server) as rig,
        rig.source.open(f"{server.url}/f") as file,
    ):
        await file.read(0, 10)
        assert await file.read(5000, 10) == FILE[5000:5010]
        assert [asked.path for asked in server.asked] == ["/f", "/real", "/real"]
        assert file.effort.requests == 3


async def test_a_file_that_changes_in_between_is_noticed(open_rig: OpenRig) -> None:
    for etags in (True, False):
        async with (
            vs.video_server({"f": FILE}) as server,
            open_rig(server) as rig,
            rig.source.open(f"{server.url}/f") as file,
        ):
            server.etags = etags
            await file.read(0, 1000)
            server.files["/f"] = noise(150_000)
            error = await fails(file, 100_000)
            assert (error.failure, error.transient) == (Failure.UNREACHABLE, True)


async def test_a_silent_server_times_out(open_rig: OpenRig) -> None:
    async with (
        vs.video_server({"f": FILE}, {"/f": vs.silent}) as server,
        open_rig(server, read_timeout=timedelta(milliseconds=100)) as rig,
        rig.source.open(f"{server.url}/f") as file,
    ):
        error = await fails(file)
    assert (error.failure, error.transient) == (Failure.TIMEOUT, True)


async def test_a_refused_connection_is_transient(open_rig: OpenRig) -> None:
    async with vs.video_server({}) as server:
        pass
    async with open_rig(server) as rig, rig.source.open(f"{server.url}/f") as file:
        error = await fails(file)
    assert (error.failure, error.transient) == (Failure.UNREACHABLE, True)


async def test_a_name_that_leads_inside_is_blocked_at_connect_time() -> None:
    asked: list[str] = []

    async def resolve(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) > 1 else ["127.0.0.1", "1.1.1.1"]

    async with vs.video_server({"f": FILE}) as server:
        port = Origin.of(server.url).port
        url = f"http://videos.example:{port}"
        origins = Targets.of([Origin.of(url)])
        allowed = TargetRule(url, origins)
        for trusted, blocked in ((Targets(), True), (origins, False)):
            guard = AddressGuard(trusted, resolve=resolve)
            async with (
                open_http_source(guard, allowed, FileBudget(), HttpOptions()) as source,
                source.open(f"{url}/f") as file,
            ):
                if blocked:
                    error = await fails(file)
                    assert (error.failure, error.transient) == (Failure.BLOCKED_TARGET, False)
                    assert server.asked == []
                else:
                    assert await file.read(0, 10) == FILE[:10]
        assert asked == ["videos.example", "videos.example"]
