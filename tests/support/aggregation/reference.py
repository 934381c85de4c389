"""What windows should hold, computed the slow and obvious way: one reading, one segment, one window at a time."""

from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise

GAUGE, COUNTER, LEVEL = 1, 2, 3


@dataclass
class Expected:
    """Statistics of a window as exact fractions."""

    count: int
    total: Fraction
    least: Fraction
    most: Fraction
    first: tuple[int, Fraction]
    last: tuple[int, Fraction]
    covered: int
    integral: Fraction
    longest_gap: int
    consumption: Fraction


def first_wins(arrivals: list[tuple[int, float]]) -> dict[int, Fraction]:
    """One value per event time: the one that arrived first."""
    kept: dict[int, Fraction] = {}
    for time, value in arrivals:
        kept.setdefault(time, Fraction(value))
    return kept


@dataclass(frozen=True)
class Counting:
    """Rules of a counter: one of HOLD, RESET, ROLLOVER, REJECT; `cap` per hour, 0: none; of rounding, 0: not said."""

    policy: str = "HOLD"
    register: int = 0
    cap: int = 0
    cautious: bool = False
    rounding_ratio: float = 0
    rounding_amount: float = 0


Point = tuple[int, Fraction]
Step = tuple[int, int, Fraction]
"""(since, until, increase)."""
Mark = tuple[str, int]
"""What readings in a row were not taken for, and how many they are."""
_HOUR, _DAY = 3_600_000_000, 86_400_000_000


def _rate(amount: Fraction, old: int, new: int) -> Fraction:
    return amount * _HOUR / max(new - old, 60_000_000)


def _power(rate: Fraction) -> Fraction:
    """The smallest power of two that is not below."""
    found = Fraction(1)
    while found < rate:
        found *= 2
    while found / 2 >= rate > 0:
        found /= 2
    return found if rate > 0 else Fraction(0)


@dataclass
class _Branch:
    """Its readings, its increases, and what its beginning is."""

    points: list[Point]
    kind: str
    gain: Fraction
    believed: bool
    rises: int = 0
    counted: Fraction = Fraction(0)
    pace: Fraction = Fraction(0)
    level: Fraction = Fraction(0)
    gains: dict[int, Fraction] = field(default_factory=dict[int, Fraction])
    """Increases of the readings after the first one."""
    marks: dict[int, Mark] = field(default_factory=dict[int, Mark])

    def steps(self, since: int) -> list[Step]:
        """What it adds while it is believed; `since`: the reading that was trusted before it."""
        found = [(since, self.points[0][0], self.gain)] if self.gain else []
        return found + [(a, b, self.gains[b]) for (a, _), (b, _) in pairwise(self.points)]


@dataclass
class _Earlier:
    """The level before the trusted one, with what was booked and listed then; and the readings since."""

    trusted: Point
    pace: Fraction
    left: int
    distance: Fraction | None
    steps: list[Step]
    marks: dict[int, Mark]
    points: list[Point]
    rises: int = 0
    counted: Fraction = Fraction(0)

    def forgotten(self, time: int) -> bool:
        lasted = time - self.left
        if lasted >= 31 * _DAY:
            return True
        far = self.distance is not None and self.counted >= self.distance
        return self.rises >= 2 and (far or (lasted >= _DAY and self.rises >= 12))


class _Reference:
    """docs/counters.md, word by word."""

    def __init__(self, rules: Counting, first: Point) -> None:
        self.rules = rules
        self.trusted = first
        self.pace = Fraction(0)
        self.branch: _Branch | None = None
        self.earlier: _Earlier | None = None
        self.steps: list[Step] = []
        self.marks: dict[int, Mark] = {}
        self.rejected: int | None = None
        """The first of the readings in a row that were rejected last."""

    def fits(self, old: Point, new: Point) -> bool:
        return new[1] - old[1] <= Fraction(self.rules.cap * (new[0] - old[0]), _HOUR)

    def implausible(self, pace: Fraction, old: Point, new: Point) -> bool:
        step = new[1] - old[1]
        times = 32 if step > abs(old[1]) else 1024
        return 10 * step > abs(old[1]) and _rate(step, old[0], new[0]) > times * pace

    def rounding(self, level: Fraction, value: Fraction, pace: Fraction) -> bool:
        fall, rules = level - value, self.rules
        if rules.rounding_ratio or not rules.rounding_amount:
            ratio = Fraction(rules.rounding_ratio).limit_denominator(10**6) or Fraction(1, 1000)
            if fall > ratio * abs(level):
                return False
        most = Fraction(rules.rounding_amount) or pace
        return not most or fall <= most

    def over(self, old: Point, new: Point) -> Fraction | None:
        rules, step = self.rules, self.rules.register - old[1] + new[1]
        if rules.policy != "ROLLOVER" or max(abs(old[1]), abs(new[1])) > rules.register:
            return None
        if not 0 <= step < rules.register:
            return None
        if rules.cap:
            return step if self.fits((old[0], Fraction(0)), (new[0], step)) else None
        return step if 2 * step < rules.register else None

    def at_once(self, old: Point, new: Point) -> Fraction | None:
        rules = self.rules
        if rules.cautious:
            return None
        if rules.policy == "RESET":
            fits = not rules.cap or self.fits((old[0], Fraction(0)), new)
            return new[1] if new[1] >= 0 and fits else None
        over = self.over(old, new)
        if over is None or rules.cap:
            return over
        usual = _rate(over, old[0], new[0]) <= 32 * self.pace if self.pace else 10 * over <= rules.register
        return over if usual else None

    def take(self, new: Point) -> None:
        if self.earlier is not None and self.goes_back(self.earlier, new):
            self.go_back(self.earlier)
        before = sum(count for kind, count in self.marks.values() if kind == "REJECTED")
        if self.branch is None:
            self.judge(new)
        else:
            self.assign(self.branch, new)
        if sum(count for kind, count in self.marks.values() if kind == "REJECTED") > before:
            return
        self.rejected = None
        if self.earlier is not None:
            self.earlier.points.append(new)

    def reject(self, time: int) -> None:
        self.rejected = time if self.rejected is None else self.rejected
        self.marks[self.rejected] = "REJECTED", self.marks.get(self.rejected, ("", 0))[1] + 1

    def steep(self, old: Point, new: Point) -> None:
        step = new[1] - old[1]
        known = self.pace and not self.rules.cap
        if known and 100 * step > abs(old[1]) and _rate(step, old[0], new[0]) > 32 * self.pace:
            self.marks[new[0]] = "STEEP", 1

    def goes_back(self, earlier: _Earlier, new: Point) -> bool:
        if not self.comes_after(earlier.trusted, earlier.pace, new):
            return False
        if self.comes_after(self.trusted, self.pace, new):
            return False
        if self.branch is None or self.branch.rises < 2:
            return True
        old, pace = (self.branch.points[-1][0], self.branch.level), self.pace_beside(self.branch)
        steep = new[1] > old[1] and _rate(new[1] - old[1], old[0], new[0]) > pace
        return steep or not self.continues(self.branch, pace, new)

    def go_back(self, earlier: _Earlier) -> None:
        rejected = {time: mark for time, mark in self.marks.items() if mark[0] == "REJECTED"}
        self.trusted, self.pace, self.steps, self.marks = earlier.trusted, earlier.pace, earlier.steps, earlier.marks
        self.marks |= {earlier.left: ("REVOKED", len(earlier.points))} | rejected
        self.branch = self.earlier = None

    def usual(self, new: Point) -> bool:
        return new[1] >= self.trusted[1] and self.comes_after(self.trusted, self.pace, new)

    def comes_after(self, old: Point, pace: Fraction, new: Point) -> bool:
        if new[1] < old[1]:
            return self.rounding(old[1], new[1], pace)
        fits = not self.rules.cap or self.fits(old, new)
        return fits and (new[1] == old[1] or _rate(new[1] - old[1], old[0], new[0]) <= pace)

    def judge(self, new: Point) -> None:
        old, step, rules = self.trusted, new[1] - self.trusted[1], self.rules
        if step < 0:
            if self.rounding(old[1], new[1], self.pace):
                self.trust(new[0], old[1], Fraction(0))
            elif rules.policy == "REJECT":
                self.reject(new[0])
            else:
                gain = self.at_once(old, new)
                kind = "RESET" if gain is None else rules.policy
                self.branch = _Branch([new], kind, gain or Fraction(0), gain is not None, level=new[1])
            return
        if self.usual(new):
            self.trust(new[0], new[1], step)
            return
        if rules.cap:
            believed = self.fits(old, new)
        elif self.pace:
            believed = not self.implausible(self.pace, old, new)
        else:
            believed = step <= abs(old[1])
        self.branch = _Branch([new], "", step, believed, level=new[1])
        if believed:
            self.steep(old, new)

    def trust(self, time: int, level: Fraction, gain: Fraction) -> None:
        self.steps.append((self.trusted[0], time, gain))
        self.trusted = time, level
        self.counts_elsewhere(time, gain > 0, gain)

    def counts_elsewhere(self, time: int, rises: int, counted: Fraction) -> None:
        if self.earlier is None:
            return
        self.earlier.rises += rises
        self.earlier.counted += counted
        if self.earlier.forgotten(time):
            self.earlier = None

    def continues(self, branch: _Branch, pace: Fraction, new: Point) -> bool:
        old = branch.points[-1][0], branch.level
        if new[1] < branch.level:
            return self.rounding(branch.level, new[1], pace)
        if self.rules.cap:
            return self.fits(old, new)
        return not pace or not self.implausible(pace, old, new)

    def goes_on(self, new: Point) -> bool:
        old, pace = self.trusted, self.pace
        if new[1] < old[1]:
            return self.rounding(old[1], new[1], pace)
        if self.rules.cap:
            return self.fits(old, new)
        if pace:
            return not self.implausible(pace, old, new)
        return new[1] - old[1] <= abs(old[1])

    def pace_beside(self, branch: _Branch) -> Fraction:
        pace = max(self.pace, branch.pace)
        if branch.kind in ("", "BURST") and (branch.believed or self.pace):
            pace = max(pace, _power(_rate(branch.gain, self.trusted[0], branch.points[0][0])))
        return pace

    def shallow(self, branch: _Branch) -> bool:
        (since, level), (time, value) = self.trusted, branch.points[0]
        return 0 < 10 * (level - value) <= abs(level) and _rate(level - value, since, time) <= self.pace

    def assign(self, branch: _Branch, new: Point) -> None:
        time, value = new
        level = self.trusted[1]
        pace = self.pace_beside(branch)
        low = value < level and not self.rounding(level, value, self.pace)
        if self.rules.policy == "REJECT" and low:
            self.reject(time)
            return
        down = branch.points[0][1] < level
        if self.continues(branch, pace, new):
            usual = value <= branch.level or _rate(value - branch.level, branch.points[-1][0], time) <= pace
            counts = usual and branch.rises >= 2 and not (self.shallow(branch) and self.usual(new))
            if not (down and self.goes_on(new) and not counts):
                if usual or not self.may_go_on(branch):
                    self.extend(branch, new, usual)
                else:
                    self.contradict(branch, new)
                return
        elif not ((down or value < branch.level) and self.goes_on(new)):
            self.contradict(branch, new)
            return
        # Values go on from the trusted level.
        if level == 0 and not self.pace and not branch.believed:
            self.believe(branch)
            self.settle(branch)
        else:
            self.drop(branch)
        self.judge(new)

    def extend(self, branch: _Branch, new: Point, usual: bool) -> None:
        gain, rate = max(new[1] - branch.level, Fraction(0)), Fraction(0)
        lasted = new[0] - branch.points[0][0]
        if gain:
            rate = _rate(gain, branch.points[-1][0], new[0])
            branch.rises = 0 if self.on_trial(branch) and not usual else branch.rises + 1
            branch.counted += gain if not self.pace or rate <= 32 * self.pace else 0
            branch.pace = max(branch.pace, _power(rate))
        if self.on_trial(branch) and not usual:
            self.steep((branch.points[-1][0], branch.level), new)
        branch.points.append(new)
        branch.gains[new[0]] = gain
        branch.level = max(branch.level, new[1])
        if (gain and branch.rises == 2) or (not gain and not branch.believed and lasted >= 31 * _DAY):
            self.believe(branch)
        far = branch.gain if branch.kind in ("", "BURST", "ROLLOVER") else abs(branch.points[0][1] - self.trusted[1])
        enough = branch.rises >= 2 and branch.counted >= far and branch.kind not in ("JUMP", "BURST")
        enough |= lasted >= _DAY and branch.rises >= 12
        tentative = self.trusted[1] == 0 and not self.pace
        if branch.believed and (tentative or enough or lasted >= 31 * _DAY):
            self.settle(branch)

    def believe(self, branch: _Branch) -> None:
        old, first, pace = self.trusted, branch.points[0], max(self.pace, branch.pace)
        if branch.believed and branch.kind:
            return
        held, branch.believed = not branch.believed, True
        if first[1] >= old[1]:
            jumped = not self.fits(old, first) if self.rules.cap else self.implausible(pace, old, first)
            if not self.rules.cap and old[1] == 0 and not self.pace:
                jumped = _rate(first[1], old[0], first[0]) > 2 * pace
            branch.kind, branch.gain = ("JUMP", Fraction(0)) if jumped else ("BURST" if held else "", first[1] - old[1])
            return
        over = self.over(old, first)
        if over is not None and (self.rules.cap or _rate(over, old[0], first[0]) <= 32 * pace):
            branch.kind, branch.gain = "ROLLOVER", over
        else:
            branch.kind, branch.gain = "RESET", Fraction(0)

    def settle(self, branch: _Branch) -> None:
        """It is the trusted level from now on."""
        since = self.trusted[0]
        if branch.kind not in ("", "BURST"):
            self.marks[branch.points[0][0]] = branch.kind, 1
        self.marks.update(branch.marks)
        self.steps += branch.steps(since)
        pace, first = max(self.pace, branch.pace), branch.points[0]
        step = _power(_rate(branch.gain, since, first[0])) if branch.gain else Fraction(0)
        if branch.kind == "JUMP" and (self.trusted[1] or self.pace):
            step = min(_power(_rate(first[1] - self.trusted[1], since, first[0])), 32 * pace)
        elif pace:
            step = min(step, 32 * pace)
        self.pace = max(pace, step)
        self.trusted, self.branch = (branch.points[-1][0], branch.level), None
        self.counts_elsewhere(self.trusted[0], branch.rises, branch.counted)

    def contradict(self, branch: _Branch, new: Point) -> None:
        if self.may_go_on(branch) or (branch.believed and branch.rises >= 2):
            if self.earlier is None and self.pace and not self.on_trial(branch):
                far = branch.gain if branch.kind in ("", "ROLLOVER") else abs(branch.points[0][1] - self.trusted[1])
                self.earlier = _Earlier(
                    self.trusted,
                    self.pace,
                    branch.points[0][0],
                    None if branch.kind in ("JUMP", "BURST") else far,
                    self.steps.copy(),
                    self.marks.copy(),
                    branch.points.copy(),
                )
            self.settle(branch)
            self.judge(new)
            return
        last = branch.points[-1][0], branch.level
        falls = branch.believed and new[1] < branch.level and branch.points[0][1] < self.trusted[1]
        gain = self.at_once(last, new) if falls else None
        if gain is None:
            self.drop(branch)
            self.judge(new)
            return
        branch.points.append(new)
        branch.gains[new[0]] = gain
        branch.counted += gain
        branch.level = new[1]
        branch.marks[new[0]] = self.rules.policy, 1

    def may_go_on(self, branch: _Branch) -> bool:
        if self.on_trial(branch):
            rate = _rate(branch.gain, self.trusted[0], branch.points[0][0])
            return branch.rises >= 2 or not self.pace or rate <= 32 * self.pace
        return branch.believed and branch.rises >= 2 and branch.points[0][1] < self.trusted[1]

    def on_trial(self, branch: _Branch) -> bool:
        return branch.believed and branch.kind == "" and branch.points[0][1] >= self.trusted[1]

    def drop(self, branch: _Branch) -> None:
        for time, _ in branch.points:
            self.marks.pop(time, None)
        self.marks[branch.points[0][0]] = "REVOKED" if branch.believed else "GLITCH", len(branch.points)
        self.branch = None

    def finish(self) -> None:
        """The branch that is left adds what it adds while it is believed."""
        if self.branch is not None and self.branch.believed:
            self.settle(self.branch)


def meter_steps(readings: list[Point], rules: Counting = Counting()) -> tuple[list[Step], dict[int, Mark]]:
    """(since, until, increase) of a counter, and by event time of the first the readings that were not taken at their
    word (those that are judged)."""
    meter = _Reference(rules, readings[0])
    for reading in readings[1:]:
        meter.take(reading)
    meter.finish()
    return sorted(meter.steps), meter.marks


def window(
    kept: dict[int, Fraction], kind: int, max_gap: int, start: int, end: int, rules: Counting = Counting()
) -> Expected | None:
    """The window [start, end) of a series whose readings are `kept`; None without readings in it."""
    readings = sorted(kept.items())
    inside = [(time, value) for time, value in readings if start <= time < end]
    if not inside:
        return None
    covered, integral = 0, Fraction(0)
    for (t0, v0), (t1, v1) in pairwise(readings):
        a, b = max(t0, start), min(t1, end)
        if t1 - t0 > max_gap or b <= a:
            continue
        covered += b - a
        if kind == LEVEL:
            integral += v0 * (b - a)
        else:
            at_a = v0 + (v1 - v0) * Fraction(a - t0, t1 - t0)
            at_b = v0 + (v1 - v0) * Fraction(b - t0, t1 - t0)
            integral += (at_a + at_b) / 2 * (b - a)
    consumption = Fraction(0)
    if kind == COUNTER:
        for since, until, amount in meter_steps(readings, rules)[0]:
            if until - since > max_gap:
                consumption += amount if start <= until < end else 0
            else:
                consumption += amount * Fraction(max(0, min(until, end) - max(since, start)), until - since)
    marks = [start, *(time for time, _ in inside), end]
    return Expected(
        count=len(inside),
        total=sum((value for _, value in inside), Fraction(0)),
        least=min(value for _, value in inside),
        most=max(value for _, value in inside),
        first=inside[0],
        last=inside[-1],
        covered=covered,
        integral=integral / 1_000_000,
        longest_gap=max(b - a for a, b in pairwise(marks)),
        consumption=consumption,
    )
