"""Windows that had closed and hold no reading any more, since the last one was voided. They are stored nowhere; what is
remembered is how often they had closed, so that their next revision is higher than all that were told."""

from collections.abc import Iterable, Sequence

import numpy as np

from services.aggregation.domain.columns import Rows
from services.aggregation.domain.windows.open_windows import ClosedWindows

WindowPlace = tuple[int, int, int]
"""(local index of the series, step, start)."""


class VacantWindows:
    """Of one partition. There are few, mostly none."""

    def __init__(self) -> None:
        self._revisions: dict[WindowPlace, int] = {}

    def leave(self, windows: Iterable[tuple[WindowPlace, int]]) -> None:
        """Their last readings are gone; with the revision by which that is told."""
        self._revisions.update(windows)

    def fill(self, place: WindowPlace) -> int:
        """The window holds a reading again: how often it had closed before (0 where it was not vacant)."""
        return self._revisions.pop(place, 0) if self._revisions else 0

    def fill_closed(self, states: Rows, steps: Sequence[int], closed: Sequence[ClosedWindows]) -> list[WindowPlace]:
        """Has the revisions of closed windows, and of those that stay open, go on from those of vacant ones; which
        these were."""
        found: list[WindowPlace] = []
        for windows in closed if self._revisions else ():
            for place, before in list(self._revisions.items()):
                series, step, start = place
                at = np.flatnonzero((windows.series == series) & (windows.start == start))
                if step != windows.step or not len(at):
                    continue
                windows.revision[at] += before
                opened = states["open"][series, steps.index(step)]
                if opened["start"] == start:
                    opened["revision"] += before
                del self._revisions[place]
                found.append(place)
        return found
