"""No document leads nowhere: what it links to exists, and so does every target of make that it names."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
_SOURCES = ("services", "tests", "scripts", "gateway", "proto", "deploy")
_SKIPPED = {".venv", ".build", ".git", "node_modules", ".pytest_cache", ".hypothesis"}
_LINK = re.compile(r"\[[^\]\n]*\]\(([^)\s]+)\)")
_ANCHOR = re.compile(r"[^\w\- ]")
_MAKE = re.compile(r"(?:^|`|\$ )make ((?:[a-z][a-z-]*)(?: [a-z][a-z-]*)*)(?=`|$|\s+(?:#|ARGS|[A-Z]+=))", re.MULTILINE)
_FILE = re.compile(r"`([\w./-]+\.(?:py|go|proto|sql|in))`")
_CODE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)

DOCUMENTS = sorted(
    path.relative_to(ROOT) for path in ROOT.rglob("*.md") if not _SKIPPED & set(path.relative_to(ROOT).parts)
)


def _targets() -> set[str]:
    return set(re.findall(r"^([a-z][a-z-]*):(?!=)", (ROOT / "Makefile").read_text(), re.MULTILINE))


def _anchors(text: str) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {_ANCHOR.sub("", heading.strip().lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_links_lead_somewhere(document: Path) -> None:
    text = (ROOT / document).read_text()
    lost: list[str] = []
    for link in _LINK.findall(_CODE.sub("", text)):
        if "://" in link or link.startswith("mailto:"):
            continue
        path, _, anchor = link.partition("#")
        target = (ROOT / document).parent / path if path else ROOT / document
        if not target.exists() or (anchor and target.suffix == ".md" and anchor not in _anchors(target.read_text())):
            lost.append(link)
    assert not lost


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_files_that_are_named_exist(document: Path) -> None:
    """By the end of their path, as documents name them."""
    named = _FILE.findall((ROOT / document).read_text())
    files = [f"/{path.relative_to(ROOT).as_posix()}" for part in _SOURCES for path in (ROOT / part).rglob("*.*")]
    assert [name for name in named if not any(path.endswith(f"/{name}") for path in files)] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_targets_of_make_exist(document: Path) -> None:
    named = {word for words in _MAKE.findall((ROOT / document).read_text()) for word in words.split()}
    assert named <= _targets()


def test_every_target_is_explained_and_leads_to_what_exists() -> None:
    makefile = (ROOT / "Makefile").read_text()
    unexplained = {"gateway"}
    explained = set(re.findall(r"^([a-z][a-z-]*):.*## \S", makefile, re.MULTILINE))
    assert _targets() - unexplained == explained
    for path in re.findall(r"\b(?:scripts|tests)/[\w./-]+", makefile):
        assert (ROOT / path).exists(), path


def test_the_mesh_s_packages_are_a_part_of_the_workbench_s() -> None:
    pins = [
        dict(re.findall(r"^([a-z0-9._-]+)(?:\[[a-z,]*\])?==(\S+)", (ROOT / name).read_text(), re.MULTILINE))
        for name in ("requirements.lock", "requirements-dev.lock")
    ]
    assert pins[0].items() <= pins[1].items()
    assert {"pytest", "ruff", "grpcio-tools"} & pins[0].keys() == set()
