"""The sample of a mutation run, and what is told of it."""

import json
import sqlite3
from pathlib import Path

import pytest

from scripts.mutants import draw, sample, summary, verdicts


def test_places_are_drawn_not_mutants() -> None:
    places = [(("a.py", 1, 0), f"a{number}") for number in range(50)] + [(("b.py", 9, 4), "b")]
    drawn = draw(places, 2, seed=1)
    assert "b" in drawn
    assert len(drawn) == 2


def test_the_same_seed_draws_the_same_whatever_the_order() -> None:
    places = [((f"{number}.py", 1, 0), str(number)) for number in range(100)]
    assert draw(places, 10, seed=1) == draw(reversed(places), 10, seed=1) != draw(places, 10, seed=2)


def test_no_more_are_drawn_than_there_are() -> None:
    assert draw([(("a.py", 1, 0), "a")], 60, seed=1) == {"a"}


@pytest.fixture
def session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Twenty mutants of numbers and decorators, a product, and what is taken for one."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.py").write_text("product = f(a * b, *c)\n")
    specs = [("RemoveDecorator" if number % 2 else "NumberReplacer", 100 + number, str(number)) for number in range(20)]
    specs += [("ReplaceBinaryOperator_Mul_Add", 14, "product"), ("ReplaceBinaryOperator_Mul_Add", 19, "star")]
    path = tmp_path / "session.sqlite"
    with sqlite3.connect(path) as database:
        database.execute(
            "CREATE TABLE mutation_specs"
            " (module_path, start_pos_row, start_pos_col, operator_name, occurrence, job_id PRIMARY KEY)"
        )
        database.execute("CREATE TABLE work_items (job_id PRIMARY KEY)")
        for operator, column, job in specs:
            database.execute(
                "INSERT INTO mutation_specs VALUES ('a.py', 1, ?, ?, 0, ?)", (column, f"core/{operator}", job)
            )
            database.execute("INSERT INTO work_items VALUES (?)", (job,))
    return path


@pytest.mark.parametrize(("count", "left"), [(5, 5), (99, 11)])
def test_the_session_keeps_what_was_drawn_of_what_is_worth_it(session: Path, count: int, left: int) -> None:
    sample(session, count, 1)
    with sqlite3.connect(session) as database:
        kept = {job for (job,) in database.execute("SELECT job_id FROM work_items")}
        assert database.execute("SELECT count(*) FROM mutation_specs").fetchone() == (left,)
    assert len(kept) == left
    assert kept <= {"product", *map(str, range(0, 20, 2))}


def _line(line: int, outcome: str | None, worker: str = "normal", diff: str = "") -> str:
    mutation = {"module_path": "services/a.py", "operator_name": "core/Op", "start_pos": [line, 0]}
    result = {"worker_outcome": worker, "test_outcome": outcome, "diff": diff, "output": ""}
    return json.dumps([{"job_id": str(line), "mutations": [mutation]}, result])


def test_survivors_are_told_with_what_was_changed() -> None:
    diff = "--- mutation diff ---\n--- a\n+++ b\n@@ -1 +1 @@\n-x = 1\n+x = 2"
    lines = [_line(3, "survived", diff=diff), _line(1, "killed"), _line(2, "killed"), _line(4, None, worker="skipped")]
    text, score = summary(verdicts([*lines, json.dumps([{"job_id": "5", "mutations": []}, None])]))
    assert score == pytest.approx(200 / 3)
    assert text.splitlines() == [
        "2 of 3 mutants were noticed: 67 %.",
        "",
        "`services/a.py:3` (core/Op)",
        "",
        "```diff",
        "-x = 1",
        "+x = 2",
        "```",
    ]
