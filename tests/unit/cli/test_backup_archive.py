"""The archive: what goes in comes out; what was cut short, changed, is newer or something else is refused."""

import gzip
import io
import os
import stat
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from services.cli.backup import restore as restoring
from services.cli.backup.archive import FORMAT, ArchiveWriter, new_archive, opened_archive
from services.cli.backup.create import place_of
from services.cli.backup.restore import check_archive, is_newer, restore
from services.cli.backup.stream_copy import StreamCopy, TooSlow
from services.cli.runtime.errors import ConfigurationProblem, RuntimeProblem
from services.cli.runtime.postgres_binaries import find_postgres
from services.cli.runtime.state import StateDir

POSTGRES = find_postgres().version
HEADER = {"tocsin": "0.1.0", "createdAt": "2026-01-01T00:00:00+00:00", "postgresMajor": POSTGRES}


def put_a_mesh(writer: ArchiveWriter) -> None:
    """What counts as a mesh, and a large file."""
    for name, content in {"TOCSIN": b"mark", "secrets.json": b"{}", "postgres/PG_VERSION": POSTGRES.encode()}.items():
        writer.content(name, content)
    writer.directory("nats/empty")
    writer.content("nats/jetstream/1.blk", os.urandom(300_000))


def make(path: Path, put: Callable[[ArchiveWriter], None] = put_a_mesh, **header: Any) -> Path:
    with new_archive(path, HEADER | header) as writer:
        put(writer)
    return path


@pytest.mark.parametrize("name", ["backup.tar", "backup.tar.gz"])
def test_it_comes_out_as_it_went_in_and_is_closed_to_others(tmp_path: Path, name: str) -> None:
    archive = make(tmp_path / name)
    assert stat.S_IMODE(archive.stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert check_archive(archive).files == 4
    state = StateDir(tmp_path / "new" / "state")
    found = restore(archive, state)
    assert (found.version, found.files) == ("0.1.0", 4)
    assert state.secrets_file.read_text() == "{}"
    assert (state.nats / "empty").is_dir()
    assert (state.nats / "jetstream" / "1.blk").stat().st_size == 300_000
    assert {stat.S_IMODE(path.stat().st_mode) for path in state.root.rglob("*")} == {0o600, 0o700}
    assert not (state.root / ".restoring").exists()


def test_files_that_are_written_meanwhile_are_taken_as_long_as_they_were(tmp_path: Path) -> None:
    source = tmp_path / "segment"
    source.write_bytes(b"x" * 100)

    def put(writer: ArchiveWriter) -> None:
        put_a_mesh(writer)
        assert writer.file("postgres/segment", source)
        assert not writer.file("postgres/gone", tmp_path / "gone")

    archive = make(tmp_path / "backup.tar", put)
    assert check_archive(archive).files == 5


@pytest.mark.parametrize("name", ["backup.tar", "backup.tar.gz"])
@pytest.mark.parametrize("kept", [0, 10, 1024, 20_000, -3000])
def test_one_that_was_cut_short_is_refused_and_leaves_nothing(tmp_path: Path, name: str, kept: int) -> None:
    archive = make(tmp_path / name)
    archive.write_bytes(archive.read_bytes()[:kept])
    refused(archive, tmp_path / "state", "is damaged")


@pytest.mark.parametrize("at", [0.3, 0.6, 0.9])
def test_one_of_which_a_byte_has_changed_is_refused(tmp_path: Path, at: float) -> None:
    archive = make(tmp_path / "backup.tar")
    content = bytearray(archive.read_bytes())
    content[int(len(content) * at)] ^= 0xFF
    archive.write_bytes(content)
    refused(archive, tmp_path / "state", "is damaged")


def refused(archive: Path, target: Path, why: str) -> None:
    with pytest.raises(RuntimeProblem, match=why):
        check_archive(archive)
    with pytest.raises(RuntimeProblem, match=why):
        restore(archive, StateDir(target))
    assert not target.exists()


def test_newer_ones_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(restoring, "tocsin_version", lambda: "1.2.0")
    refused(make(tmp_path / "a.tar", tocsin="1.2.1"), tmp_path / "state", "made by Tocsin 1.2.1, which is newer")
    refused(make(tmp_path / "b.tar", format=FORMAT + 1), tmp_path / "state", "which is newer")
    assert check_archive(make(tmp_path / "c.tar", tocsin="1.2.0")).version == "1.2.0"


@pytest.mark.parametrize(
    ("one", "other", "newer"),
    [
        ("1.10.0", "1.9.0", True),
        ("1.0.0", "1.0.0.dev0", True),
        ("1.0.0.dev0", "1.0.0", False),
        ("1.0.0", "1.0.0", False),
    ],
)
def test_order_of_versions(one: str, other: str, newer: bool) -> None:
    assert is_newer(one, other) is newer


def test_another_postgresql_is_refused(tmp_path: Path) -> None:
    archive = make(tmp_path / "backup.tar", postgresMajor="9")
    with pytest.raises(
        RuntimeProblem, match=r"is of PostgreSQL 9, and the programs here are .*TOCSIN_POSTGRES_BIN_DIR"
    ):
        restore(archive, StateDir(tmp_path / "state"))


@pytest.mark.parametrize("what", ["a file", "secrets of another host", "a mesh"])
def test_a_directory_that_holds_anything_is_left_as_it_is(tmp_path: Path, what: str) -> None:
    archive = make(tmp_path / "backup.tar")
    state = StateDir(tmp_path / "state")
    state.root.mkdir(mode=0o700)
    if what == "a mesh":
        state.create()
    else:
        (state.root / ("letter" if what == "a file" else "secrets.json")).write_text("mine")
    before = sorted(state.root.rglob("*"))
    with pytest.raises(ConfigurationProblem):
        restore(archive, state)
    assert sorted(state.root.rglob("*")) == before


def test_what_leads_outside_is_refused(tmp_path: Path) -> None:
    for kind, name in (
        (tarfile.SYMTYPE, "state/link"),
        (tarfile.REGTYPE, "state/../../outside"),
        (tarfile.REGTYPE, "x"),
    ):
        archive = make(tmp_path / "good.tar")
        with tarfile.open(archive) as good, tarfile.open(tmp_path / "evil.tar", "w") as evil:
            for member in good:
                if member.name == "manifest.json":
                    bad = tarfile.TarInfo(name)
                    bad.type, bad.linkname = kind, "/etc"
                    evil.addfile(bad, io.BytesIO())
                evil.addfile(member, good.extractfile(member))
        archive.unlink()
        refused(tmp_path / "evil.tar", tmp_path / "state", "it holds")
        assert not (tmp_path / "outside").exists()


def test_a_backup_that_fails_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyError), new_archive(tmp_path / "backup.tar.gz", HEADER) as writer:
        put_a_mesh(writer)
        raise KeyError
    assert list(tmp_path.iterdir()) == []


def test_other_files_are_no_backups(tmp_path: Path) -> None:
    letter = tmp_path / "letter.tar.gz"
    letter.write_bytes(gzip.compress(b"Dear reader,"))
    refused(letter, tmp_path / "state", "is damaged .*or no backup of Tocsin")
    with pytest.raises(RuntimeProblem, match="cannot be read: No such file"), opened_archive(tmp_path / "none.tar"):
        pass


def test_where_it_is_written(tmp_path: Path) -> None:
    assert place_of(tmp_path, directory=False).parent == tmp_path
    assert place_of(tmp_path / "new", directory=True).name.endswith(".tar.gz")
    assert place_of(tmp_path / "b.tar", directory=False) == tmp_path / "b.tar"
    (tmp_path / "b.tar").touch()
    for target, why in (
        ("b.tar", "is there already"),
        ("b.zip", "must be a directory"),
        ("no/b.tar", "there is no directory"),
    ):
        with pytest.raises(ConfigurationProblem, match=why):
            place_of(tmp_path / target, directory=False)


def test_streams_are_copied_again_as_far_as_they_have_changed(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    (source / "gone").mkdir(parents=True)
    for name in ("old", "new", "gone/block"):
        (source / name).write_bytes(b"12345")
        os.utime(source / name, (1, 1))
    copy = StreamCopy(source, target)
    assert copy.refresh() == 15
    assert copy.refresh() == 0
    (source / "new").write_bytes(b"123456")
    (source / "newest").write_bytes(b"1")
    (source / "gone" / "block").unlink()
    (source / "gone").rmdir()
    assert copy.refresh() == 7
    # What was just written may have changed without another time.
    assert copy.refresh() == 7
    found = {path.relative_to(target).as_posix(): path.read_bytes() for path in target.rglob("*")}
    assert found == {"old": b"12345", "new": b"123456", "newest": b"1"}
    with pytest.raises(TooSlow):
        copy.refresh(deadline=0.0)
