"""What a look at a part says of it when the look itself fails."""

import asyncio
import errno
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from services.chassis.mesh_names import MeshNames
from services.cli.runtime.health import examine
from services.cli.runtime.nats_health import NatsHealth
from services.cli.runtime.nats_monitor import NatsMonitor, NatsSession, NatsSilent
from services.cli.runtime.part import Part, Unhealthy
from services.cli.runtime.postgres_health import PostgresHealth
from services.cli.runtime.probes import http_probe
from services.cli.runtime.state import StateDir
from services.cli.runtime.stream_memory import StreamMemory

WITHIN = timedelta(seconds=5)


@pytest.mark.parametrize(
    ("code", "own", "reason"),
    [
        (errno.ECONNREFUSED, True, "nothing listens on 127.0.0.1:9"),
        (errno.ECONNRESET, True, "nothing listens on 127.0.0.1:9"),
        (errno.EMFILE, False, "127.0.0.1:9 cannot be asked: OSError"),
        (errno.ENFILE, False, "127.0.0.1:9 cannot be asked: OSError"),
        (errno.EADDRNOTAVAIL, False, "127.0.0.1:9 cannot be asked: OSError"),
        (errno.ENOBUFS, False, "127.0.0.1:9 cannot be asked: OSError"),
    ],
)
async def test_what_we_have_too_little_of_is_not_held_against_a_part(
    monkeypatch: pytest.MonkeyPatch, code: int, own: bool, reason: str
) -> None:
    async def fail(_host: str, _port: int) -> None:
        raise OSError(code, "as the kernel says")

    monkeypatch.setattr(asyncio, "open_connection", fail)
    part = Part(name="one", command=("true",), environment={}, probe=http_probe("127.0.0.1", 9, "/"))
    trouble = await examine(part, WITHIN)
    assert trouble is not None
    assert str(trouble).startswith(reason)
    assert trouble.own is own


async def test_a_file_that_cannot_be_read_leaves_no_part_healthy(tmp_path: Path) -> None:
    (tmp_path / "postmaster.pid").write_bytes(b"\xff\xfe")
    probe = PostgresHealth("127.0.0.1", 9, user="one", password="secret", data=tmp_path)
    trouble = await examine(Part(name="postgres", command=("true",), environment={}, probe=probe), WITHIN)
    assert trouble is not None
    assert "UnicodeDecodeError" in str(trouble)
    assert not trouble.own


async def test_nothing_of_a_look_at_nats_outlives_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    async def trouble(_monitor: NatsMonitor, _within: float) -> str:
        return ""

    async def streams(_monitor: NatsMonitor, *, within: float) -> dict[str, Any]:
        asked.append("begun")
        await asyncio.sleep(within)
        return {}

    async def silent(_session: NatsSession, _subject: str, _payload: bytes, *, within: float) -> bytes:
        raise NatsSilent("at once")

    monkeypatch.setattr(NatsMonitor, "trouble", trouble)
    monkeypatch.setattr(NatsMonitor, "streams", streams)
    monkeypatch.setattr(NatsSession, "request", silent)
    state = StateDir(tmp_path)
    state.create()
    async with await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        memory = StreamMemory(state, lambda _where, _what: None, MeshNames())
        look = NatsHealth(
            "127.0.0.1",
            port,
            runtime_password="",
            system_password="",
            store=tmp_path,
            memory=memory,
            names=MeshNames(),
        )
        before = asyncio.all_tasks()
        with pytest.raises(Unhealthy, match="a message is not stored: at once"):
            await look(WITHIN)
        assert not asked
        assert asyncio.all_tasks() <= before
