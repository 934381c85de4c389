"""Parts that fall silent, on a machine that is well and on one that is starved: who is restarted, and when."""

import itertools
from dataclasses import dataclass, field

import pytest

from services.cli.runtime.health import HealthLimits, Judge
from services.cli.runtime.machine import Machine, Moment, Span
from services.cli.runtime.part import Unhealthy
from services.cli.runtime.triage import Triage

PARTS = ("postgres", "nats", "ingestion", "aggregation", "gateway", "envoy")
SILENCE = Unhealthy("does not answer within 3 s")
WELL, STARVED = Span(seconds=1.0), Span(seconds=1.0, starved="tasks waited for a processor for 99% of the time")


@dataclass
class World:
    """Parts that are looked at once a second, by a clock of the test's own. What is restarted works again."""

    silent: set[str] = field(default_factory=set[str])
    span: Span = WELL
    mends: bool = True
    now: float = 0.0
    restarts: list[tuple[float, str]] = field(default_factory=list[tuple[float, str]])
    notices: list[str] = field(default_factory=list[str])
    eased: list[str] = field(default_factory=list[str])

    def __post_init__(self) -> None:
        self.triage = Triage(self.notices.append, eased=self.eased.append, clock=lambda: self.now)
        self.judges = {part: Judge(part, HealthLimits(), self.triage) for part in PARTS}

    def run(self, seconds: int) -> list[str]:
        """The parts that are restarted meanwhile, in their order."""
        before = len(self.restarts)
        for _ in range(seconds):
            self.now += 1
            for part, judge in self.judges.items():
                self._look(part, judge)
        return [part for _, part in self.restarts[before:]]

    def _look(self, part: str, judge: Judge) -> None:
        if part not in self.silent:
            judge.well(self.span)
        elif judge.fails(self.span, SILENCE, well_founded=False, starting=False):
            self.restarts.append((self.now, part))
            judge.restarted()
            judge.started()
            if self.mends:
                self.silent.discard(part)


def test_a_part_that_hangs_alone_is_restarted_after_its_limit() -> None:
    world = World(silent={"nats"})
    world.run(60)
    assert world.restarts == [(20, "nats")]
    assert not world.notices


def test_a_part_that_hangs_alone_on_a_starved_machine_is_restarted_later_but_surely() -> None:
    world = World(silent={"nats"}, span=STARVED)
    world.run(35)
    [(moment, part)] = world.restarts
    assert (part, round(moment, -1)) == ("nats", 30)
    assert len(world.notices) == 1
    assert "tasks waited for a processor" in world.notices[0]


def test_nobody_is_restarted_while_the_machine_starves_all() -> None:
    world = World(silent=set(PARTS), span=STARVED)
    assert world.run(240) == []
    assert world.triage.trouble == STARVED.starved
    # It is told once, not once for each part.
    assert len(world.notices) == 1


def test_those_that_stay_silent_when_the_machine_is_well_are_restarted_one_after_the_other() -> None:
    world = World(silent=set(PARTS), span=STARVED)
    world.run(120)
    world.silent, world.span = {"nats", "gateway"}, WELL
    assert sorted(world.run(90)) == ["gateway", "nats"]
    moments = [moment for moment, _ in world.restarts]
    assert 120 + 20 <= moments[0] < moments[1] <= 120 + 60
    assert len(world.notices) == 1
    assert world.eased == ["the machine gives the parts what they need again"]
    assert not world.triage.trouble


def test_parts_that_notice_a_silent_server_before_we_do_are_no_sign_of_the_machine() -> None:
    world = World(silent={"nats"})
    blames_nats = Unhealthy("nats does not answer in time", own=False)
    for second in range(1, 20):
        world.run(1)
        for part in ("ingestion", "aggregation"):
            world.judges[part].fails(WELL, blames_nats, well_founded=second < 5, starting=False)
    assert world.run(1) == ["nats"]
    assert not world.notices


def test_late_looks_now_and_then_restart_nobody() -> None:
    world = World(span=STARVED)
    for second in range(600):
        # Each part is late two times of three.
        world.silent = {part for number, part in enumerate(PARTS) if (second + number) % 3}
        world.run(1)
    assert world.restarts == []


def test_one_part_at_a_time_is_restarted_also_when_none_gets_well() -> None:
    world = World(silent=set(PARTS), mends=False)
    world.run(600)
    moments = [moment for moment, _ in world.restarts]
    assert {part for _, part in world.restarts} == set(PARTS)
    assert all(after - before >= 20 for before, after in itertools.pairwise(moments))


def test_a_machine_that_never_is_at_ease_hides_no_part_for_ever() -> None:
    world = World(silent={"nats", "gateway"}, span=STARVED)
    world.run(600)
    assert {part for _, part in world.restarts} == {"nats", "gateway"}
    assert world.restarts[0][0] >= 290


def test_a_part_that_no_restart_mends_delays_no_other() -> None:
    world = World(silent={"nats"}, mends=False)
    world.run(100)
    begun = world.now
    world.silent.add("gateway")
    world.run(60)
    assert next(moment for moment, part in world.restarts if part == "gateway") <= begun + 40


def test_what_was_not_answered_in_a_sleep_is_held_against_nobody() -> None:
    world = World(silent=set(PARTS))
    world.run(15)
    world.span = Span(seconds=30.0, paused=True)
    world.run(1)
    world.span = WELL
    assert world.run(15) == []


@pytest.mark.parametrize(
    ("later", "span"),
    [
        pytest.param(Moment(now=10, with_sleep=50), Span(seconds=10), id="well"),
        pytest.param(Moment(now=10, with_sleep=3650), Span(seconds=10, paused=True), id="laptop slept"),
        pytest.param(
            Moment(now=10, with_sleep=50, held_up=2.5),
            Span(seconds=7.5, starved="the supervisor itself was held up for 2.5 s"),
            id="did not run",
        ),
        pytest.param(
            Moment(now=100, with_sleep=140, held_up=97),
            Span(seconds=3, starved="the supervisor itself was held up for 97.0 s", paused=True),
            id="virtual machine stood still",
        ),
        pytest.param(
            Moment(now=10, with_sleep=50, waited={"cpu": 9.0}),
            Span(seconds=10, starved="tasks waited for a processor for 90% of the time"),
            id="processors",
        ),
        pytest.param(
            Moment(now=10, with_sleep=50, waited={"cpu": 5.0, "memory": 4.0}),
            Span(seconds=10, starved="tasks waited for memory for 40% of the time"),
            id="memory",
        ),
    ],
)
def test_what_a_stretch_of_time_was_like(later: Moment, span: Span) -> None:
    assert Moment(now=0, with_sleep=40).until(later) == span


def test_a_moment_of_this_machine() -> None:
    machine = Machine()
    before = machine.moment()
    after = machine.moment()
    assert before.now <= after.now
    assert before.until(after).seconds < 5
    assert all(after.waited[name] >= seconds >= 0 for name, seconds in before.waited.items())
