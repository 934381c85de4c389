"""Where texts of debt files outlive a process."""

import os
from pathlib import Path

from services.ingestion.application.debts.spool_directory import SpoolDirectory


def test_what_is_kept_is_found_by_whoever_comes_after(tmp_path: Path) -> None:
    mine, other = SpoolDirectory(tmp_path), SpoolDirectory(tmp_path)
    file = mine.temporary()
    file.write(b"text")
    assert mine.keep(file, "one", {"lines": 3})
    assert list(other.abandoned()) == []  # somebody works on it
    file.close()
    [found] = other.abandoned()
    assert (found.file_id, found.file.read(), found.note) == ("one", b"text", {"lines": 3})
    assert list(mine.abandoned()) == []
    other.remove("one")
    other.remove("one")
    found.file.close()
    assert os.listdir(tmp_path) == []


def test_what_a_dead_process_had_begun_is_swept_away(tmp_path: Path) -> None:
    directory = SpoolDirectory(tmp_path)
    for name, content in (
        ("received.part", b"half of it"),
        ("unnoted.text", b"all of it"),
        ("cut.text", b"all of it"),
        ("cut.json", b'{"lines'),
    ):
        (tmp_path / name).write_bytes(content)
    held = directory.temporary()
    assert list(directory.abandoned()) == []
    assert len(os.listdir(tmp_path)) == 1
    held.close()
    assert os.listdir(tmp_path) == []


def test_without_a_directory_nothing_is_kept() -> None:
    directory = SpoolDirectory(None)
    with directory.temporary() as file:
        file.write(b"text")
        assert not directory.keep(file, "one", {})
        directory.remove("one")
        assert list(directory.abandoned()) == []
