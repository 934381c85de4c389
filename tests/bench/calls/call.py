"""What a benchmark of one call is described by, and what it may use."""

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import asyncpg
import numpy as np
from numpy.typing import NDArray

from services.cli.client import MeshClient
from tests.bench.calls.world import World

MOST = 20_000
"""Requests of one run at the most, for calls that need a row of their own each."""


def microseconds() -> int:
    """Of now since the Unix epoch."""
    return time.time_ns() // 1_000


def milliseconds() -> int:
    """Of now since the Unix epoch."""
    return time.time_ns() // 1_000_000


@dataclass
class Bench:
    """The mesh, the world outside, and a session of the role that may do everything."""

    mesh: MeshClient
    world: World
    database: "asyncpg.Connection[asyncpg.Record]"
    idle: Mapping[str, float] = field(default_factory=dict[str, float])
    """Part -> share of a core that it uses at rest."""
    counts_at_rest: NDArray[np.float64] = field(default_factory=lambda: np.zeros(4))
    names: dict[str, str] = field(default_factory=dict[str, str])
    """What a call's preparation leaves for its path, as `{building}`."""


@dataclass(frozen=True, kw_only=True)
class Call:
    """One request that 32 connections send over and over. `{n}` in path and body becomes a number that no other
    request has (12 digits or more), `{connection}` the connection's, modulo `spread`. The twin answers the same request
    on the same path (see `twins`)."""

    name: str
    path: str
    body: Mapping[str, Any] | str | None = None
    """JSON, as text where a number is to stand in it bare."""
    method: str = ""
    spread: int = 32
    first: Callable[[], int] = microseconds
    """The first `{n}` of a run."""
    prepare: Callable[[Bench], Awaitable[None]] | None = None
    """Makes what the call finds, once."""
    rows: Callable[[Bench, int], Awaitable[None]] | None = None
    """Makes `MOST` rows for the requests from this number on, before each run."""
    unfinished: str = ""
    """SQL: how much of what follows from the calls is still to be done. Its cost is the call's, too."""
    frozen: str = ""
    """The part that stands still meanwhile; what it is left with is done afterwards, and not counted."""

    @property
    def title(self) -> str:
        """For the table."""
        method = self.method or ("POST" if self.body is not None else "GET")
        return f"{method} {self.path}" + (f", {self.frozen} stopped" if self.frozen else "")


@dataclass(frozen=True)
class Outcome:
    """What a run of a flow made: how many in how many seconds."""

    items: int
    seconds: float

    @property
    def per_second(self) -> float:
        """The rate."""
        return self.items / self.seconds


@dataclass(frozen=True, kw_only=True)
class Flow:
    """Something that begins with calls and ends when what follows from them has been done."""

    name: str
    title: str
    run: Callable[[Bench], Awaitable[Outcome]]
    twin: Callable[[Bench], Awaitable[Outcome]] | None = None
    prepare: Callable[[Bench], Awaitable[None]] | None = None
