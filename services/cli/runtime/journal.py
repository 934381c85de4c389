"""The supervisor's own log, `runtime.log`: what it tells the console, as lines of the shape that services log in."""

import contextlib
import json
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import ParamSpec

from services.cli.runtime.logs import LogFile
from services.cli.runtime.part import Part, Plan, Step
from services.cli.runtime.reporter import Reporter

JOURNAL = "runtime"
_P = ParamSpec("_P")


class Journal:
    """A reporter that writes down what it hears and passes it on. A disk that is full, or a console that is gone, costs
    lines, nothing else."""

    def __init__(self, log: LogFile, listener: Reporter) -> None:
        self._log = log
        self._listener = listener
        self._console_gone = False

    def starting(self, plan: Plan, state_dir: Path) -> None:
        """The plan is about to be run."""
        self._write("info", "starting", parts=[part.name for part in plan.parts], pid=os.getpid())
        self._pass_on(self._listener.starting, plan, state_dir)

    def notice(self, text: str) -> None:
        """Something that the operator ought to know."""
        self._write("warning", "notice", text=text)
        self._pass_on(self._listener.notice, text)

    def eased(self, text: str) -> None:
        """What the operator need not mind any more."""
        self._write("info", "notice", text=text)
        self._pass_on(self._listener.eased, text)

    def step_done(self, step: Step, done: str, seconds: float) -> None:
        """A finished preparation."""
        self._write("info", "step done", step=step.name, done=done, seconds=round(seconds, 3))
        self._pass_on(self._listener.step_done, step, done, seconds)

    def healthy(self, part: Part, seconds: float, *, recovered: bool) -> None:
        """A part that stands."""
        self._write("info", "part healthy", part=part.name, seconds=round(seconds, 3), recovered=recovered)
        self._pass_on(self._listener.healthy, part, seconds, recovered=recovered)

    def unhealthy(self, part: Part, reason: str, advice: str) -> None:
        """A part that does not work."""
        self._write("warning", "part unhealthy", part=part.name, reason=reason, advice=advice)
        self._pass_on(self._listener.unhealthy, part, reason, advice)

    def restarting(self, part: Part, why: str) -> None:
        """A part that is stopped and started again."""
        self._write("warning", "part restarting", part=part.name, why=why)
        self._pass_on(self._listener.restarting, part, why)

    def not_mended(self, part: Part, restarts: int, pause: float, log: Path) -> None:
        """A part that restarts do not mend."""
        self._write("error", "part not mended", part=part.name, restarts=restarts, next_within=round(pause, 3))
        self._pass_on(self._listener.not_mended, part, restarts, pause, log)

    def died(self, part: Part, what: str, delay: float, log: Path) -> None:
        """A part that ended by itself."""
        self._write("error", "part died", part=part.name, what=what, restart_in=round(delay, 3))
        self._pass_on(self._listener.died, part, what, delay, log)

    def stopped(self, part: Part, seconds: float, *, clean: bool) -> None:
        """A part that has been stopped."""
        self._write(
            "info" if clean else "warning", "part stopped", part=part.name, seconds=round(seconds, 3), clean=clean
        )
        self._pass_on(self._listener.stopped, part, seconds, clean=clean)

    def fault(self, where: str, what: str) -> None:
        """Trouble of the supervisor itself."""
        self._write("error", "fault", where=where, what=what)
        self._pass_on(self._listener.fault, where, what)

    def failed(self, message: str) -> None:
        """The mesh ends, or does not start, for this reason."""
        self._write("critical", "failed", reason=message)

    def down(self) -> None:
        """The end."""
        self._write("info", "down")

    def console(self, show: Callable[[], None]) -> None:
        """Shows something that is not written down, if there is a console still."""
        self._pass_on(show)

    def _pass_on(self, tell: Callable[_P, None], *args: _P.args, **kwargs: _P.kwargs) -> None:
        try:
            tell(*args, **kwargs)
        except (OSError, SystemExit) as error:  # rich ends the program when its pipe is broken
            if not self._console_gone:
                self._console_gone = True
                self._write("warning", "console cannot be written", reason=f"{type(error).__name__}: {error}")
        else:
            self._console_gone = False

    def _write(self, level: str, event: str, **values: object) -> None:
        now = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        line = {"time": now, "level": level, "service": JOURNAL, "event": event, **values}
        with contextlib.suppress(OSError):
            handle = self._log.open()
            try:
                os.write(handle, json.dumps(line, ensure_ascii=False).encode() + b"\n")
            finally:
                os.close(handle)
