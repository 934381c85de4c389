"""What a mesh takes of its disk is decided before it takes it."""

from pathlib import Path

import pytest

from services.chassis.nats import TopologyOptions
from services.chassis.nats.topology import stream_bytes
from services.cli.runtime import disk
from services.cli.runtime.errors import ConfigurationProblem


def _free(monkeypatch: pytest.MonkeyPatch, mebibytes: int) -> None:
    monkeypatch.setattr(disk, "free_bytes", lambda _: mebibytes * disk.MIB)


def test_a_disk_without_room_is_refused_with_both_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _free(monkeypatch, 500)
    with pytest.raises(ConfigurationProblem, match=r"needs 768 MiB of free disk, and there are 500 MiB .*--state-dir"):
        disk.require_room(tmp_path)


def test_the_disk_of_a_directory_that_is_not_there_yet(tmp_path: Path) -> None:
    assert disk.free_bytes(tmp_path / "not" / "yet") > 0


def test_streams_take_half_of_a_small_disk_and_say_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _free(monkeypatch, 2048)
    fitting, said = disk.streams_on_disk(TopologyOptions(), tmp_path)
    assert sum(stream_bytes(fitting).values()) == 608 * disk.MIB
    assert said == "streams may take 608 MiB in place of 9,728 MiB, as 2,048 MiB of disk are free"


def test_streams_say_nothing_on_a_large_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _free(monkeypatch, 20_000)
    assert disk.streams_on_disk(TopologyOptions(), tmp_path) == (TopologyOptions(), "")


def test_what_the_streams_hold_is_room_of_theirs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "1.blk").write_bytes(b"x" * (64 * disk.MIB))
    _free(monkeypatch, 2 * 608 - 64)
    fitting, _ = disk.streams_on_disk(TopologyOptions(), tmp_path)
    assert sum(stream_bytes(fitting).values()) == 608 * disk.MIB


@pytest.mark.parametrize(("free", "journal"), [(64_000, "4096MB"), (2048, "512MB"), (300, "128MB")])
def test_the_journal_takes_a_quarter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, journal: str) -> None:
    _free(monkeypatch, free)
    assert disk.journal_settings(tmp_path)["max_wal_size"] == journal
