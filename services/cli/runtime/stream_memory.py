"""Remembers how far each stream had come, to tell when the server comes back with less.

With one replica JetStream cannot know that a block is torn or a directory is an older copy: it takes what it finds.
What it had acknowledged before is gone then, and somebody has to hear of it.
"""

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

from services.chassis.mesh_names import MeshNames
from services.cli.runtime.errors import describe
from services.cli.runtime.state import StateDir
from services.cli.runtime.tasks import Tell, Told

_WRITE_EVERY_SECONDS = 2.0
_MOST_LOSSES = 50
_TOLD_FOR_SECONDS = 7 * 86_400.0


class _Seen(TypedDict):
    created: str
    last_sequence: int


class _Loss(TypedDict):
    at: float
    stream: str
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamLoss:
    """One stream that came back with less than it had; `at` is when that was seen, in seconds since the epoch."""

    at: float
    stream: str
    what: str


class StreamMemory:
    """What was last seen of the streams of one server, kept in the state directory."""

    def __init__(self, state: StateDir, tell: Tell, names: MeshNames) -> None:
        self._state = state
        self._tell = tell
        self._names = names
        self._seen, self._losses = _read(state)
        self._changed = asyncio.Event()

    def compare(self, jsz: dict[str, Any]) -> None:
        """Takes in what the server tells of its streams now; a loss is told, and kept for `tocsin status`."""
        from services.chassis.nats.topology import HEALTH

        # It changes all the time, and holds nothing.
        passed_over = self._names.stream(HEALTH)
        now: dict[str, _Seen] = {
            stream["name"]: {"created": stream["created"], "last_sequence": stream["state"]["last_seq"]}
            for account in jsz.get("account_details") or []
            for stream in account.get("stream_detail") or []
            if stream["name"] != passed_over
        }
        for name, before in self._seen.items():
            if what := _loss(before, now.get(name)):
                loss: _Loss = {"at": time.time(), "stream": name, "what": what}
                self._losses = [*self._losses, loss][-_MOST_LOSSES:]
                self._tell("nats", f"stream {name} {what}")
        if now != self._seen:
            self._seen = now
            self._changed.set()

    def acknowledge(self, until: float) -> int:
        """Forgets the losses that were seen until then, in seconds since the epoch; the journal has them still. How
        many those were."""
        kept = [loss for loss in self._losses if loss["at"] > until]
        acknowledged, self._losses = len(self._losses) - len(kept), kept
        self._changed.set()
        return acknowledged

    async def keep(self) -> None:
        """Writes what has changed, every few seconds at most; endless."""
        told = Told("streams", self._tell)
        while True:
            await self._changed.wait()
            self._changed.clear()
            try:
                self.write()
            except OSError as error:
                told.fault(f"{_file(self._state)} cannot be written: {describe(error)}; it is tried again")
                self._changed.set()
            else:
                told.well()
            await asyncio.sleep(_WRITE_EVERY_SECONDS)

    def write(self) -> None:
        """Writes the file."""
        self._state.write_json(_file(self._state), {"streams": self._seen, "losses": self._losses}, durable=False)


def _loss(before: _Seen, now: _Seen | None) -> str:
    last = before["last_sequence"]
    if now is None:
        return f"is gone; the last message that it was seen to hold had sequence {last:,}" if last else ""
    if now["created"] != before["created"]:
        return f"was made anew; what had not been processed of it up to sequence {last:,} is lost" if last else ""
    missing = last - now["last_sequence"]
    if missing <= 0:
        return ""
    return (
        f"came back shorter: its last sequence is {now['last_sequence']:,} and was {last:,}; of the {missing:,} "
        "messages after that, those that had not been processed are lost"
    )


def read_losses(state: StateDir) -> list[StreamLoss]:
    """What was lost of streams in the last days, as far as it was seen; oldest first."""
    since = time.time() - _TOLD_FOR_SECONDS
    return [StreamLoss(**loss) for loss in _read(state)[1] if loss["at"] >= since]


def _read(state: StateDir) -> tuple[dict[str, _Seen], list[_Loss]]:
    """Streams by name, and losses; what is damaged of it counts as not seen."""
    stored = state.read_derived(_file(state))
    seen: dict[str, _Seen] = {}
    losses: list[_Loss] = []
    match stored.get("streams"):
        case {**streams}:
            for name, stream in streams.items():
                match stream:
                    case {"created": str(created), "last_sequence": int(last)}:
                        seen[name] = {"created": created, "last_sequence": last}
                    case _:
                        pass
        case _:
            pass
    match stored.get("losses"):
        case [*told]:
            for loss in told:
                match loss:
                    case {"at": float(at), "stream": str(stream), "what": str(what)}:
                        losses.append({"at": at, "stream": stream, "what": what})
                    case _:
                        pass
        case _:
            pass
    return seen, losses


def _file(state: StateDir) -> Path:
    return state.root / "streams.json"
