"""When the supervisor calls a part unhealthy, and when it restarts it."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.cli.runtime.health import HealthLimits, Judge
from services.cli.runtime.machine import Span
from services.cli.runtime.part import Unhealthy
from services.cli.runtime.triage import Triage

LIMITS = HealthLimits()
OWN, ANOTHERS = Unhealthy("hangs"), Unhealthy("not serving", own=False)
CERTAIN = Unhealthy("write error", certain=True)


def judge_of(limits: HealthLimits = LIMITS) -> Judge:
    return Judge("one", limits, Triage())


def fails(judge: Judge, trouble: Unhealthy, *, well_founded: bool = False, starting: bool = False) -> float | None:
    """Seconds until a restart is called for, looking each second; None: not within an hour."""
    for second in range(1, 3_601):
        if judge.fails(Span(seconds=1.0), trouble, well_founded=well_founded, starting=starting):
            return second
    return None


def test_a_part_is_unhealthy_after_seconds_not_after_one_bad_look() -> None:
    judge = judge_of()
    judge.fails(Span(seconds=4.9), OWN, well_founded=False, starting=False)
    assert not judge.unhealthy
    judge.well(Span(seconds=1.0))
    judge.fails(Span(seconds=4.9), OWN, well_founded=False, starting=False)
    assert not judge.unhealthy
    judge.fails(Span(seconds=0.1), OWN, well_founded=False, starting=False)
    assert judge.unhealthy


def test_a_part_that_fails_by_its_own_fault_is_restarted_after_its_limit_twice_as_late_each_time() -> None:
    judge, waited = judge_of(), list[float | None]()
    for _ in range(6):
        waited.append(fails(judge, OWN))
        judge.restarted()
        judge.started()
    assert waited == [20, 40, 80, 160, 300, 300]


def test_a_part_without_ground_to_stand_on_is_never_restarted() -> None:
    assert fails(judge_of(), ANOTHERS) is None


def test_a_part_that_does_not_serve_on_good_ground_is_restarted() -> None:
    judge = judge_of()
    # Its ground comes back: only from now on the fault can be its own.
    assert not any(judge.fails(Span(seconds=1.0), ANOTHERS, well_founded=False, starting=False) for _ in range(100))
    assert fails(judge, ANOTHERS, well_founded=True) == 20


def test_a_part_that_starts_has_longer() -> None:
    assert fails(judge_of(), OWN, starting=True) == 90


def test_what_only_a_restart_mends_is_restarted_at_once_then_with_growing_pauses() -> None:
    judge = judge_of()
    assert judge.fails(Span(seconds=0.01), CERTAIN, well_founded=False, starting=False)
    judge.restarted()
    judge.started()
    assert not judge.fails(Span(seconds=0.1), CERTAIN, well_founded=False, starting=False)
    assert judge.fails(Span(seconds=0.2), CERTAIN, well_founded=False, starting=False)


def test_the_operator_hears_once_that_restarts_do_not_help() -> None:
    judge = judge_of()
    assert [judge.restarted() for _ in range(8)] == [False, False, False, True, False, False, False, False]


@pytest.mark.parametrize(("seconds", "forgotten"), [(59.0, False), (60.0, True)])
def test_restarts_are_forgotten_when_a_part_stood_for_some_time(seconds: float, forgotten: bool) -> None:
    judge = judge_of()
    judge.restarted()
    judge.well(Span(seconds=seconds))
    assert (judge.in_vain == 0) is forgotten


@given(st.lists(st.tuples(st.sampled_from(["well", "own", "others"]), st.floats(0.01, 5.0)), max_size=200))
def test_no_part_is_restarted_before_it_has_failed_for_its_limit(looks: list[tuple[str, float]]) -> None:
    judge, own = judge_of(HealthLimits(restart_after=timedelta(seconds=20))), 0.0
    for kind, seconds in looks:
        if kind == "well":
            judge.well(Span(seconds=seconds))
            own = 0.0
        else:
            own = own + seconds if kind == "own" else 0.0
            restart = judge.fails(
                Span(seconds=seconds), OWN if kind == "own" else ANOTHERS, well_founded=False, starting=False
            )
            assert restart == (kind == "own" and own >= 20)
