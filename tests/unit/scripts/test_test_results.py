"""The page of test results, from the reports of a run."""

import json
from pathlib import Path

import pytest

from scripts import test_results

_REPORT = """<testsuites><testsuite>
<testcase classname="tests.unit.cli.test_a" name="test_one" time="0.5"/>
<testcase classname="tests.unit.cli.test_a" name="test_two[a|b]" time="2.25"/>
<testcase classname="tests.e2e.test_b" name="test_three" time="1.0"><failure message="no">text</failure></testcase>
<testcase classname="tests.e2e.test_b" name="test_four" time="0.0"><skipped message="later"/></testcase>
</testsuite></testsuites>"""


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(test_results, "RESULTS", tmp_path)
    return tmp_path


def test_the_page_tells_tests_by_kind_coverage_mutants_and_what_takes_long(results: Path) -> None:
    (results / "junit-all.xml").write_text(_REPORT)
    summary = {"num_statements": 10, "covered_lines": 9, "num_branches": 0, "covered_branches": 0}
    (results / "coverage.json").write_text(json.dumps({"files": {"services/cli/a.py": {"summary": summary}}}))
    (results / "mutation.json").write_text('{"mutants": 60, "noticed": 54}')
    lines = test_results.page().splitlines()
    assert "| unit | 1 | 2 | 2 | 0 | 0 | 3 |" in lines
    assert "| e2e | 1 | 2 | 0 | 1 | 1 | 1 |" in lines
    assert "| all | 2 | 4 | 2 | 1 | 1 | 4 |" in lines
    assert "| cli | 10 | 9 | 0 | 0 | 90.0 % |" in lines
    assert "54 of 60 mutants of the sample were noticed." in lines
    longest = lines.index("## The longest tests")
    assert lines[longest + 4] == r"| `tests/unit/cli/test_a.py::test_two[a\|b]` | 2.2 |"


def test_without_a_run_there_is_no_page(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert test_results.main() == 1
    assert "make coverage" in capsys.readouterr().err
