"""Endless work of the supervisor does not end unseen, and a full disk harms none of it."""

import asyncio
import errno
from datetime import timedelta
from pathlib import Path

import pytest

from services.cli.runtime.part import Part, PartStatus, Plan, State
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
