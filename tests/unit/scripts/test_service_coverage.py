"""The coverage of each service, from the report of all files."""

from typing import Any

from scripts.service_coverage import shares, table


def _file(lines: tuple[int, int], branches: tuple[int, int]) -> dict[str, Any]:
    return {
        "summary": {
            "num_statements": lines[0],
            "covered_lines": lines[1],
            "num_branches": branches[0],
            "covered_branches": branches[1],
        }
    }


def test_files_of_a_service_are_added_up() -> None:
    found = shares(
        {
            "files": {
                "services/media_probe/a.py": _file((10, 9), (2, 1)),
                "services/media_probe/domain/b.py": _file((6, 6), (2, 0)),
                "services/cli/main.py": _file((4, 1), (0, 0)),
                "services/__init__.py": _file((1, 1), (0, 0)),
            }
        }
    )
    assert {name: share.percent for name, share in found.items()} == {"cli": 25.0, "media_probe": 80.0}
    assert "| media-probe | 16 | 15 | 4 | 1 | 80.0 % |" in table(found).splitlines()


def test_a_service_without_a_line_is_no_fault() -> None:
    assert shares({"files": {"services/cli/__init__.py": _file((0, 0), (0, 0))}})["cli"].percent == 100.0
