"""build-and-push.sh: which version an image gets, and what is built and pushed with which engine."""

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.recording import RecordingPrograms

DIGEST = f"sha256:{'ab' * 32}"

Build = Callable[..., "subprocess.CompletedProcess[str]"]


def _git(folder: Path, *arguments: str) -> None:
    who = ("-c", "user.name=A Test", "-c", "user.email=test@example.test", "-c", "commit.gpgsign=false")
    subprocess.run(["git", *who, *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def build(checkout: Path, programs: RecordingPrograms) -> Build:
    """`build(*arguments)` in a repository with one commit; docker and buildah answer with a digest."""
    images = checkout / "deploy/docker/images.sh"
    images.parent.mkdir()
    images.write_text('#!/bin/bash\n"$ENGINE" build of $1\n')
    images.chmod(0o755)
    programs.add("make", "")
    (checkout / "pyproject.toml").write_text('[project]\nname = "tocsin"\nversion = "1.3.0"\n')
    _git(checkout, "init", "--quiet", "--initial-branch=main")
    _git(checkout, "add", ".")
    _git(checkout, "commit", "--quiet", "--message", "First", "--date", "2027-01-31T12:00:00+01:00")
    told = 'name=${@: -1}; printf "elsewhere.example/x@sha256:00\\n%s@%s\\n" "${name%:*}" ' + DIGEST
    programs.add("docker", f'case "$*" in "image inspect"*) {told} ;; esac')
    programs.add("buildah", f'case "$*" in "push --digestfile"*) echo {DIGEST} >"$3" ;; esac')

    def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
        return programs.run(checkout / "deploy/scripts/build-and-push.sh", *arguments)

    return run


def test_a_commit_without_a_tag_has_its_time_and_id_in_the_version(build: Build, checkout: Path) -> None:
    done = build("--print-version")
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=checkout, capture_output=True, text=True, check=True).stdout
    assert re.fullmatch(rf"1\.3\.0-\d{{8}}T\d{{6}}-{head[:12]}\n", done.stdout), done
    assert build("--print-version").stdout == done.stdout


def test_a_tag_is_the_version(build: Build, checkout: Path) -> None:
    _git(checkout, "tag", "v1.3.0")
    _git(checkout, "tag", "some-other-tag")
    assert build("--print-version").stdout == "1.3.0\n"


def test_a_tag_that_says_another_version_than_the_project_is_refused(build: Build, checkout: Path) -> None:
    _git(checkout, "tag", "v1.4.0")
    done = build("--print-version")
    assert done.returncode == 2
    assert "the tag is v1.4.0, and pyproject.toml says 1.3.0" in done.stderr


def test_what_is_not_committed_is_built_only_when_told(
    build: Build, checkout: Path, programs: RecordingPrograms
) -> None:
    (checkout / "stray.txt").write_text("")
    done = build("--no-push")
    assert done.returncode == 2
    assert "stray.txt" in done.stderr
    assert programs.calls("docker") == []
    assert re.fullmatch(r"1\.3\.0-\d{8}T\d{6}-[0-9a-f]{12}-dirty\n", build("--allow-dirty", "--print-version").stdout)


def test_every_image_is_built_pushed_and_told_by_its_digest(
    build: Build, checkout: Path, programs: RecordingPrograms, tmp_path: Path
) -> None:
    _git(checkout, "tag", "v1.3.0")
    done = build("--registry", "r.example/team", "--output", str(tmp_path / "pushed.txt"))
    assert done.returncode == 0, done.stderr
    assert programs.calls("make") == ["--no-print-directory gateway"]
    assert [call for call in programs.calls("docker") if "inspect" not in call] == [
        "build of 1.3.0",
        "tag tocsin:1.3.0 r.example/team/tocsin:1.3.0",
        "push r.example/team/tocsin:1.3.0",
        "tag tocsin-gateway:1.3.0 r.example/team/tocsin-gateway:1.3.0",
        "push r.example/team/tocsin-gateway:1.3.0",
    ]
    assert (tmp_path / "pushed.txt").read_text() == (
        f"r.example/team/tocsin 1.3.0 {DIGEST}\nr.example/team/tocsin-gateway 1.3.0 {DIGEST}\n"
    )


def test_buildah_does_it_likewise(build: Build, programs: RecordingPrograms, tmp_path: Path) -> None:
    output = tmp_path / "pushed.txt"
    options = ("--engine", "buildah", "--version", "7", "--registry", "r.example", "--output", str(output))
    assert build(*options).returncode == 0
    assert programs.calls("docker") == []
    assert programs.calls("buildah")[0] == "build of 7"
    assert output.read_text().splitlines()[1] == f"r.example/tocsin-gateway 7 {DIGEST}"


def test_without_a_registry_images_keep_their_names_and_are_not_pushed(
    build: Build, programs: RecordingPrograms
) -> None:
    assert build("--no-push", "--version", "7").returncode == 0
    assert programs.calls("docker") == ["build of 7"]


def test_a_build_that_fails_pushes_nothing(build: Build, programs: RecordingPrograms) -> None:
    programs.add("docker", "exit 1")
    assert build("--registry", "r.example").returncode == 1
    assert len(programs.calls("docker")) == 1


def test_a_dry_run_only_shows(build: Build, programs: RecordingPrograms) -> None:
    done = build("--registry", "r.example", "--version", "7", "--dry-run")
    assert done.returncode == 0
    assert programs.calls("docker") == []
    assert "would run: docker push r.example/tocsin-gateway:7" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "--registry says where to push to"),
        (("--no-push", "--version", "no/tag"), "an image cannot have the tag 'no/tag'"),
        (("--no-push", "--engine", "podman"), "unknown engine: podman"),
        (("--no-push", "--output", "x"), "--no-push pushes nothing"),
        (("--no-push", "--fast"), "unknown option: --fast"),
    ],
)
def test_what_cannot_be_meant_is_refused(build: Build, arguments: tuple[str, ...], message: str) -> None:
    done = build(*arguments)
    assert done.returncode == 2
    assert message in done.stderr
