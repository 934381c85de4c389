"""How the place of a partition in its stream is kept: `stream`, `position` and the rest in `bookmark`."""

import json
import math

from services.aggregation.domain.partition.continuity import Bookmark, Position


def read(stream: str, position: int, rest: str | None) -> Bookmark:
    """As it was left; where a replica of an earlier version has moved the position, with what that tells."""
    kept = {} if rest is None else json.loads(rest)
    if kept.get("sequence", 0) != position:
        # It holds by its number alone, and everything up to it may have been met.
        return Bookmark(stream, Position(position, math.inf), floor=position)
    if not kept:
        return Bookmark(stream)
    return Bookmark(stream, Position(position, kept["stored"]), kept["floor"], kept["latest"], kept["publishers"])


def columns(bookmark: Bookmark | None) -> tuple[str | None, int | None, str | None]:
    """`stream`, `position` and `bookmark`; None leaves a column as it is."""
    if bookmark is None:
        return None, None, None
    stream, (sequence, stored), floor, latest, publishers = bookmark
    if math.isinf(stored):
        # As an earlier version left it: to be read like that again.
        return stream, sequence, None
    rest = {"sequence": sequence, "stored": stored, "floor": floor, "latest": latest, "publishers": dict(publishers)}
    return stream, sequence, json.dumps(rest)
