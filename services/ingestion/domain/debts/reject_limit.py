"""How many rows of a file may be rejected before it is refused as a whole."""

import re
from dataclasses import dataclass
from typing import Final, Self

_WRITTEN: Final = re.compile(r"(?P<rows>[0-9]{1,15})|(?P<percent>[0-9]{1,3}(?:\.[0-9]{1,3})?)%")


@dataclass(frozen=True, slots=True)
class RejectLimit:
    """In rows, or in per cent of all rows, or both; None is no limit. False when there is none."""

    rows: int | None = None
    percent: float | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """`1000`, `5%`, or nothing. Raises ValueError."""
        match = _WRITTEN.fullmatch(text)
        if text and (match is None or float(match["percent"] or 0) > 100):
            raise ValueError("must be a number of rows like 1000, or a share like 5%")
        if match is None:
            return cls()
        return cls(rows=int(match["rows"])) if match["rows"] else cls(percent=float(match["percent"]))

    def __bool__(self) -> bool:
        return self.rows is not None or self.percent is not None

    def passed(self, rejected: int, rows: int) -> bool:
        """Whether more were rejected than may be, of so many rows at most."""
        return (self.rows is not None and rejected > self.rows) or (
            self.percent is not None and rejected * 100 > self.percent * rows
        )

    def __str__(self) -> str:
        said = [str(self.rows)] if self.rows is not None else []
        return " or ".join(said + ([f"{self.percent:g}%"] if self.percent is not None else []))


NO_LIMIT: Final = RejectLimit()
