"""The state of a mesh's parts, as the supervisor leaves it in the state directory and `tocsin status` reads it."""

import asyncio
import time
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from services.cli.runtime.errors import RuntimeProblem, describe
from services.cli.runtime.part import PartStatus, Plan, State
from services.cli.runtime.process import started_at
from services.cli.runtime.state import StateDir
from services.cli.runtime.tasks import Tell, Told
from services.cli.runtime.triage import Triage

_RETRY_SECONDS = 1.0
_ANSWER_BUDGET = timedelta(seconds=2)


@dataclass(frozen=True, slots=True, kw_only=True)
class PartReport:
    """One part as it stands; `uptime_seconds` of its present process, None when it has none; `unhealthy_seconds` since
    it last was healthy, None when it is or has not been yet; `advice` is what the operator can do about `reason`."""

    name: str
    state: str
    reason: str
    advice: str
    unhealthy_seconds: float | None
    pid: int | None
    restarts: int
    uptime_seconds: float | None
    address: str
    version: str

    @property
    def healthy(self) -> bool:
        """Whether its last check was good."""
        return self.state == State.HEALTHY


class StatusFile:
    """Keeps the file up to date with a supervisor's parts. A disk that is full or fails harms nobody: it is told once,
    and `keep` writes the file as soon as it can be written."""

    def __init__(self, state: StateDir, plan: Plan, tell: Tell, triage: Triage) -> None:
        self._state = state
        self._triage = triage
        self._parts = {part.name: part for part in plan.parts}
        self._told = Told("status", tell)
        self._ready = False
        self._outdated = False
        self._last: dict[str, PartStatus] = {}

    def mark_ready(self) -> None:
        """Everything has been prepared and was healthy."""
        self._ready = True
        self.write(self._last)

    def write(self, status: dict[str, PartStatus]) -> None:
        """Replaces the file; never raises."""
        self._last = status
        try:
            self._state.write_json(self._state.status_file, self.content(), durable=False)
        except OSError as error:
            self._outdated = True
            self._told.fault(f"{self._state.status_file} cannot be written: {describe(error)}; it is tried again")
        else:
            self._outdated = False
            self._told.well()

    async def keep(self) -> None:
        """Writes again what could not be written; endless."""
        while True:
            await asyncio.sleep(_RETRY_SECONDS)
            if self._outdated:
                self.write(self._last)

    def content(self) -> dict[str, Any]:
        """What the file holds: for those who can ask, as the disk may be full."""
        parts = [
            {
                "name": name,
                "state": current.state,
                "reason": current.reason,
                "advice": current.advice,
                "unhealthy_since": current.unhealthy_since,
                "pid": current.pid,
                "process_started": None if current.pid is None else started_at(current.pid),
                "restarts": current.restarts,
                "started_at": current.started_at,
                "address": self._parts[name].address,
                "version": self._parts[name].version,
            }
            for name, current in self._last.items()
        ]
        return {"ready": self._ready, "machine": self._triage.trouble, "parts": parts}


@dataclass(frozen=True, slots=True, kw_only=True)
class MeshReport:
    """A mesh as it stands; `machine` says why faults of parts are taken for the machine's, empty while they are not."""

    parts: list[PartReport]
    machine: str


def read_reports(state: StateDir) -> list[PartReport]:
    """The parts of `read_report`."""
    return read_report(state).parts


def read_report(state: StateDir) -> MeshReport:
    """The mesh on the directory, its parts in the order of the plan: from its supervisor, else from the file, which may
    be older. Raises RuntimeProblem when that is damaged."""
    from services.cli.runtime.control import ask

    try:
        content = ask(state, "status", within=_ANSWER_BUDGET)
    except RuntimeProblem:
        content = state.read_json(state.status_file)
    try:
        parts = [_report(part) for part in content.get("parts", [])]
        return MeshReport(parts=parts, machine=str(content.get("machine", "")))
    except (KeyError, TypeError):
        raise RuntimeProblem(
            f"{state.status_file} is damaged; it is written anew at the next change of a part"
        ) from None


def children_of_last_run(state: StateDir) -> dict[str, tuple[int, int]]:
    """The processes that the file names: part -> (process id, when it was started, in ticks since boot)."""
    children: dict[str, tuple[int, int]] = {}
    match state.read_derived(state.status_file):
        case {"parts": [*parts]}:
            for part in parts:
                match part:
                    case {"name": str(name), "pid": int(pid), "process_started": int(started)}:
                        children[name] = (pid, started)
                    case _:
                        pass
        case _:
            pass
    return children


def _report(part: dict[str, Any]) -> PartReport:
    return PartReport(
        name=part["name"],
        state=part["state"],
        reason=part["reason"],
        advice=part["advice"],
        unhealthy_seconds=None if part["unhealthy_since"] is None else time.time() - part["unhealthy_since"],
        pid=part["pid"],
        restarts=part["restarts"],
        uptime_seconds=None if part["pid"] is None else time.time() - part["started_at"],
        address=part["address"],
        version=part["version"],
    )
