"""A line of blocks for a line of numbers."""

from collections.abc import Sequence

BLOCKS = "▁▂▃▄▅▆▇█"
GAP = "·"


def sparkline(values: Sequence[float | None]) -> str:
    """One character a value, the least the lowest block and the greatest the highest; a dot where nothing is known."""
    known = [value for value in values if value is not None]
    if not known:
        return GAP * len(values)
    least, most = min(known), max(known)
    return "".join(GAP if value is None else _block(value, least, most) for value in values)


def _block(value: float, least: float, most: float) -> str:
    if least == most:
        return BLOCKS[len(BLOCKS) // 2]
    # Halves first: the difference of two extreme numbers may be more than a double holds.
    share = (value / 2 - least / 2) / (most / 2 - least / 2)
    return BLOCKS[min(int(share * len(BLOCKS)), len(BLOCKS) - 1)]
