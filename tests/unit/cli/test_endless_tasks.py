"""Endless work of the supervisor does not end unseen, and a full disk harms none of it."""

import asyncio
import contextlib
import errno
import json
from datetime import timedelta
from pathlib import Path

import pytest
from rich.console import Console

from services.cli.runtime.console import ConsoleReporter
from services.cli.runtime.journal import Journal
from services.cli.runtime.logs import LogFile
from services.cli.runtime.part import Part, PartStatus, Plan, State
from services.cli.runtime.reporter import SilentReporter
from services.cli.runtime.state import StateDir
from services.cli.runtime.status import StatusFile, read_reports
from services.cli.runtime.tasks import keep_going
from services.cli.runtime.triage import Triage
from tests.support.eventually import eventually


class Story(list[tuple[str, str]]):
    def tell(self, where: str, what: str) -> None:
        self.append((where, what))


async def test_work_that_fails_or_ends_is_told_and_begun_again() -> None:
    story, turns = Story(), iter([ValueError("odd"), ValueError("odd"), None])
    going_on = asyncio.Event()

    async def work() -> None:
        turn = next(turns, "on")
        if isinstance(turn, Exception):
            raise turn
        if turn == "on":
            going_on.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(keep_going("work", work, story.tell))
    await asyncio.wait_for(going_on.wait(), 10)
    assert not task.done()
    # The same fault in a row is told once.
    assert story == [
        ("work", "ValueError: odd; it is begun again"),
        ("work", "ended by itself; it is begun again"),
    ]
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_while_errors_are_fatal_they_end_it() -> None:
    story = Story()

    async def work() -> None:
        raise ValueError("fatal")

    with pytest.raises(ValueError, match="fatal"):
        await keep_going("work", work, story.tell, fatal=lambda: True)
    assert not story


async def test_who_cannot_be_told_does_not_end_the_work() -> None:
    turns = 0

    async def work() -> None:
        nonlocal turns
        turns += 1
        raise ValueError(f"odd {turns}")

    def tell(_where: str, _what: str) -> None:
        raise OSError(errno.EIO, "Input/output error")

    task = asyncio.create_task(keep_going("work", work, tell))
    await eventually(lambda: turns >= 2 or task.done(), what="the work, begun again")
    assert not task.done()
    task.cancel()


def test_a_console_that_cannot_be_written_costs_lines_and_nothing_else(tmp_path: Path) -> None:
    part = Part(name="one", command=("true",), environment={}, probe=_ready)
    # What it could not flush it tries once more when it is closed.
    with contextlib.suppress(OSError), Path("/dev/full").open("w") as full:
        journal = Journal(LogFile(tmp_path, "runtime"), ConsoleReporter(Console(file=full)))
        journal.starting(Plan((part,)), tmp_path)
        journal.fault("here", "trouble")
        journal.stopped(part, 1.0, clean=True)
    events = [json.loads(line)["event"] for line in (tmp_path / "runtime.log").read_text().splitlines()]
    assert events == ["starting", "console cannot be written", "fault", "part stopped"]


def test_a_console_whose_pipe_is_broken_does_not_end_the_program(tmp_path: Path) -> None:
    shown: list[str] = []
    journal = Journal(LogFile(tmp_path, "runtime"), SilentReporter())

    def broken_pipe() -> None:
        raise SystemExit(1)

    journal.console(broken_pipe)
    journal.console(lambda: shown.append("more"))
    assert shown == ["more"]
    assert "console cannot be written" in (tmp_path / "runtime.log").read_text()


class FullDisk(StateDir):
    """A state directory on a disk that is full while `full` is set."""

    full = False

    def write_text(self, path: Path, content: str, *, durable: bool = True) -> None:
        if self.full:
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        super().write_text(path, content, durable=durable)


async def _ready(_within: timedelta) -> None:
    pass


async def test_a_full_disk_is_told_once_and_the_status_written_when_there_is_room(tmp_path: Path) -> None:
    state, story = FullDisk(tmp_path), Story()
    state.create()
    part = Part(name="one", command=("true",), environment={}, probe=_ready)
    file, status = StatusFile(state, Plan((part,)), story.tell, Triage()), PartStatus()
    keeping = asyncio.create_task(file.keep())
    file.write({"one": status})
    state.full = True
    for state_now in (State.STARTING, State.HEALTHY):
        status.state = state_now
        file.write({"one": status})
    assert [where for where, _ in story] == ["status"]
    assert "status.json cannot be written: no space left on device" in story[0][1]
    assert read_reports(state)[0].state == "waiting"
    state.full = False
    await eventually(lambda: read_reports(state)[0].state == "healthy", what="the status on the disk")
    keeping.cancel()
