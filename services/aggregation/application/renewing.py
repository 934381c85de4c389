"""Stored windows that close again though nothing in them has changed: an increase that crosses them became known."""

from collections.abc import Sequence

from services.aggregation.application.ports import PartitionStore
from services.aggregation.domain.climb import Revised
from services.aggregation.domain.engine import Changes, Engine, Spanned
from services.aggregation.domain.revision import LateRange, Placed
from services.aggregation.domain.summary import Ints


async def renew(
    store: PartitionStore, engine: Engine, ids: Ints, changes: Changes, placed: dict[int, Placed]
) -> list[Revised]:
    """Their next revisions; not of those that close in this very write."""
    if not changes.spanned:
        return []
    new = {_key(window) for found in placed.values() for window in found.revised if window.told}
    new |= _closed(changes)
    return await raise_revisions(store, engine, ids, changes.spanned, new)


def together(changes: Changes, placed: dict[int, Placed], renewed: Sequence[Revised]) -> list[Revised]:
    """All revised windows of one write, each once. What is told of a window wins, with the newest content."""
    revised = [window for found in placed.values() for window in found.revised]
    silent = {_key(window): window for window in revised if not window.told}
    if not silent:
        return [*revised, *renewed]
    told = [window for window in revised if window.told]
    for window in renewed:
        beneath = silent.pop(_key(window), window)
        told.append(window._replace(row=beneath.row))
    closed = _closed(changes)
    return [*told, *(window for key, window in silent.items() if key not in closed)]


def _key(window: Revised) -> tuple[int, int, int]:
    return window.series, window.step, window.start


def _closed(changes: Changes) -> set[tuple[int, int, int]]:
    found: set[tuple[int, int, int]] = set()
    for closed in changes.closed:
        keys = zip(closed.series.tolist(), closed.start.tolist(), strict=True)
        found.update((series, closed.step, start) for series, start in keys)
    return found


async def raise_revisions(
    store: PartitionStore, engine: Engine, ids: Ints, spanned: Sequence[Spanned], new: set[tuple[int, int, int]]
) -> list[Revised]:
    """The windows that each of these is about, but for those that are `new` (series, step, start) anyway."""
    ranges = [LateRange(one.series, one.since, one.until + 1) for one in spanned]
    contexts = await store.contexts(ids, ranges)
    found: dict[tuple[int, int, int], Revised] = {}
    for one, context in zip(spanned, contexts, strict=True):
        for step, stored in zip(engine.rules.steps, context.windows, strict=True):
            for at, start in enumerate(stored.start.tolist()):
                key = one.series, step, start
                if key not in new and one.since - step < start <= one.until - step:
                    found[key] = Revised(step, one.series, start, int(stored.revision[at]) + 1, stored.rows[at])
    return list(found.values())
