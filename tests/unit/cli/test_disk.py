"""What a mesh takes of its disk is decided before it takes it."""

import errno
from pathlib import Path

import pytest

from services.chassis.nats import TopologyOptions
from services.chassis.nats.topology import stream_bytes
from services.cli.runtime import disk
from services.cli.runtime.errors import ConfigurationProblem, RuntimeProblem


def _free(monkeypatch: pytest.MonkeyPatch, mebibytes: int) -> None:
    monkeypatch.setattr(disk, "free_bytes", lambda _: mebibytes * disk.MIB)


def test_a_disk_without_room_is_refused_with_both_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _free(monkeypatch, 500)
    with pytest.raises(ConfigurationProblem, match=r"needs 768 MiB of free disk, and there are 500 MiB .*--state-dir"):
        disk.require_room(tmp_path)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_start_that_cannot_write_its_files_says_why(tmp_path: Path, number: int) -> None:
    told = r"the disk of the state directory .* is full .*free some, then start again$"
    with pytest.raises(RuntimeProblem, match=told), disk.needing_room(tmp_path):
        raise OSError(number, "no room")


def test_a_server_that_does_not_start_on_a_full_disk_is_not_to_blame(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def start() -> None:
        with disk.needing_room(tmp_path):
            raise RuntimeProblem("postgres does not start", exit_code=2)

    with pytest.raises(RuntimeProblem, match=r"^postgres does not start$"):
        start()
    _free(monkeypatch, 15)
    with pytest.raises(RuntimeProblem, match=r"is full \(15,360 KiB are free\).*\npostgres does not start$") as told:
        start()
    assert told.value.exit_code == 2


def test_what_is_not_about_room_stays_what_it_is(tmp_path: Path) -> None:
    with pytest.raises(PermissionError), disk.needing_room(tmp_path):
        raise PermissionError(errno.EACCES, "not yours")


def test_the_disk_of_a_directory_that_is_not_there_yet(tmp_path: Path) -> None:
    assert disk.free_bytes(tmp_path / "not" / "yet") > 0


def test_streams_take_half_of_a_small_disk_and_say_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _free(monkeypatch, 2048)
    fitting, said = disk.streams_on_disk(TopologyOptions(), tmp_path)
    assert sum(stream_bytes(fitting).values()) == 624 * disk.MIB
    assert said == "streams may take 624 MiB in place of 9,984 MiB, as 2,048 MiB of disk are free"


def test_streams_say_nothing_on_a_large_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _free(monkeypatch, 20_000)
    assert disk.streams_on_disk(TopologyOptions(), tmp_path) == (TopologyOptions(), "")


def test_what_the_streams_hold_is_room_of_theirs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "1.blk").write_bytes(b"x" * (64 * disk.MIB))
    _free(monkeypatch, 2 * 624 - 64)
    fitting, _ = disk.streams_on_disk(TopologyOptions(), tmp_path)
    assert sum(stream_bytes(fitting).values()) == 624 * disk.MIB


@pytest.mark.parametrize(("free", "journal"), [(64_000, "4096MB"), (2048, "512MB"), (300, "128MB")])
def test_the_journal_takes_a_quarter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, journal: str) -> None:
    _free(monkeypatch, free)
    assert disk.journal_settings(tmp_path)["max_wal_size"] == journal
