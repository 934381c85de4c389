"""The tests that a change can affect, by the import graph, nearest first.

    python -m scripts.affected [--base REVISION] [--in FOLDER]... [-- PYTEST OPTIONS]

prints the files of tests, or runs pytest on them when there is a `--`. What has changed is what differs from the commit
at which this branch left main (or `--base`), committed or not. `--in` names the folders of tests that count; pytest
then runs once for each of them, in that order, until one fails. Exit code: that of pytest; 0 when nothing is affected.

Beside imports an edge is: the conftest.py of the folders above a test; a module that another one names in a string
(`python -m services.cli.main`); the commands of `tocsin`, which are found by their folder. A file that is no Python
affects those that name it or its folder. What nobody names, contracts and packages affect everything: running too much
is the safe side.
"""

import argparse
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).parents[1]
KINDS = ("tests/unit", "tests/contract", "tests/integration", "tests/e2e")
_ROOTS = ("services", "tests", "scripts")
_DOCUMENTS = "tests.unit.test_documents"
_EVERYTHING = re.compile(r"(proto|generated|\.github)/|(pyproject\.toml|requirements.*\.lock|buf\..*|Makefile)$")
_MODULE_NAME = re.compile(r"""["']((?:services|tests|scripts)(?:\.\w+)+)["']""")
_ANY_SERVICE = re.compile(r"""f["']services\.\{""")


class EverythingChanged(Exception):
    """No selection is to be trusted; the file says why."""


def module_of(path: str) -> str:
    """The name of the module in a file: `services/a/__init__.py` is `services.a`."""
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


class ImpactGraph:
    """Which test stands on what."""

    def __init__(self, root: Path = ROOT) -> None:
        self._root = root
        for place in (root, root / "generated/python"):
            if str(place) not in sys.path:
                sys.path.insert(0, str(place))
        self._graph = grimp.build_graph(*_ROOTS, exclude_type_checking_imports=True, cache_dir=None)
        self._texts = {
            module_of(file): (root / file).read_text(encoding="utf-8")
            for part in _ROOTS
            for file in (str(path.relative_to(root)) for path in (root / part).rglob("*.py"))
        }
        self._add_unseen_edges()

    def affected_by(self, changed: Iterable[str]) -> list[str]:
        """The files of tests that the changed files can affect, those with the shortest way to one first. Raises
        EverythingChanged when that cannot be told."""
        seeds: set[str] = set()
        for path in changed:
            seeds |= self._seeds(path)
        return [self._file(module) for module in self._reached(seeds) if self._is_test(module)]

    def _add_unseen_edges(self) -> None:
        modules = self._graph.modules
        mains = {module for module in modules if module.endswith(".__main__") and module.startswith("services.")}
        for module, text in self._texts.items():
            if module not in modules:
                continue
            named = {name for name in _MODULE_NAME.findall(text) if name in modules and name != module}
            named |= {f"{name}.__main__" for name in named} & modules
            if _ANY_SERVICE.search(text):
                named |= mains
            parts = module.split(".")
            if parts[0] == "tests":
                named |= {".".join([*parts[:depth], "conftest"]) for depth in range(1, len(parts))} & modules - {module}
            for name in named:
                self._graph.add_import(importer=module, imported=name)
        for command in self._graph.find_children("services.cli.commands"):
            self._graph.add_import(importer="services.cli.main", imported=command)

    def _seeds(self, path: str) -> set[str]:
        if path.endswith(".py") and path.split("/")[0] in _ROOTS:
            module = module_of(path)
            # A package's __init__ runs whenever a part of it is imported.
            parts = self._graph.find_descendants(module) if path.endswith("/__init__.py") else set[str]()
            return ({module} | parts) & self._graph.modules
        if _EVERYTHING.search(path):
            raise EverythingChanged(path)
        found = self._who_names(path)
        if path.endswith(".md"):
            return found | {_DOCUMENTS}
        if not found:
            raise EverythingChanged(path)
        return found

    def _who_names(self, path: str) -> set[str]:
        """The modules in which the file's name stands in quotes, or its path, or that of a folder of it."""
        names = {path, Path(path).name, *(str(folder) for folder in Path(path).parents if folder != Path())}
        # `root / "docs" / "a.md"`, `root / "docs/a.md"`.
        quoted = re.compile("|".join(rf"""["'](?:[\w.-][\w./-]*/)?{re.escape(name)}/?["']""" for name in sorted(names)))
        return {module for module, text in self._texts.items() if quoted.search(text)} & self._graph.modules

    def _reached(self, seeds: set[str]) -> Iterator[str]:
        """The modules from which an import leads to a seed, by the length of the way."""
        seen, ring = set(seeds), seeds
        while ring:
            yield from sorted(ring)
            ring = {
                importer for module in ring for importer in self._graph.find_modules_that_directly_import(module)
            } - seen
            seen |= ring

    def _file(self, module: str) -> str:
        return f"{module.replace('.', '/')}.py"

    def _is_test(self, module: str) -> bool:
        # Where another checkout is on the path, too, its folder `tests` is a part of the same namespace.
        ours = module in self._texts and self._file(module).startswith(KINDS)
        return ours and module.rpartition(".")[2].startswith("test_")


def changed_files(base: str, root: Path = ROOT) -> list[str]:
    """What differs from a revision, committed or not, and what is new."""

    def git(*arguments: str) -> list[str]:
        done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=True)
        return [line for line in done.stdout.split("\0") if line]

    return sorted({*git("diff", "--name-only", "-z", base), *git("ls-files", "--others", "--exclude-standard", "-z")})


def default_base(root: Path = ROOT) -> str:
    """The commit at which this branch left main."""
    for main in ("origin/main", "main"):
        found = subprocess.run(
            ["git", "merge-base", main, "HEAD"], cwd=root, capture_output=True, text=True, check=False
        )
        if found.returncode == 0:
            return found.stdout.strip()
    raise SystemExit("there is no main to compare with; --base names a revision")


def main() -> int:
    """Prints the tests, or runs them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", help="the revision to compare with")
    parser.add_argument("--in", dest="folders", action="append", help="a folder of tests that counts")
    own, dashes, options = _split(sys.argv[1:])
    chosen = parser.parse_args(own)
    changed = changed_files(chosen.base or default_base())
    try:
        tests = ImpactGraph().affected_by(changed)
        print(f"{len(changed)} changed files affect {len(tests)} files of tests", file=sys.stderr)
    except EverythingChanged as everything:
        tests = chosen.folders or list(KINDS)
        print(f"all tests: {everything} has changed", file=sys.stderr)
    runs = [[test for test in tests if test.startswith(folder)] for folder in chosen.folders or [""]]
    if not dashes:
        print("\n".join(test for run in runs for test in run))
        return 0
    for run in filter(None, runs):
        done = subprocess.run([sys.executable, "-m", "pytest", *options, *run], cwd=ROOT, check=False)
        if done.returncode not in {pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED}:
            return done.returncode
    return 0


def _split(arguments: list[str]) -> tuple[list[str], bool, list[str]]:
    """What stands before and after `--`, and whether there is one."""
    if "--" not in arguments:
        return arguments, False, []
    at = arguments.index("--")
    return arguments[:at], True, arguments[at + 1 :]


if __name__ == "__main__":
    sys.exit(main())
