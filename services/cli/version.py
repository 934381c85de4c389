"""Versions of what is installed, and the commit of the checkout."""

import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from services.chassis.version import tocsin_version

__all__ = ["checkout_commit", "tocsin_version", "wheel_version"]

_PROJECT = Path(__file__).parents[2]
_GIT_SECONDS = 2


def wheel_version(name: str) -> str:
    """The version of an installed package, empty when it is not installed."""
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


@cache
def checkout_commit() -> str:
    """The commit that is checked out, shortened; empty where there is no git, or no checkout of Tocsin's own."""
    if not (_PROJECT / ".git").exists():
        return ""
    command = ("git", "-C", str(_PROJECT), "rev-parse", "--short=12", "HEAD")
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_GIT_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
