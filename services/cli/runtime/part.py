"""What the supervisor knows about a part of the mesh, and how a part's state is told."""

import enum
import signal
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from services.cli.runtime.identity import Identity

Probe = Callable[[timedelta], Awaitable[None]]
"""Returns when the part is healthy; raises Unhealthy with the reason when not. The caller ends it after that time; what
it asks meanwhile gets a share of it."""


class Unhealthy(Exception):
    """Why a part is not healthy, in a few words.

    `own`: the fault is the part's, so that a restart may mend it; otherwise it is that of what the part stands on.
    `certain`: only a restart mends it, so there is nothing to wait for. `advice`: what the operator can do. `lasting`:
    nothing else mends it, so that a start need not go on.
    """

    def __init__(
        self, reason: str, *, own: bool = True, certain: bool = False, advice: str = "", lasting: bool = False
    ) -> None:
        super().__init__(reason)
        self.own, self.certain, self.advice, self.lasting = own, certain, advice, lasting


class State(enum.StrEnum):
    """Where a part stands."""

    WAITING = "waiting"
    STARTING = "starting"
    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"
    RESTARTING = "restarting"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A child process of the mesh.

    `needs` names steps and parts that must be done or healthy before it is started (not when it is restarted);
    `stands_on` names the parts that it cannot work without: while one of them is away, it is not restarted for faults
    that are not its own. `stop_rank` orders the stop, lowest first, equal ones together; `death_signal` is what it gets
    when the supervisor dies.
    """

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    probe: Probe
    version: str = ""
    address: str = ""
    metrics: str = ""
    """`host:port` that answers `GET /metrics`; empty for a part that has none."""
    needs: frozenset[str] = frozenset()
    stands_on: frozenset[str] = frozenset()
    stop_rank: int = 0
    stop_signal: signal.Signals = signal.SIGTERM
    stop_budget: timedelta = timedelta(seconds=5)
    death_signal: signal.Signals = signal.SIGKILL
    identity: Identity | None = None
    directory: Path | None = None
    """Where it runs; the supervisor's own choice when None."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """Work of the supervisor itself that parts wait for, like migrations.

    `run` returns what was done in a few words, empty when there was nothing to do; raises RuntimeProblem.
    """

    name: str
    run: Callable[[], Awaitable[str]]
    needs: frozenset[str] = frozenset()


@dataclass(slots=True)
class PartStatus:
    """The changing half of a part."""

    state: State = State.WAITING
    reason: str = ""
    advice: str = ""
    """What the operator can do about `reason`; empty when the machine does it."""
    unhealthy_since: float | None = None
    """Seconds since the epoch; stays over restarts until the part is healthy."""
    pid: int | None = None
    restarts: int = 0
    started_at: float = 0.0
    """Seconds since the epoch, of the process that runs now."""
    seconds_to_healthy: float = 0.0


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that makes up a mesh."""

    parts: tuple[Part, ...]
    steps: tuple[Step, ...] = field(default=())

    def __post_init__(self) -> None:
        names = [node.name for node in (*self.parts, *self.steps)]
        assert len(names) == len(set(names)), f"names are not unique: {names}"
        unknown = {need for node in (*self.parts, *self.steps) for need in node.needs} - set(names)
        unknown |= {ground for part in self.parts for ground in part.stands_on} - {part.name for part in self.parts}
        assert not unknown, f"needed but not there: {unknown}"
