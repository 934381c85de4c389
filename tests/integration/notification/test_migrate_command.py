"""`tocsin notifications migrate` as people and scripts call it: processes, exit codes, what is printed and left."""

import asyncio
import fcntl
import gzip
import json
import os
import pty
import signal
import stat
import struct
import subprocess
import sys
import termios
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from services.chassis.postgres import Database, migrate, open_database
from services.cli.runtime.instance import Instance
from services.cli.runtime.state import StateDir
from services.notification.adapters.migration.documents import MAX_DOCUMENT
from services.notification.adapters.migration.runs import MigrationRuns
from services.notification.adapters.postgres.retention import remember_retentions
from services.notification.adapters.postgres.tenants import TENANT_MIGRATIONS, schema_of
from tests.support.eventually import eventually
from tests.support.notification import TENANTS

NOW = datetime.now(UTC)
_COMMAND = [sys.executable, "-m", "services.cli.main", "notifications", "migrate"]


@dataclass(frozen=True)
class Outcome:
    """What a call left."""

    code: int | None
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass(frozen=True)
class Mesh:
    """A mesh as far as the command sees it: a state directory that is in use, and a database."""

    state: StateDir
    database: Database
    dsn: str

    @property
    def files(self) -> dict[str, str]:
        """What runs have left, by name."""
        return {path.name: path.read_text() for path in (self.state.root / "migrations").iterdir()}

    def start(self, *arguments: str | Path, **more: Any) -> "subprocess.Popen[bytes]":
        environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "NO_COLOR")}
        environment |= {"TOCSIN_STATE_DIR": str(self.state.root), **more.pop("env", {})}
        return subprocess.Popen([*_COMMAND, *map(str, arguments)], env=environment, **more)

    async def call(self, *arguments: str | Path) -> Outcome:
        process = self.start(*arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        out, err = await asyncio.to_thread(process.communicate)
        return Outcome(process.returncode, out.decode(), err.decode())

    async def stored(self, where: str = "true", tenant: str = "test") -> int:
        async with self.database.connection() as connection:
            return await connection.fetchval(f'SELECT count(*) FROM "{schema_of(tenant)}".notifications WHERE {where}')


@pytest.fixture
async def mesh(dsn: str, tmp_path: Path) -> AsyncIterator[Mesh]:
    for tenant in TENANTS:
        await migrate(dsn, schema_of(tenant), TENANT_MIGRATIONS, chassis=False)
    state = StateDir(tmp_path / "state")
    state.create()
    state.acquire()
    state.ensure_secrets(())
    state.write_json(state.secrets_file, {"postgres.notification": urlsplit(dsn).password})
    empty = dict.fromkeys(
        ("version", "edge_url", "nats_url", "nats_user", "nats_password", "nats_prefix", "issuer", "audience"), ""
    )
    instance: dict[str, Any] = {**empty, "postgres_dsn": dsn, "external_nats": False, "external_postgres": False}
    Instance(supervisor_pid=os.getpid(), edge_port=0, ports={}, **instance).write(state)
    async with open_database(dsn, schema="notification", application_name="tests") as database:
        await remember_retentions(database, {"test": timedelta(days=90), "wellness": timedelta(days=10)})
        yield Mesh(state, database, dsn)
    state.release()


def document(n: int, **more: Any) -> dict[str, Any]:
    at = NOW - timedelta(minutes=n + 1)
    times = {"createdAt": {"$date": at.isoformat()}, "sentAt": {"$date": (at + timedelta(seconds=3)).isoformat()}}
    key = {"_id": {"$oid": f"{n:024x}"}}
    return {**key, "userId": f"auth0|{n % 9}", "type": "INFO", "title": f"T{n}", "status": "SENT", **times, **more}


def export(path: Path, documents: list[Any]) -> Path:
    path.write_text("".join(json.dumps(one) + "\n" for one in documents))
    return path


async def test_what_is_printed_and_left_behind(mesh: Mesh, tmp_path: Path) -> None:
    good = [document(n, serviceName=TENANTS[n % 2]) for n in range(2200)]
    old = [document(3000, serviceName="wellness", createdAt=(NOW - timedelta(days=11)).isoformat())]
    bad = [[1], document(3001, serviceName="billing"), document(3002, serviceName="test", title="a\0b")]
    file = export(tmp_path / "export.json", [*good, *old, *bad, good[0], {"user_id": 1}])
    done = await mesh.call("--from", file)
    assert (done.code, done.out.count("\x1b") + done.err.count("\x1b")) == (1, 0)
    assert "older than the retention, skipped  1" in done.out
    [run] = {name.partition(".")[0] for name in mesh.files}
    set_aside = mesh.state.root / "migrations" / f"{run}.set-aside.jsonl"
    assert f"4 documents were set aside, with the reasons, in {set_aside}" in done.err
    assert max(map(len, (done.out + done.err).splitlines())) < 300, "nothing is as wide as a terminal that is none"
    lines = [json.loads(line) for line in set_aside.read_text().splitlines()]
    assert [one["line"] for one in lines] == [2202, 2203, 2204, 2206]
    for one, word in zip(lines, ("list", "billing", "NUL", "serviceName"), strict=True):
        assert word in one["reason"]
    assert json.loads(lines[2]["raw"])["title"] == "a\0b"
    log = [json.loads(line) for line in mesh.files[f"{run}.log"].splitlines()]
    assert [one["event"] for one in log] == ["migration.begun", *["migration.batch"] * 3, "migration.done"]
    assert (log[-1]["documents"], log[-1]["stored"], log[-1]["known"], log[-1]["run"]) == (2206, 2200, 1, run)
    for path in set_aside.parent.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    again = await mesh.call("--from", file, "--json")
    assert (again.code, again.json["known"], "stored" in again.json) == (1, 2201, False)
    listed = (await mesh.call("--runs", "--json")).json
    assert [(one["run"] == run, one["state"], one["from"]) for one in listed] == [
        (False, "DONE", str(file)),
        (True, "DONE", str(file)),
    ]
    assert await mesh.stored() == await mesh.stored(tenant="wellness") == 1100


async def test_a_dry_run_writes_nothing(mesh: Mesh, tmp_path: Path) -> None:
    file = export(tmp_path / "export.json", [document(n) for n in range(1500)] + [[1]])
    done = await mesh.call("--from", file, "--tenant", "test", "--dry-run")
    assert (done.code, done.out.splitlines()[0]) == (1, "dry run")
    assert "1 document would be set aside" in done.err
    assert done.out.splitlines()[-1].split(maxsplit=1) == ["1501", "is no object but a list"]
    assert (await mesh.stored(), mesh.files) == (0, {})
    assert (await mesh.call("--runs", "--json")).json == []


@pytest.mark.chaos
async def test_a_killed_process_is_followed_by_one_that_goes_on(mesh: Mesh, tmp_path: Path) -> None:
    count = 15_000
    file = export(tmp_path / "export.json", [[n] if n % 100 == 99 else document(n) for n in range(count)])
    process = mesh.start("--from", file, "--tenant", "test")
    try:

        async def begun() -> bool:
            return await mesh.stored() > 0

        await eventually(begun, timeout=30)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait(10)
    assert 0 < await mesh.stored() < count * 0.99
    done = await mesh.call("--from", file, "--tenant", "test", "--json")
    assert (done.json["documents"], done.json["stored"], done.json["set_aside"]) == (count, 14_850, 150)
    assert await mesh.stored() == 14_850
    run = done.json["run"]
    begins = [json.loads(line) for line in mesh.files[f"{run}.log"].splitlines() if "migration.begun" in line]
    assert [one["resumed_after"] > 0 for one in begins] == [False, True]
    lines = [json.loads(line)["line"] for line in mesh.files[f"{run}.set-aside.jsonl"].splitlines()]
    assert lines == list(range(100, count + 1, 100)), "each is set aside once"


async def test_undoing_asks_what_becomes_of_changed_ones(mesh: Mesh, tmp_path: Path) -> None:
    first = export(tmp_path / "first.json", [document(n) for n in range(50)])
    second = export(tmp_path / "second.json", [document(n) for n in range(2500)])
    assert (await mesh.call("--from", first, "--tenant", "test")).code == 0
    run = (await mesh.call("--from", second, "--tenant", "test", "--json")).json["run"]
    async with mesh.database.connection() as connection:
        changed = await connection.execute(
            f'UPDATE "{schema_of("test")}".notifications SET read_at = now(), version = version + 1 '
            "WHERE migration_run = $1 AND title LIKE 'T9__'",
            run,
        )
    assert changed == "UPDATE 100"
    refused = await mesh.call("--rollback", run)
    assert (refused.code, await mesh.stored()) == (1, 2500)
    assert "100 notifications of this run were read or changed since; --changed keep" in refused.err
    kept = await mesh.call("--rollback", run, "--changed", "keep", "--json")
    assert (kept.code, kept.json) == (0, {"run": run, "deleted": 2350, "kept": 100, "gone": 0})
    deleted = await mesh.call("--rollback", run, "--changed", "delete", "--json")
    assert deleted.json == {"run": run, "deleted": 100, "kept": 0, "gone": 0}
    assert await mesh.stored() == 50
    events = [json.loads(line)["event"] for line in mesh.files[f"{run}.log"].splitlines()]
    steps = ["rollback.begun", *["rollback.batch"] * 3, "rollback.done", "rollback.begun", "rollback.batch"]
    assert events[-8:] == [*steps, "rollback.done"]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ((), 2, "name a file with --from"),
        (("--runs", "--rollback", "x"), 2, "name a file with --from"),
        (("--from", "/nowhere.json"), 2, "does not exist"),
        (("--rollback", "x"), 1, "there is no run x"),
        (("--rollback", "01a22b76-0c8d-7625-835f-d8c7203c9fbf"), 1, "there is no run"),
        (("--rollback", "x", "--changed", "maybe"), 2, "--changed is one of keep, delete"),
        (("--from", "FILE", "--tenant", "nobody"), 2, "no tenant is called 'nobody'; there are test, wellness"),
        (("--from", "FILE", "--service", "a"), 2, "--service is OLD=NEW"),
        (("--from", "FILE", "--type", "promo=NEWS"), 2, "--type is one of ALERT"),
        (("--from", "FILE", "--retention", "long"), 2, "--retention"),
    ],
)
async def test_what_cannot_be_done_is_said(
    mesh: Mesh, tmp_path: Path, arguments: tuple[str, ...], code: int, said: str
) -> None:
    file = export(tmp_path / "export.json", [document(1)])
    done = await mesh.call(*(str(file) if one == "FILE" else one for one in arguments))
    assert (done.code, said in done.err) == (code, True), done.err
    assert await mesh.stored() == 0


async def test_a_second_one_at_the_same_time_is_refused(mesh: Mesh, tmp_path: Path) -> None:
    file = export(tmp_path / "export.json", [document(1)])
    async with MigrationRuns(mesh.database, mesh.dsn).alone():
        done = await mesh.call("--from", file, "--tenant", "test")
        assert (done.code, "another migration of notifications is under way" in done.err) == (1, True), done.err
    assert (await mesh.call("--from", file, "--tenant", "test")).code == 0


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'[{"_id": 1},\n{"_id": 2}]', "--jsonArray"),
        (b'{\n  "_id": 1\n}', "--pretty"),
        ('{"_id": 1}\n'.encode("utf-16"), "UTF-16"),
        (b"\x6d\xe2\x99\x81", "--archive"),
        (b"BZh91AY", "bzip2"),
        (b"_id,title\n1,t\n", "CSV"),
    ],
)
async def test_a_file_of_another_form_is_refused_whole(mesh: Mesh, tmp_path: Path, content: bytes, said: str) -> None:
    file = tmp_path / "export"
    file.write_bytes(content)
    done = await mesh.call("--from", file)
    assert (done.code, said in done.err) == (1, True), done.err
    assert "migrated" not in done.err
    assert (await mesh.call("--runs", "--json")).json == []


async def test_a_pipe_is_refused(mesh: Mesh, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    done = await mesh.call("--from", tmp_path / "pipe")
    assert (done.code, "no regular file" in done.err) == (1, True), done.err


async def test_without_a_mesh(mesh: Mesh, tmp_path: Path) -> None:
    mesh.state.release()
    assert (await mesh.call("--from", export(tmp_path / "a.json", [document(1)]))).code == 3


async def test_a_truncated_file_is_brought_in_as_far_as_it_goes(mesh: Mesh, tmp_path: Path) -> None:
    whole = gzip.compress("".join(json.dumps(document(n)) + "\n" for n in range(3000)).encode())
    file = tmp_path / "export.json.gz"
    file.write_bytes(whole[: len(whole) // 2])
    done = await mesh.call("--from", file, "--tenant", "test")
    assert (done.code, "is damaged after document" in done.err, "is migrated" in done.err) == (1, True, True)
    before = await mesh.stored()
    assert 1000 < before < 2000
    file.write_bytes(whole)
    whole_again = await mesh.call("--from", file, "--tenant", "test", "--json")
    assert (whole_again.code, whole_again.json["known"], await mesh.stored()) == (0, before, 3000)


@pytest.mark.parametrize("colour", [True, False])
async def test_a_terminal_gets_a_bar(mesh: Mesh, tmp_path: Path, colour: bool) -> None:
    file = export(tmp_path / "export [bold].json", [document(n) for n in range(2500)])
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 90, 0, 0))
    environment = {"TERM": "xterm-256color", **({} if colour else {"NO_COLOR": "1"})}
    process = mesh.start("--from", file, "--tenant", "test", stdout=theirs, stderr=theirs, env=environment)
    os.close(theirs)

    def read() -> bytes:
        found = b""
        with suppress(OSError):  # the other end is closed
            while more := os.read(ours, 65536):
                found += more
        return found

    shown = (await asyncio.to_thread(read)).decode()
    os.close(ours)
    assert process.wait(10) == 0, shown
    assert "━" in shown
    assert "export [bold].json" in shown
    assert "/s" in shown
    assert ("\x1b[38;5;" in shown or "\x1b[32m" in shown) is colour, shown


async def test_a_line_larger_than_any_document_takes_no_memory(tmp_path: Path) -> None:
    file = tmp_path / "huge.json.gz"
    good = json.dumps(document(1)).encode()
    with gzip.open(file, "wb", compresslevel=1) as content:
        content.write(good + b'\n{"_id": "')
        for _ in range(256):
            content.write(b"x" * (1 << 20))
        content.write(b'"}\n' + good)
    count = (
        "import re, sys; from pathlib import Path\n"
        "from services.notification.adapters.migration.documents import documents\n"
        "print([one.size for one in documents(Path(sys.argv[1]))])\n"
        "print(re.search(r'VmHWM:\\s+(\\d+)', Path('/proc/self/status').read_text())[1])"
    )
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", count, file, stdout=asyncio.subprocess.PIPE)
    sizes, memory = (await process.communicate())[0].decode().splitlines()
    assert json.loads(sizes) == [len(good), 256 * 2**20 + 12, len(good)]
    assert int(memory) * 1024 < 8 * MAX_DOCUMENT, "a buffer or two, not the line"
