"""The version of Tocsin that is installed: that of pyproject.toml, for every part that tells one."""

from importlib.metadata import PackageNotFoundError, version


def tocsin_version() -> str:
    """The version of the installed package; `0` for a checkout that is not installed."""
    try:
        return version("tocsin")
    except PackageNotFoundError:
        return "0"
