"""The jail of the workers on the kernel that the tests run on: what is inside has all that it needs, and no way out."""

import asyncio
import json
import os
import platform
import sys
from collections.abc import Mapping

import pytest
from structlog.testing import capture_logs

from services.media_probe.adapters.libav import worker_pool
from services.media_probe.adapters.libav.inspection import DEMUXERS
from tests.integration.media_probe.conftest import OpenRig
from tests.integration.media_probe.test_corpus import corpus
from tests.support import video_server as vs
from tests.support.videos import noise

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="jails are made of what Linux has")
MEMORY = 256 * 1024 * 1024
FILTERED = platform.machine() in {"x86_64", "aarch64"}


async def told(what: str, *more: str, files: Mapping[str, bytes] | None = None) -> dict[str, object]:
    """What a process in the jail tells; `died` names what it was at when it ended before it was done."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.support.jailed", what, str(os.getpid()), str(MEMORY), *more),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    sent = b"".join(f"{name} {len(data)}\n".encode() + data for name, data in (files or {}).items())
    out, _ = await process.communicate(sent)
    lines: list[tuple[str, object]] = [json.loads(line) for line in out.splitlines() if line.startswith(b"[")]
    found = dict(lines)
    if not lines or lines[-1][0] != "done":
        found["died"] = lines[-1][0] if lines else "at its start"
    return found


async def test_there_is_no_way_out() -> None:
    found = await told("escapes")
    assert found.pop("filtered") is FILTERED
    assert (found.pop("some memory"), found.pop("processor time")) == ("done", "done")
    assert found.pop("done", "") is None
    assert found.pop("much memory") == "MemoryError"
    assert len(found) == 17
    allowed = {way: how for way, how in found.items() if how == "done"}
    assert allowed == {}
    if FILTERED:
        assert set(found.values()) == {"EPERM", "RuntimeError", "ValueError"}  # no thread; a limit that is not raised


async def test_without_a_filter_of_system_calls_the_limits_hold() -> None:
    found = await told("escapes", "unfiltered")
    assert found["filtered"] is False
    for way in ("read a file", "write a file", "connect", "connect by a path", "send packets", "make a pipe"):
        assert found[way] == "EMFILE", way
    assert found["much memory"] == "MemoryError"


async def test_a_kernel_without_the_filter_is_told_of(
    open_rig: OpenRig, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("older")
    (folder / "older_kernel.py").write_text(
        "from services.media_probe import worker\n"
        "from services.media_probe.adapters.libav import sandbox\n"
        "sandbox.refuse_system_calls = lambda: False\n"
        "worker.main()\n"
    )
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(folder), *(path for path in sys.path if path))))
    monkeypatch.setattr(worker_pool, "_MODULE", "older_kernel")
    video = next(made for made in corpus() if made.container == "mp4")
    async with vs.video_server({"a.mp4": video.data}) as server, open_rig(server) as rig:
        with capture_logs() as logs:
            assert (await rig.prober.probe("/a.mp4")).facts is not None
    (warning,) = (line["event"] for line in logs if line["log_level"] == "warning")
    assert "does not filter the system calls" in warning


async def test_nothing_is_missing_in_the_jail() -> None:
    """Every demuxer and every decoder of pictures makes of a small file what it makes of it outside."""
    files = {"junk": noise(9000)}
    for made in corpus():
        files.setdefault({"mp4": "mov,mp4,m4a,3gp,3g2,mj2"}.get(made.container, made.container), made.data)
    inside, outside = await asyncio.gather(told("libav", files=files), told("libav", "outside", files=files))
    assert (inside.pop("filtered"), outside.pop("filtered")) == (FILTERED, False)
    assert "died" not in inside
    assert len(inside) > 400
    names = {name.removeprefix("demuxer ") for name in inside if name.startswith("demuxer ")}
    assert {one for one in DEMUXERS if not any(one in name.split(",") for name in names)} == set()
    # Bytes that ask for more memory than the jail has get none.
    bounded = "MemoryError ENOMEM"
    differing = {name: (how, outside[name]) for name, how in inside.items() if how not in {outside[name], bounded}}
    assert differing == {}
    assert sum(how == bounded for how in inside.values()) < 10
    assert not any("ImportError" in str(how) for how in inside.values())
