"""Stored windows that an increase of a counter spans: they close again when it becomes known, with the same
readings."""

from collections.abc import Sequence

from services.aggregation.application.partition.partition_store import PartitionStore
from services.aggregation.domain.columns import Ints
from services.aggregation.domain.late.context import LateRange, SeriesRevision
from services.aggregation.domain.late.propagation import RevisedWindow
from services.aggregation.domain.windows.engine import Changes, Engine, SpannedWindows


async def reclose_spanned(
    store: PartitionStore, engine: Engine, ids: Ints, changes: Changes, revisions: dict[int, SeriesRevision]
) -> list[RevisedWindow]:
    """Their next revisions; not of those that close in this very write."""
    if not changes.spanned:
        return []
    new = {_key(window) for found in revisions.values() for window in found.revised if window.visible}
    new |= _closed(changes)
    return await raise_revisions(store, engine, ids, changes.spanned, new)


def merge_revisions(
    changes: Changes, revisions: dict[int, SeriesRevision], reclosed: Sequence[RevisedWindow]
) -> list[RevisedWindow]:
    """All revised windows of one write, each once. A visible change of a window wins, with the newest content."""
    revised = [window for found in revisions.values() for window in found.revised]
    silent = {_key(window): window for window in revised if not window.visible}
    if not silent:
        return [*revised, *reclosed]
    visible = [window for window in revised if window.visible]
    for window in reclosed:
        beneath = silent.pop(_key(window), window)
        visible.append(window._replace(row=beneath.row))
    closed = _closed(changes)
    return [*visible, *(window for key, window in silent.items() if key not in closed)]


def _key(window: RevisedWindow) -> tuple[int, int, int]:
    return window.series, window.step, window.start


def _closed(changes: Changes) -> set[tuple[int, int, int]]:
    found: set[tuple[int, int, int]] = set()
    for closed in changes.closed:
        keys = zip(closed.series.tolist(), closed.start.tolist(), strict=True)
        found.update((series, closed.step, start) for series, start in keys)
    return found


async def raise_revisions(
    store: PartitionStore, engine: Engine, ids: Ints, spanned: Sequence[SpannedWindows], new: set[tuple[int, int, int]]
) -> list[RevisedWindow]:
    """The windows that each of these is about, but for those that are `new` (series, step, start) anyway."""
    ranges = [LateRange(one.series, one.since, one.until + 1) for one in spanned]
    contexts = await store.contexts(ids, ranges)
    found: dict[tuple[int, int, int], RevisedWindow] = {}
    for one, context in zip(spanned, contexts, strict=True):
        for step, stored in zip(engine.rules.steps, context.windows, strict=True):
            for at, start in enumerate(stored.start.tolist()):
                key = one.series, step, start
                if key not in new and one.since - step < start <= one.until - step:
                    found[key] = RevisedWindow(step, one.series, start, int(stored.revision[at]) + 1, stored.rows[at])
    return list(found.values())
