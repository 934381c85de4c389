"""What a look at a part says of it when the look itself fails."""

import asyncio
import errno
from datetime import timedelta
from pathlib import Path

import pytest

from services.cli.runtime.health import examine
from services.cli.runtime.part import Part
from services.cli.runtime.postgres_health import PostgresHealth
from services.cli.runtime.probes import http_probe

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
