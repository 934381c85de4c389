"""A copy of JetStream's files, made twice: while NATS works, which takes most of the time, and while it stands still,
which needs what has changed since only."""

import os
import shutil
import time
from pathlib import Path

from services.cli.runtime.errors import RuntimeProblem

_UNSURE_NS = 1_000_000_000
"""A file that changed so shortly before it was copied may have changed since without another time."""


class TooSlow(RuntimeProblem):
    """The copy was not up to date in time."""


class StreamCopy:
    """`target` becomes what `source` is."""

    def __init__(self, source: Path, target: Path) -> None:
        self._source, self._target = source, target
        self._copied: dict[Path, tuple[int, ...]] = {}

    def refresh(self, deadline: float = float("inf")) -> int:
        """Copies what is new or has changed and removes what is gone; how many bytes that were. A source that nobody
        writes to meanwhile is copied as it is. Raises TooSlow when it is not done at `deadline` (monotonic)."""
        copied = 0
        seen: set[Path] = set()
        for folder, _, names in os.walk(self._source):
            inside = Path(folder).relative_to(self._source)
            (self._target / inside).mkdir(mode=0o700, parents=True, exist_ok=True)
            seen.add(inside)
            for name in names:
                if time.monotonic() > deadline:
                    raise TooSlow("the streams take longer to copy than the mesh may stand still")
                size = self._copy(inside / name)
                if size is not None:
                    seen.add(inside / name)
                    copied += size
        self._remove_others(seen)
        return copied

    def _copy(self, name: Path) -> int | None:
        """The bytes that were copied; None when the file is gone."""
        source, target = self._source / name, self._target / name
        try:
            with source.open("rb") as file:
                found = os.fstat(file.fileno())
                stamp = (found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
                if self._copied.get(name) == stamp:
                    return 0
                begun = time.time_ns()
                with target.open("wb") as copy:
                    shutil.copyfileobj(file, copy, 1024 * 1024)
        except FileNotFoundError:
            return None
        if found.st_mtime_ns < begun - _UNSURE_NS:
            self._copied[name] = stamp
        else:
            self._copied.pop(name, None)
        return found.st_size

    def _remove_others(self, seen: set[Path]) -> None:
        for folder, _, names in os.walk(self._target, topdown=False):
            inside = Path(folder).relative_to(self._target)
            for name in names:
                if inside / name not in seen:
                    (Path(folder) / name).unlink()
                    self._copied.pop(inside / name, None)
            if inside not in seen:
                Path(folder).rmdir()
