"""Messages that cannot be processed."""

from collections.abc import Sequence

from services.aggregation.application.partition.reading_lane import Message
from services.aggregation.domain.partition.continuity import Position


class PoisonMessages:
    """Finds the message that cannot be processed. Among many it does not show: after a failure messages go one at a
    time, and one that has failed twice alone is given up."""

    _TRIES = 2
    _WARY = 200
    """Messages that must go well, one at a time, before they go together again."""

    def __init__(self) -> None:
        self._alone: Message | None = None
        self._failed: dict[Position, list[Exception]] = {}
        self._left = 0

    @property
    def wary(self) -> bool:
        """Whether messages are to be processed one at a time."""
        return self._left > 0

    def begin(self, messages: Sequence[Message]) -> None:
        """These are processed now."""
        self._alone = messages[0] if self.wary and len(messages) == 1 else None

    def end(self) -> None:
        """It went well."""
        self._left = max(self._left - 1, 0)
        self._alone = None
        if not self._left:
            self._failed.clear()

    def failed(self, error: Exception) -> None:
        """It did not."""
        if self._alone is not None:
            self._failed.setdefault(self._alone.position, []).append(error)
        self._alone, self._left = None, self._WARY

    def hopeless(self, position: Position) -> Exception | None:
        """Why the message there is given up; None while it is not."""
        found = self._failed.get(position, [])
        return found[-1] if len(found) >= self._TRIES else None
