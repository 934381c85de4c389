"""Versions of what is installed."""

from importlib.metadata import PackageNotFoundError, version


def wheel_version(name: str) -> str:
    """The version of an installed package, empty when it is not installed."""
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def tocsin_version() -> str:
    """The version of the installed package; `0` for a checkout that is not installed."""
    return wheel_version("tocsin") or "0"
