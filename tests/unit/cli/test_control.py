"""Asking a supervisor that runs, and the signals that end it."""

import asyncio
import signal
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from services.cli.runtime.control import answer_requests, ask
from services.cli.runtime.errors import RuntimeProblem
from services.cli.runtime.process import end_leftovers
from services.cli.runtime.state import StateDir
from services.cli.runtime.up import ending_signals
from tests.support.eventually import eventually


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (RuntimeProblem("not now"), "^not now$"),
        (OSError(24, "Too many open files"), "Too many open files"),
        (KeyError("until"), "KeyError: 'until'"),
    ],
)
async def test_who_asks_hears_what_went_wrong(tmp_path: Path, error: Exception, said: str) -> None:
    async def fail(_request: dict[str, Any]) -> dict[str, Any]:
        raise error

    state = StateDir(tmp_path)
    state.create()
    answering = asyncio.create_task(answer_requests(state, {"restart": fail}))
    await eventually((state.run / "control.sock").exists, what="the socket")
    with pytest.raises(RuntimeProblem, match=said):
        await asyncio.to_thread(ask, state, "restart", within=timedelta(seconds=10))
    answering.cancel()


def test_nohup_is_obeyed() -> None:
    assert signal.SIGHUP in ending_signals()
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert ending_signals() == [signal.SIGINT, signal.SIGTERM]
    finally:
        signal.signal(signal.SIGHUP, before)


async def test_a_leftover_that_does_not_end_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def unkillable(_pid: int) -> int:
        return 7

    def kill(_pid: int, _signal: int) -> None:
        pass

    monkeypatch.setattr("services.cli.runtime.process.started_at", unkillable)
    monkeypatch.setattr("os.kill", kill)
    with pytest.raises(RuntimeProblem, match=r"nats \(12345\) did not end within 0\.05 s of SIGKILL"):
        await end_leftovers({"nats": (12345, 7)}, timedelta(seconds=0.05))
