"""What the supervisor tells whoever watches: the console in `tocsin up`, nobody in tests."""

from pathlib import Path
from typing import Protocol

from services.cli.runtime.part import Part, Plan, Step


class Reporter(Protocol):
    """Receives what happens to parts. Seconds are those that the event took."""

    def starting(self, plan: Plan, state_dir: Path) -> None:
        """The plan is made and about to be run."""
        ...

    def notice(self, text: str) -> None:
        """Something that the operator ought to know, a line."""
        ...

    def eased(self, text: str) -> None:
        """What was told by `notice` is over, a line."""
        ...

    def step_done(self, step: Step, done: str, seconds: float) -> None:
        """The supervisor has done something itself; `done` says what."""
        ...

    def healthy(self, part: Part, seconds: float, *, recovered: bool) -> None:
        """A part has become healthy; `recovered` when it had been before, or had to be restarted: then `seconds` are
        those without it."""
        ...

    def unhealthy(self, part: Part, reason: str, advice: str) -> None:
        """A part runs but does not work; `advice` says what the operator can do, empty when the machine does it."""
        ...

    def died(self, part: Part, what: str, delay: float, log: Path) -> None:
        """A part ended by itself and will be started again after `delay` seconds."""
        ...

    def restarting(self, part: Part, why: str) -> None:
        """A part that runs is stopped and started again."""
        ...

    def not_mended(self, part: Part, restarts: int, pause: float, log: Path) -> None:
        """So many restarts have not made a part healthy; the next ones come `pause` seconds apart at the most."""
        ...

    def stopped(self, part: Part, seconds: float, *, clean: bool) -> None:
        """A part has been stopped; not `clean` when it had to be killed."""
        ...

    def fault(self, where: str, what: str) -> None:
        """Something is wrong with the supervisor's own work `where`, which goes on."""
        ...


class SilentReporter:
    """Tells nobody."""

    def starting(self, plan: Plan, state_dir: Path) -> None:
        """Ignored."""

    def notice(self, text: str) -> None:
        """Ignored."""

    def eased(self, text: str) -> None:
        """Ignored."""

    def step_done(self, step: Step, done: str, seconds: float) -> None:
        """Ignored."""

    def healthy(self, part: Part, seconds: float, *, recovered: bool) -> None:
        """Ignored."""

    def unhealthy(self, part: Part, reason: str, advice: str) -> None:
        """Ignored."""

    def died(self, part: Part, what: str, delay: float, log: Path) -> None:
        """Ignored."""

    def stopped(self, part: Part, seconds: float, *, clean: bool) -> None:
        """Ignored."""

    def restarting(self, part: Part, why: str) -> None:
        """Ignored."""

    def not_mended(self, part: Part, restarts: int, pause: float, log: Path) -> None:
        """Ignored."""

    def fault(self, where: str, what: str) -> None:
        """Ignored."""
