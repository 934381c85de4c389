"""The version stands in one place, and the change log agrees with it."""

import re
import tomllib
from datetime import date
from pathlib import Path

from services.chassis.version import tocsin_version

_SECTION = re.compile(r"^## \[(?P<version>[^\]]+)\](?: - (?P<day>\S+))?$", re.MULTILINE)
_RELEASE = re.compile(r"(\d+)\.(\d+)\.(\d+)")


def _version(repository: Path) -> str:
    return tomllib.loads((repository / "pyproject.toml").read_text())["project"]["version"]


def _order(version: str) -> tuple[int, ...]:
    found = _RELEASE.fullmatch(version)
    assert found is not None, f"{version} is no version of three numbers"
    return tuple(map(int, found.groups()))


def test_what_is_installed_has_the_version_of_the_project(repository: Path) -> None:
    assert tocsin_version() == _version(repository)


def test_the_version_is_a_release_or_on_its_way_to_one(repository: Path) -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+(\.dev0)?", _version(repository))


def test_the_change_log_agrees_with_the_version(repository: Path) -> None:
    """A release has a section of its own, the first one with a date; on the way to it there are older ones only."""
    sections = [
        (found["version"], found["day"]) for found in _SECTION.finditer((repository / "CHANGELOG.md").read_text())
    ]
    version = _version(repository)
    assert sections[0] == ("Unreleased", None)
    released = [name for name, _ in sections[1:]]
    assert released == sorted(released, key=_order, reverse=True)
    assert all(day is not None and date.fromisoformat(day) for _, day in sections[1:])
    if version.endswith(".dev0"):
        assert all(_order(name) < _order(version.removesuffix(".dev0")) for name in released)
    else:
        assert released[:1] == [version]
