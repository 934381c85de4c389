"""Which tests a change can affect, on the project itself."""

import subprocess
from pathlib import Path

import pytest

from scripts.affected import EverythingChanged, ImpactGraph, changed_files


@pytest.fixture(scope="module")
def graph() -> ImpactGraph:
    return ImpactGraph()


def test_a_rule_affects_its_own_service_and_the_mesh_and_no_other_service(graph: ImpactGraph) -> None:
    tests = graph.affected_by(["services/aggregation/domain/windows/closing.py"])
    assert "tests/e2e/test_windows.py" in tests
    assert any(test.startswith("tests/unit/aggregation/windows/") for test in tests)
    assert any(test.startswith("tests/integration/aggregation/") for test in tests)
    assert not [test for test in tests if test.startswith(("tests/unit/notification/", "tests/unit/ingestion/"))]


def test_the_nearest_tests_come_first(graph: ImpactGraph) -> None:
    tests = graph.affected_by(["services/notification/domain/rate_limit.py"])
    assert tests.index("tests/unit/notification/test_rules.py") < tests.index("tests/e2e/test_notifications.py")


def test_a_test_affects_itself_and_what_it_shares_all_that_use_it(graph: ImpactGraph) -> None:
    assert graph.affected_by(["tests/unit/test_releases.py"]) == ["tests/unit/test_releases.py"]
    tests = graph.affected_by(["tests/support/recording.py"])
    assert "tests/unit/deploy/test_monitor.py" in tests
    assert "tests/unit/test_releases.py" not in tests


def test_a_conftest_affects_the_folder_that_it_is_for(graph: ImpactGraph) -> None:
    tests = graph.affected_by(["tests/e2e/conftest.py"])
    assert {Path(test).parent.as_posix() for test in tests if "chaos" not in test} == {"tests/e2e"}


def test_commands_are_found_though_nobody_imports_them(graph: ImpactGraph) -> None:
    assert "tests/e2e/test_demo.py" in graph.affected_by(["services/cli/commands/demo.py"])


def test_a_service_that_is_started_as_a_program_counts(graph: ImpactGraph) -> None:
    tests = graph.affected_by(["services/media_probe/__main__.py"])
    assert {"tests/e2e/test_alerts.py", "tests/integration/media_probe/test_service.py"} <= set(tests)


def test_a_document_affects_the_tests_of_documents_and_those_that_read_it(graph: ImpactGraph) -> None:
    tests = graph.affected_by(["docs/notifications.md"])
    assert {"tests/unit/test_documents.py", "tests/unit/notification/test_retry_table.py"} <= set(tests)
    assert "tests/integration/aggregation/test_service.py" not in tests


def test_migrations_affect_those_that_apply_them(graph: ImpactGraph) -> None:
    tests = graph.affected_by(["services/media_probe/migrations/media_probe_0001_tables.sql"])
    assert "tests/contract/media_probe/test_video_store.py" in tests


@pytest.mark.parametrize(
    "path", ["proto/tocsin/events/v1/alarm.proto", "requirements.lock", "pyproject.toml", "-".join("anew")]
)
def test_what_everything_stands_on_affects_everything(graph: ImpactGraph, path: str) -> None:
    with pytest.raises(EverythingChanged, match=path):
        graph.affected_by([path])


def test_what_changed_is_committed_or_not_or_new(tmp_path: Path) -> None:
    def git(*arguments: str) -> None:
        who = ("-c", "user.name=A Test", "-c", "user.email=test@example.test", "-c", "commit.gpgsign=false")
        subprocess.run(["git", *who, *arguments], cwd=tmp_path, check=True, capture_output=True)

    git("init", "--quiet", "--initial-branch=main")
    for name in ("same", "committed", "edited", "gone"):
        (tmp_path / name).write_text("1")
    git("add", ".")
    git("commit", "--quiet", "--message", "First")
    git("tag", "base")
    (tmp_path / "committed").write_text("2")
    git("commit", "--quiet", "--all", "--message", "Second")
    (tmp_path / "edited").write_text("2")
    (tmp_path / "gone").unlink()
    (tmp_path / "new with a space").write_text("1")
    assert changed_files("base", tmp_path) == ["committed", "edited", "gone", "new with a space"]
