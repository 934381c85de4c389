"""Benchmarks run rarely: what they import must be there all the same."""

import importlib
import pkgutil

import pytest

from tests import bench

_MODULES = sorted(
    one.name for one in pkgutil.walk_packages(bench.__path__, "tests.bench.") if not one.name.endswith("__main__")
)


@pytest.mark.parametrize("module", _MODULES)
def test_it_can_be_imported(module: str) -> None:
    assert importlib.import_module(module).__doc__
