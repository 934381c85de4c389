"""How the benchmark of calls counts."""

import pytest

from tests.bench.calls.costs import Counts, statements
from tests.bench.calls.figures import CallFigures

LOG = """\
2026-11-29 21:00:00.000 UTC [7] tocsin_ingestion LOG:  execute __asyncpg_stmt_3__: \n\tINSERT INTO alerts (uid)
\tVALUES ($1)
\t
2026-11-29 21:00:00.001 UTC [7] tocsin_ingestion LOG:  statement: COMMIT;
2026-11-29 21:00:00.002 UTC [8] tocsin_admin LOG:  statement: SELECT pg_reload_conf()
\tas nobody counts it
2026-11-29 21:00:00.003 UTC [9] LOG:  checkpoint starting: time
2026-11-29 21:00:00.004 UTC [7] tocsin_ingestion LOG:  execute fetch from s/p: SELECT 1
""".splitlines()


def test_statements_of_services_are_read_whole_from_the_log() -> None:
    assert list(statements(LOG)) == ["INSERT INTO alerts (uid) VALUES ($1)", "COMMIT;", "SELECT 1"]


def test_counts_are_told_for_a_call_and_what_is_seldom_is_left_out() -> None:
    figures = CallFigures("GET /", counted=1000)
    figures.counts = Counts()
    figures.counts.statements.update({"SELECT 1": 3, "SELECT 2": 2000, "COMMIT;": 500})
    assert figures.statements() == {"SELECT 2": 2.0, "COMMIT;": 0.5}


def test_ratio_is_the_median_of_pairs() -> None:
    figures = CallFigures("GET /", rates=[100.0, 300.0, 80.0], twin_rates=[200.0, 100.0, 100.0])
    assert figures.ratio == pytest.approx(0.8)
    assert CallFigures("flow", rates=[1.0]).ratio is None


def test_cpu_is_told_in_milliseconds_for_a_call() -> None:
    figures = CallFigures("GET /")
    for seconds in (1.0, 3.0, 2.0):
        figures.note({"envoy": seconds}, 1000)
    assert figures.cpu_of("envoy") == pytest.approx(2.0)
    assert figures.cpu_of("nobody") == 0.0
