"""Real videos through the whole prober: ranged HTTP, isolated workers."""

import asyncio
import os
import signal
from datetime import timedelta
from pathlib import Path

import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from services.media_probe.application.ports import Piece
from services.media_probe.domain.container_formats import Container
from services.media_probe.domain.failure import Failure, ProbeFailed
from services.media_probe.domain.video import Inspection
from tests.integration.media_probe.conftest import OpenRig
from tests.support import video_server as vs
from tests.support.eventually import eventually
from tests.support.videos import FASTSTART, PNG, corpus, lengthened, make_audio, make_video, noise, remuxed, with_text


async def test_every_container_tells_its_size_from_few_bytes(open_rig: OpenRig) -> None:
    files = corpus()
    async with vs.video_server(files) as server, open_rig(server) as rig:
        for name, data in files.items():
            outcome = await rig.prober.probe(f"/{name}")
            assert outcome.facts is not None, (name, outcome.error)
            facts = outcome.facts
            assert (facts.width, facts.height, facts.coded_width, facts.coded_height) == (640, 360, 640, 360), name
            assert facts.codec, name
            if name != "a.mpg":  # its packets do not tell the size before a whole picture (of noise) has passed
                assert outcome.effort.bytes_fetched <= min(64 * 1024, len(data)), name
                assert outcome.effort.requests <= 2, name
            if name.endswith((".mp4", ".mov", ".mkv", ".avi", ".webm", ".flv")) and name != "fragmented.mp4":
                assert facts.duration is not None, name
                assert timedelta(seconds=0.3) < facts.duration < timedelta(seconds=2), name
                assert facts.frame_rate == pytest.approx(25), name
            else:
                assert name.endswith((".ts", ".mpg")) == (facts.container in ("mpegts", "mpeg")), name


async def test_every_other_kind_that_libav_reads_tells_its_size(open_rig: OpenRig) -> None:
    noisy = {
        "raw.h264": ("h264", "libx264"),
        "raw.h265": ("hevc", "libx265"),
        "raw.m2v": ("mpeg2video", "mpeg2video"),
        "raw.m4v": ("m4v", "mpeg4"),
        "vp8.ivf": ("ivf", "libvpx"),
        "av1.ivf": ("ivf", "libsvtav1"),
        "a.mxf": ("mxf", "mpeg2video"),
        "a.nut": ("nut", "mpeg4"),
        "a.asf": ("asf", "wmv2"),
        "a.y4m": ("yuv4mpegpipe", "rawvideo"),
        "a.webp": ("webp", "libwebp_anim"),
    }
    files = {name: make_video(container, codec, frames=4) for name, (container, codec) in noisy.items()}
    files["a.dv"] = make_video("dv", "dvvideo", frames=2, size=(720, 576))
    files["junk.ts"] = bytes(77) + make_video("mpegts", "libx264")
    files["junk.mpg"] = bytes(4) + make_video("mpeg", "mpeg2video")
    async with vs.video_server(files) as server, open_rig(server) as rig:
        for name in files:
            outcome = await rig.prober.probe(f"/{name}")
            assert outcome.facts is not None, (name, outcome.error)
            expected = (768, 576) if name == "a.dv" else (640, 360)
            assert (outcome.facts.width, outcome.facts.height) == expected, name
            assert outcome.facts.codec, name
            assert outcome.effort.bytes_fetched <= 64 * 1024 or name == "junk.mpg", name


async def test_the_same_video_again_costs_one_request_and_no_bytes(open_rig: OpenRig) -> None:
    small, large = make_video("mp4", "libx264", audio="aac", frames=30), make_video("mp4", "libx264", size=(1280, 720))
    async with vs.video_server({"a.mp4": small}) as server, open_rig(server) as rig:
        first = await rig.prober.probe("/a.mp4")
        again = await rig.prober.probe("/a.mp4")
        assert (again.facts, again.effort.bytes_fetched, again.effort.requests) == (first.facts, 0, 1)
        server.files["/a.mp4"] = large
        changed = await rig.prober.probe("/a.mp4")
        assert changed.facts is not None
        assert (changed.facts.width, changed.effort.bytes_fetched > 0) == (1280, True)
        assert (await rig.prober.probe("/a.mp4")).effort.bytes_fetched == 0
        server.etags = False  # nobody vouches for the bytes
        for _ in range(2):
            assert (await rig.prober.probe("/a.mp4")).effort.bytes_fetched > 0


async def test_an_index_at_the_end_is_one_jump_over_the_media(open_rig: OpenRig) -> None:
    video = make_video("mp4", "libx264", audio="aac", frames=30)
    # Half a gigabyte of media, of which nothing exists: the walk must not touch it.
    media = video.index(b"mdat") - 4
    size = int.from_bytes(video[media : media + 4], "big")
    padded = size + 500_000_000

    async def sparse(request: vs.web.Request, data: bytes) -> vs.web.StreamResponse:
        asked = request.http_range
        start = asked.start or 0
        total = len(video) + 500_000_000
        stop = min(asked.stop or total, total)
        body = bytearray()
        for at in range(start, stop):
            body.append(video[at] if at < media + 100 else 0 if at < media + padded else video[at - 500_000_000])
        if start <= media < stop:
            body[media - start : media - start + 4] = padded.to_bytes(4, "big")
        return await vs.claims(f"bytes {start}-{stop - 1}/{total}", body=bytes(body))(request, data)

    async with vs.video_server({"big.mp4": b""}, {"/big.mp4": sparse}) as server, open_rig(server) as rig:
        outcome = await rig.prober.probe("/big.mp4")
    assert outcome.facts is not None, outcome.error
    assert (outcome.facts.width, outcome.facts.height) == (640, 360)
    assert outcome.effort.requests == 2
    assert outcome.effort.bytes_fetched < 64 * 1024


async def test_the_large_index_of_a_long_recording_is_not_read_as_a_whole(open_rig: OpenRig) -> None:
    files = {
        f"{place}-{codec}.mp4": lengthened("mp4", codec, 1200, options)
        for place, options in (("first", FASTSTART), ("last", ()))
        for codec in ("libx264", "mpeg4")
    }
    async with vs.video_server(files) as server, open_rig(server) as rig:
        for name, data in files.items():
            assert len(data) - data.rindex(b"moov") > 64 * 1024 or name.startswith("first")
            outcome = await rig.prober.probe(f"/{name}")
            facts = outcome.facts
            assert facts is not None, (name, outcome.error)
            assert (facts.width, facts.height, facts.frame_rate) == (160, 120, 25), name
            assert facts.duration == timedelta(seconds=1200), name
            assert outcome.effort.requests == (1 if name.startswith("first") else 2), name
            assert outcome.effort.bytes_fetched < 64 * 1024, name


async def test_rotation_and_sample_aspect_ratio(open_rig: OpenRig) -> None:
    files = {
        "turned.mp4": make_video("mp4", "libx264", rotation=90),
        "turned.mkv": make_video("matroska", "libx264", rotation=90),
        "upside.mp4": make_video("mp4", "libx264", rotation=180),
        "wide.mp4": make_video("mp4", "mpeg4", sample_aspect=(4, 3), size=(720, 576)),
    }
    async with vs.video_server(files) as server, open_rig(server) as rig:
        seen = {name: (await rig.prober.probe(f"/{name}")).facts for name in files}
    told = {
        name: (facts.width, facts.height, facts.coded_width, facts.coded_height, facts.rotation)
        for name, facts in seen.items()
        if facts is not None
    }
    assert told == {
        # libav's angle is counter-clockwise, ours is clockwise.
        "turned.mp4": (360, 640, 640, 360, 270),
        "turned.mkv": (360, 640, 640, 360, 270),
        "upside.mp4": (640, 360, 640, 360, 180),
        "wide.mp4": (960, 576, 720, 576, 0),
    }


async def test_the_codec_tells_the_size_and_the_shape_of_a_pixel_where_containers_do_not(open_rig: OpenRig) -> None:
    tall = make_video("matroska", "libx264", size=(1920, 1080), frames=2)
    aligned = tall.replace(b"\xba\x82\x04\x38", b"\xba\x82\x04\x40")
    recorder = make_video("avi", "libx264", size=(1920, 1080), frames=2)
    height, rounded = (1080).to_bytes(4, "little"), (1088).to_bytes(4, "little")
    at = recorder.index(b"strf") + 16
    assert (recorder[at : at + 4], tall != aligned) == (height, True)
    wide = {"sample_aspect": (16, 11), "size": (720, 576)}
    files = {
        "h264.ts": (make_video("mpegts", "libx264", **wide), (1047, 576)),
        "hevc.ts": (make_video("mpegts", "libx265", **wide), (1047, 576)),
        "h264.flv": (make_video("flv", "libx264", **wide), (1047, 576)),
        "h264.avi": (make_video("avi", "libx264", **wide), (1047, 576)),
        "h264.mkv": (make_video("matroska", "libx264", **wide), (1047, 576)),
        "mpeg2.ts": (make_video("mpegts", "mpeg2video", sample_aspect=(16, 15), size=(720, 576)), (768, 576)),
        "mpeg2.mpg": (make_video("mpeg", "mpeg2video", sample_aspect=(16, 15), size=(720, 576)), (768, 576)),
        "aligned.mkv": (aligned, (1920, 1080)),
        "aligned.avi": (recorder[:at] + rounded + recorder[at + 4 :], (1920, 1080)),
        "h263.3gp": (make_video("3gp", "h263", size=(352, 288)), (352, 288)),
        "sorenson.flv": (make_video("flv", "flv", size=(320, 240)).replace(b"onMetaData", b"offMetaDat"), (320, 240)),
    }
    async with vs.video_server({name: data for name, (data, _) in files.items()}) as server, open_rig(server) as rig:
        for name, (_, expected) in files.items():
            outcome = await rig.prober.probe(f"/{name}")
            assert outcome.facts is not None, (name, outcome.error)
            assert (outcome.facts.width, outcome.facts.height) == expected, name


def _matrix(video: bytes, matrix: bytes) -> bytes:
    """The video with another matrix in its first track (version 0 of `tkhd`)."""
    at = video.index(b"tkhd") + 44
    return video[:at] + matrix + video[at + len(matrix) :]


async def test_only_the_matrix_of_the_track_turns_a_picture(open_rig: OpenRig) -> None:
    turned = make_video("mp4", "libx264", rotation=90)
    text = (
        ("title", "fixed rotation of 180 degrees"),
        ("comment", "a\n      Display Matrix: rotation of 45.00 degrees"),
    )
    zero, one = bytes(4), (1 << 16).to_bytes(4, "big")
    files = {
        "title.mp4": (remuxed([turned], metadata=text), (360, 640, 270)),
        "words.mp4": (remuxed([make_video("mp4", "libx264")], metadata=text), (640, 360, 0)),
        "key.mkv": (
            remuxed([turned], "matroska", metadata=(("Display Matrix: rotation of 0.00 degrees", ""),)),
            (360, 640, 270),
        ),
        "second.mp4": (remuxed([make_video("mp4", "libx264"), turned]), (640, 360, 0)),
        "first.mp4": (remuxed([turned, make_video("mp4", "libx264")]), (360, 640, 270)),
        "nothing.mp4": (_matrix(turned, bytes(36)), (640, 360, 0)),
        "column.mp4": (_matrix(turned, zero + one + bytes(8) + one + bytes(12) + b"\x40\0\0\0"), (640, 360, 0)),
        "row.mp4": (_matrix(turned, bytes(12) + one + one + bytes(12) + b"\x40\0\0\0"), (640, 360, 0)),
    }
    async with vs.video_server({name: data for name, (data, _) in files.items()}) as server, open_rig(server) as rig:
        for name, (_, expected) in files.items():
            outcome = await rig.prober.probe(f"/{name}")
            assert outcome.facts is not None, (name, outcome.error)
            assert (outcome.facts.width, outcome.facts.height, outcome.facts.rotation) == expected, name


async def test_every_kind_of_stream_is_taken_in_the_jail(open_rig: OpenRig) -> None:
    video = make_video("mp4", "libx264")
    files = {
        "subtitles.mkv": with_text(video, "matroska", "srt"),
        "subtitles.webm": with_text(make_video("webm", "libvpx"), "webm", "webvtt"),
        "chapters.mp4": remuxed([video], chapters=True),
        "sound.mkv": make_video("matroska", "libx264", audio="aac"),
        "sound.mov": make_video("mov", "libx264", audio="pcm_s16le"),
    }
    only = with_text(None, "matroska", "srt")
    async with vs.video_server({**files, "only.mkv": only}) as server, open_rig(server) as rig:
        for name in files:
            outcome = await rig.prober.probe(f"/{name}")
            assert outcome.facts is not None, (name, outcome.error)
            assert (outcome.facts.width, outcome.facts.height) == (640, 360), name
        error = (await rig.prober.probe("/only.mkv")).error
        assert error is not None
        assert (error.failure, error.message) == (Failure.UNSUPPORTED, "the file has no video stream")


async def test_what_is_no_video_is_typed(open_rig: OpenRig) -> None:
    first, last = make_video("mp4", "libx264", options=FASTSTART), make_video("mp4", "libx264")
    mkv = make_video("matroska", "libx264", audio="aac")
    expected = {
        "empty.mp4": (b"", Failure.NOT_MEDIA),
        "tiny.mp4": (b"\0\0\0", Failure.NOT_MEDIA),
        "random.mp4": (noise(100_000), Failure.NOT_MEDIA),
        "picture.mp4": (PNG, Failure.UNSUPPORTED),
        "playlist.mp4": (b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n", Failure.NOT_MEDIA),
        "audio.mp4": (make_audio(), Failure.UNSUPPORTED),
        "cut_first.mp4": (first[:600], Failure.TRUNCATED),
        "cut_last.mp4": (last[:-300], Failure.TRUNCATED),
        "no_index.mp4": (last[: last.rindex(b"moov") - 4], Failure.TRUNCATED),
        "cut.mkv": (mkv[:200], Failure.TRUNCATED),
        "header_only.avi": (make_video("avi", "mpeg4")[:100], Failure.TRUNCATED),
        "missing.mp4": (None, Failure.NOT_FOUND),
    }
    files = {name: data for name, (data, _) in expected.items() if data is not None}
    async with vs.video_server(files) as server, open_rig(server) as rig:
        for name, (_, failure) in expected.items():
            outcome = await rig.prober.probe(f"/{name}")
            assert outcome.error is not None, name
            assert outcome.error.failure is failure, (name, outcome.error)
            assert not outcome.error.transient, name


async def test_damaged_headers_never_cost_more_than_a_typed_failure(open_rig: OpenRig) -> None:
    """Bytes of real headers are overwritten, many times over: whatever libav makes of it, the service goes on."""
    sound = {name: data for name, data in corpus().items() if name not in ("h264.avi", "mpeg2.ts")}
    damaged: dict[str, bytes] = {}
    for name, data in sound.items():
        for seed in range(6):
            body = bytearray(data[:60_000])
            junk = noise(7 + seed)
            for n, byte in enumerate(junk * 3):
                body[16 + (byte * 37 + n * 101 + seed * 13) % min(len(body) - 16, 3000)] = byte
            damaged[f"{seed}.{name}"] = bytes(body)
    async with vs.video_server(damaged | sound) as server, open_rig(server, workers=2) as rig:
        outcomes = await asyncio.gather(*(rig.prober.probe(f"/{name}") for name in damaged))
        assert all((outcome.facts is None) != (outcome.error is None) for outcome in outcomes)
        for name in sound:
            assert (await rig.prober.probe(f"/{name}")).facts is not None, name


async def test_a_scattered_header_is_read_as_the_demuxer_asks(open_rig: OpenRig) -> None:
    """The first bytes do not reach the end of the header: the demuxer says what it wants, in few requests."""
    files = {"a.mkv": make_video("matroska", "libx264", audio="aac"), "a.avi": make_video("avi", audio="mp2")}
    async with vs.video_server(files) as server, open_rig(server, first_bytes=1024) as rig:
        for name in files:
            outcome = await rig.prober.probe(f"/{name}")
            assert outcome.facts is not None, outcome.error
            assert (outcome.facts.width, outcome.facts.height) == (640, 360)
            assert outcome.effort.requests <= 6
            assert outcome.effort.bytes_fetched <= 64 * 1024


async def test_a_slow_server_does_not_hold_a_worker(open_rig: OpenRig) -> None:
    files = {"slow.mp4": b"", "a.mkv": make_video("matroska", "libx264")}
    async with (
        vs.video_server(files, {"/slow.mp4": vs.silent}) as server,
        open_rig(server, workers=1, within=timedelta(seconds=3)) as rig,
    ):
        slow = asyncio.create_task(rig.prober.probe("/slow.mp4"))
        await eventually(lambda: server.of("/slow.mp4"))
        assert (await rig.prober.probe("/a.mkv")).facts is not None
        assert not slow.done()
        outcome = await slow
        assert outcome.error is not None
        assert (outcome.error.failure, outcome.error.transient) == (Failure.TIMEOUT, True)


HEADER = make_video("matroska", "mpeg4")[:16384]


async def test_a_worker_killed_in_the_middle_costs_its_own_job_only(open_rig: OpenRig) -> None:
    async with vs.video_server({}) as server, open_rig(server, workers=2) as rig:
        await rig.pool.ready()
        (victim,) = rig.pool.pids
        os.kill(victim, signal.SIGSTOP)
        doomed = asyncio.create_task(rig.pool.inspect(Container.MATROSKA, [Piece(0, HEADER)]))
        await eventually(lambda: rig.pool.busy)
        bystander = await rig.pool.inspect(Container.MATROSKA, [Piece(0, HEADER)])
        assert isinstance(bystander, Inspection)
        assert not doomed.done()
        os.kill(victim, signal.SIGKILL)
        with pytest.raises(ProbeFailed) as caught:
            await doomed
        assert caught.value.failure is Failure.CRASHED
        assert victim not in rig.pool.pids
        assert isinstance(await rig.pool.inspect(Container.MATROSKA, [Piece(0, HEADER)]), Inspection)


async def test_a_job_that_hangs_is_killed_at_its_deadline(open_rig: OpenRig) -> None:
    async with vs.video_server({}) as server, open_rig(server, job_within=timedelta(milliseconds=400)) as rig:
        await rig.pool.ready()
        (victim,) = rig.pool.pids
        os.kill(victim, signal.SIGSTOP)
        with pytest.raises(ProbeFailed) as caught:
            await rig.pool.inspect(Container.MATROSKA, [Piece(0, HEADER)])
        assert caught.value.failure is Failure.CRASHED
        assert not Path(f"/proc/{victim}").exists()
        assert isinstance(await rig.pool.inspect(Container.MATROSKA, [Piece(0, HEADER)]), Inspection)


async def test_a_lost_worker_has_one_of_four_causes_and_the_log_has_the_text(open_rig: OpenRig) -> None:
    def lost() -> dict[str, float]:
        name = "tocsin_probe_workers_replaced_total"
        samples = (sample for metric in REGISTRY.collect() for sample in metric.samples if sample.name == name)
        return {sample.labels["cause"]: sample.value for sample in samples}

    before = lost()
    async with vs.video_server({}) as server, open_rig(server, job_within=timedelta(seconds=1)) as rig:
        for cause, pieces in (("failed", []), ("hangs", [Piece(0, HEADER)]), ("crashed", [Piece(0, HEADER)])):
            await rig.pool.ready()
            (victim,) = rig.pool.pids
            if cause != "failed":
                os.kill(victim, signal.SIGSTOP)
            with capture_logs() as logs:
                doomed = asyncio.create_task(rig.pool.inspect(Container.MATROSKA, pieces))
                if cause == "crashed":
                    await eventually(lambda: rig.pool.busy)
                    os.kill(victim, signal.SIGKILL)
                with pytest.raises(ProbeFailed):
                    await doomed
            (line,) = (line for line in logs if line["event"] == "worker lost")
            assert line["cause"] == cause
            if cause == "failed":
                assert line["error"] == "IndexError: list index out of range"
    now = lost()
    assert {cause for cause in now if now[cause] != before.get(cause)} == {"failed", "hangs", "crashed"}
    assert set(now) <= {"failed", "hangs", "crashed", "idle"}


async def test_a_worker_that_died_idle_is_replaced_without_a_failure(open_rig: OpenRig) -> None:
    async with vs.video_server({}) as server, open_rig(server) as rig:
        await rig.pool.ready()
        (victim,) = rig.pool.pids
        os.kill(victim, signal.SIGKILL)
        await eventually(lambda: not _runs(victim))
        assert isinstance(await rig.pool.inspect(Container.MATROSKA, [Piece(0, HEADER)]), Inspection)


async def test_a_worker_cannot_open_anything_and_is_gone_with_the_pool(open_rig: OpenRig) -> None:
    async with vs.video_server({}) as server, open_rig(server) as rig:
        await rig.pool.ready()
        (pid,) = rig.pool.pids
        limits = Path(f"/proc/{pid}/limits").read_text()
        told = {line[:26].strip(): line[26:].split()[:2] for line in limits.splitlines()}
        assert told["Max open files"] == ["0", "0"]
        assert told["Max file size"] == ["0", "0"]
        assert told["Max address space"][0] != "unlimited"
        status = Path(f"/proc/{pid}/status").read_text()
        assert "NoNewPrivs:\t1" in status
        environment = Path(f"/proc/{pid}/environ")
        assert os.geteuid() != 0 or b"TOCSIN" not in environment.read_bytes()
    await eventually(lambda: not _runs(pid))


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
