"""The console of `tocsin up`: one calm line per event, a banner when all is healthy."""

import time
from pathlib import Path

from rich.console import Console
from rich.text import Text

from services.cli.runtime.part import Part, Plan, Step

_LEAST_NAME_WIDTH = 10


class ConsoleReporter:
    """Prints what happens to parts; after `all_ready` also the time of day, for whoever comes back later."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._all_ready = False
        self._name_width = _LEAST_NAME_WIDTH

    def all_ready(self) -> None:
        """From now on events are out of the ordinary."""
        self._all_ready = True

    def starting(self, plan: Plan, state_dir: Path) -> None:
        """The first lines."""
        opening = Text.assemble(("\nTocsin", "bold"), ("  starting; state in ", "bright_black"), str(state_dir), "\n")
        self._console.print(opening, soft_wrap=True)
        self._name_width = max(self._name_width, *(len(part.name) + 2 for part in plan.parts))

    def notice(self, text: str) -> None:
        """What the operator ought to know."""
        self._line("!", "yellow", "note", None, text)

    def eased(self, text: str) -> None:
        """What is over."""
        self._line("●", "green", "note", None, text)

    def step_done(self, step: Step, done: str, seconds: float) -> None:
        """A finished preparation."""
        self._line("·", "cyan", step.name, seconds, done)

    def healthy(self, part: Part, seconds: float, *, recovered: bool) -> None:
        """A part that stands."""
        self._line("●", "green", part.name, seconds, "healthy again" if recovered else part.address)

    def unhealthy(self, part: Part, reason: str, advice: str) -> None:
        """A part that does not work."""
        self._line("●", "yellow", part.name, None, f"unhealthy: {reason}" + (f"; {advice}" if advice else ""))

    def restarting(self, part: Part, why: str) -> None:
        """A part that is stopped and started again."""
        self._line("✗", "yellow", part.name, None, f"starting it again: {why}")

    def not_mended(self, part: Part, restarts: int, pause: float, log: Path) -> None:
        """A part that restarts do not mend."""
        told = (
            f"{restarts} restarts have not mended it; look at {log}. It is tried again, {pause:.0f} s apart at the most"
        )
        self._line("✗", "red", part.name, None, told)

    def died(self, part: Part, what: str, delay: float, log: Path) -> None:
        """A part that ended by itself."""
        self._line("✗", "red", part.name, None, f"{what}; starting it again in {delay:.2g} s (log: {log})")

    def stopped(self, part: Part, seconds: float, *, clean: bool) -> None:
        """A part that has been stopped."""
        self._line("○", "bright_black", part.name, seconds, "stopped" if clean else "killed: it did not stop in time")

    def fault(self, where: str, what: str) -> None:
        """Trouble of the supervisor itself."""
        self._line("!", "yellow", where, None, what)

    def _line(self, sign: str, colour: str, name: str, seconds: float | None, detail: str) -> None:
        line = Text("  ")
        if self._all_ready:
            line.append(time.strftime("%H:%M:%S  "), style="bright_black")
        line.append(f"{sign} ", style=colour)
        line.append(f"{name:<{self._name_width}}")
        line.append("        " if seconds is None else f"{seconds:6.2f} s", style="bright_black")
        line.append(f"  {detail}", style="bright_black" if sign in "●○·" and colour != "yellow" else colour)
        self._console.print(line, soft_wrap=True, highlight=False)
