"""One counter, reading by reading: which of its values are accepted, and what each of them adds.

There is a *trusted* level and at most one *branch*: another level, which is to show whether it is real. A value belongs
to the one that it continues.

- A value at or above the trusted level, by no more than is usual, is accepted and adds the difference. A small fall is
  rounding: the level is held until it is passed.
- Any other value begins a branch. It is *believed* at once (an unusual step up; a fall that the policy believes), or
  *held* (an implausible step up, any other fall) until it has counted `AGREE` times: what stays exactly the same
  confirms nothing. Then what it has counted is booked where it happened; the step to it is booked only where it was
  consumption (a burst, a register that has run over), not where the counter was reset or replaced.
- When values go on from the trusted level the branch was false, and all that it has added is taken back.
- A branch that has counted for long enough is trusted, and the level before it forgotten. Where values go on elsewhere
  sooner, it becomes the trusted level, too, but the one before stays known as the *earlier* one: values that go on from
  there show that all that came since was false.

So no step is negative, and no false value counts for good, whatever the policy. What follows from a reading depends on
the readings before it only, and from a reading on after which there is neither a branch nor an earlier level (an
*anchor*) on nothing else than the level and the pace there.
"""

from collections.abc import Mapping, Sequence

from services.aggregation.domain.columns import Rows
from services.aggregation.domain.counters.branch import (
    AGREE,
    BURST,
    COUNTED,
    STEP,
    Branch,
    Taken,
    read_branch,
    uncontradicted,
    write_branch,
)
from services.aggregation.domain.counters.correction import NO_DECISIONS, Correction, Decision, Doubt
from services.aggregation.domain.counters.earlier import Earlier, read_earlier, write_earlier
from services.aggregation.domain.counters.meter_row import REJECTING, UNDECIDED, Accepted, Anchor
from services.aggregation.domain.counters.plausibility import (
    ALIKE,
    LARGE,
    STEEP,
    doubtful,
    implausible,
    pace_of,
    within,
)
from services.aggregation.domain.counters.policy import CounterRules, Policy
from services.aggregation.domain.counters.rejected import Rejected, read_rejected, write_rejected
from services.aggregation.domain.times import NEVER


class Meter:
    """Takes the readings of one counter in, in the order of time. `decisions`: by event time."""

    def __init__(
        self, series: int, rules: CounterRules, row: Rows, decisions: Mapping[int, Decision] = NO_DECISIONS
    ) -> None:
        self.accepted: dict[int, Accepted] = {}
        """By place in the columns."""
        self.past = False
        """Readings before these columns are judged otherwise now."""
        self._corrections: dict[int, Correction] = {}
        self._series = series
        self._rules = rules
        self._row = row
        self._decisions = decisions
        self._time, self._level, self._pace = int(row["level_time"]), float(row["level"]), float(row["pace"])
        self._branch = read_branch(row)
        self._earlier = read_earlier(row)
        self._rejected = read_rejected(row)

    @property
    def corrections(self) -> list[Correction]:
        """Of these columns, by time."""
        return [self._corrections[time] for time in sorted(self._corrections)]

    @property
    def _tentative(self) -> bool:
        """The trusted level is a first 0, which is none until it is known how the counter counts."""
        return self._level == 0 and self._pace == 0

    def save(self) -> None:
        """Writes what is to be remembered into the row."""
        row = self._row
        row["level_time"], row["level"], row["pace"] = self._time, self._level, self._pace
        undecided = self._branch is not None or self._earlier is not None
        row["open"] = UNDECIDED if undecided else REJECTING if self._rejected is not None else 0
        write_branch(row, self._branch)
        write_earlier(row, self._earlier)
        write_rejected(row, self._rejected)

    def take(self, place: int, time: int, value: float) -> None:
        """The next reading."""
        decision = self._decisions.get(time)
        if decision is not None:
            self._decide(place, time, value, decision)
            return
        if self._time == NEVER:
            self._go_on(place, 0.0, NEVER, time, value)
            return
        if self._earlier is not None and self._goes_back(self._earlier, time, value):
            self._go_back(self._earlier)
        rejected = 0 if self._rejected is None else self._rejected.readings
        if self._branch is None:
            self._judge(place, time, value)
        else:
            self._assign(self._branch, place, time, value)
        if self._rejected is not None and self._rejected.readings > rejected:
            return
        self._rejected = None
        if self._earlier is not None:
            self._earlier.add(Taken(place, time, value))

    def _go_on(self, place: int, amount: float, since: int, time: int, level: float) -> None:
        """The trusted level goes on."""
        self._time, self._level = time, level
        if (earlier := self._earlier) is not None:
            earlier.rises += amount > 0
            earlier.counted += amount
            if earlier.forgotten_after(time):
                self._earlier = None
        self.accepted[place] = Accepted(amount, since, self._anchor())

    def _anchor(self) -> Anchor | None:
        """After a reading that leaves no branch."""
        return Anchor(self._time, self._level, self._pace) if self._earlier is None else None

    def _goes_back(self, earlier: Earlier, time: int, value: float) -> bool:
        """Whether the value goes on from the earlier level as is usual, and so neither from the trusted one nor from a
        branch that counts."""
        if not self._comes_after(earlier.time, earlier.level, earlier.pace, time, value):
            return False
        if self._comes_after(self._time, self._level, self._pace, time, value):
            return False
        branch = self._branch
        if branch is None or branch.rises < AGREE:
            return True
        pace = self._pace_beside(branch)
        usual = within(pace, value - branch.level, time - branch.time)
        return not (usual and self._continues(branch, pace, time, value))

    def _go_back(self, earlier: Earlier) -> None:
        """All that came since was false."""
        self._time, self._level, self._pace = earlier.time, earlier.level, earlier.pace
        self._branch = self._earlier = None
        self.past |= earlier.carried
        self._take_back(earlier.readings)
        self._correct(earlier.left, earlier.start, "REVOKED", last_time=earlier.last_time, readings=earlier.count)

    def _take_back(self, readings: Sequence[Taken]) -> None:
        """None of them counts, and what was listed of them is said by one correction."""
        for place, time, _ in readings:
            self.accepted.pop(place, None)
            self._corrections.pop(time, None)

    def _correct(
        self,
        time: int,
        value: float,
        kind: str,
        *,
        level: float | None = None,
        last_time: int = NEVER,
        readings: int = 1,
        doubt: Doubt | None = None,
    ) -> None:
        level, last_time = self._level if level is None else level, max(time, last_time)
        self._corrections[time] = Correction(self._series, time, value, level, kind, last_time, readings, doubt)

    def _reject(self, time: int, value: float, level: float) -> None:
        if self._rejected is None:
            self._rejected = Rejected(time, value, level)
        run = self._rejected
        run.readings += 1
        self._correct(run.time, run.value, "REJECTED", level=run.level, last_time=time, readings=run.readings)

    def _decide(self, place: int, time: int, value: float, decision: Decision) -> None:
        if decision.kind == "IGNORE":
            return
        if decision.kind == "GLITCH":
            self._correct(time, value, "GLITCH")
            return
        if self._branch is not None:
            if self._branch.believed:
                self._promote(self._branch)
            else:
                self._drop(self._branch)
        self._earlier = self._rejected = None
        value = decision.value if decision.kind == "VALUE" else value
        if self._time == NEVER:
            self._go_on(place, 0.0, NEVER, time, value)
        elif decision.kind == "RESET":
            self._correct(time, value, "RESET")
            self._go_on(place, 0.0, NEVER, time, value)
        else:
            self._go_on(place, max(value - self._level, 0.0), self._time, time, value)

    def _judge(self, place: int, time: int, value: float) -> None:
        """There is no branch."""
        since, level, rules = self._time, self._level, self._rules
        if value >= level:
            if self._usual(time, value):
                self._go_on(place, value - level, since, time, value)
            else:
                self._step_up(place, time, value)
        elif rules.rounds(level, value, self._pace):
            self._go_on(place, 0.0, since, time, level)
        elif rules.policy == Policy.REJECT:
            self._reject(time, value, level)
        else:
            self._fall(place, time, value)

    def _step_up(self, place: int, time: int, value: float) -> None:
        since, level, rules = self._time, self._level, self._rules
        branch = Branch(time, value, time, value, value - level, readings=[Taken(place, time, value)])
        if rules.cap:
            branch.believed = rules.fits(since, level, time, value)
        elif self._pace:
            branch.believed = not implausible(self._pace, level, branch.gain, time - since)
        else:
            branch.believed = branch.gain <= abs(level)
        if branch.believed:
            self.accepted[place] = Accepted(branch.gain, since)
            self._doubt_step(level, branch.gain, since, time, value)
        self._branch = branch

    def _doubt_step(self, level: float, amount: float, since: int, time: int, value: float) -> None:
        """A step that is believed may be another meter all the same."""
        if not self._rules.cap and doubtful(self._pace, level, amount, time - since):
            self._correct(time, value, "STEEP", level=level, doubt=Doubt(amount, 0.0))

    def _fall(self, place: int, time: int, value: float) -> None:
        branch = Branch(time, value, time, value, 0.0, "RESET", readings=[Taken(place, time, value)])
        gain = self._gain_at_once(self._time, self._level, time, value)
        if gain is not None:
            branch.gain, branch.kind, branch.believed = gain, self._rules.policy.name, True
            self.accepted[place] = Accepted(gain, self._time)
            self._correct(time, value, branch.kind, doubt=self._doubt_fall(branch))
        self._branch = branch

    def _gain_at_once(self, since: int, level: float, time: int, value: float) -> float | None:
        """What a lower value adds when the policy believes it at once."""
        rules = self._rules
        if rules.policy != Policy.ROLLOVER or rules.cautious:
            return rules.restarted(since, level, time, value)
        over = rules.over_the_end(since, level, time, value)
        if over is None or rules.cap:
            return over
        usual = within(STEEP * self._pace, over, time - since) if self._pace else over <= rules.register / 10
        return over if usual else None

    def _assign(self, branch: Branch, place: int, time: int, value: float) -> None:
        """To the trusted level, to the branch, or to neither."""
        rules, level = self._rules, self._level
        amount = value - branch.level
        pace = self._pace_beside(branch)
        if rules.policy == Policy.REJECT and value < level and not rules.rounds(level, value, self._pace):
            self._reject(time, value, branch.level if branch.believed else level)
        elif self._continues(branch, pace, time, value):
            usual = within(pace, amount, time - branch.time)
            counts = usual and branch.rises >= AGREE and not (self._shallow(branch) and self._usual(time, value))
            if branch.start < level and self._goes_on(time, value) and not counts:
                self._return(branch, place, time, value)
            elif self._may_go_on(branch) and not usual:
                # Unusual once more: that is another branch, on the one that is believed.
                self._contradict(branch, place, time, value)
            else:
                self._continue(branch, place, time, value, usual)
        elif (branch.start < level or amount < 0) and self._goes_on(time, value):
            self._return(branch, place, time, value)
        else:
            self._contradict(branch, place, time, value)

    def _continues(self, branch: Branch, pace: float, time: int, value: float) -> bool:
        """Whether the value may come after those of the branch."""
        amount = value - branch.level
        if amount < 0:
            return self._rules.rounds(branch.level, value, pace)
        if self._rules.cap:
            return self._rules.fits(branch.time, branch.level, time, value)
        return not pace or not implausible(pace, branch.level, amount, time - branch.time)

    def _pace_beside(self, branch: Branch) -> float:
        """The pace at which a branch may go on."""
        pace = max(self._pace, branch.pace)
        if branch.kind in (STEP, BURST) and (branch.believed or self._pace):
            # It may count on as it has begun.
            pace = max(pace, pace_of(branch.gain, branch.start_time - self._time))
        return pace

    def _shallow(self, branch: Branch) -> bool:
        """Whether it began with a small fall, by no more than the counter counts in that time: then the value before it
        may have been too high, and the trusted level is held until it is passed."""
        fall = self._level - branch.start
        return 0 < fall <= LARGE * abs(self._level) and within(self._pace, fall, branch.start_time - self._time)

    def _usual(self, time: int, value: float) -> bool:
        """Whether the value comes after the trusted level as is usual, and not below it."""
        since, level, amount = self._time, self._level, value - self._level
        return amount >= 0 and within(self._pace, amount, time - since) and self._rules.fits(since, level, time, value)

    def _comes_after(self, since: int, level: float, pace: float, time: int, value: float) -> bool:
        """Whether the value comes after this level as is usual, but for rounding."""
        if value < level:
            return self._rules.rounds(level, value, pace)
        return within(pace, value - level, time - since) and self._rules.fits(since, level, time, value)

    def _goes_on(self, time: int, value: float) -> bool:
        """Whether the value may come after the trusted level."""
        amount = value - self._level
        if amount < 0:
            return self._rules.rounds(self._level, value, self._pace)
        if self._rules.cap:
            return self._rules.fits(self._time, self._level, time, value)
        if self._pace:
            return not implausible(self._pace, self._level, amount, time - self._time)
        return amount <= abs(self._level)

    def _return(self, branch: Branch, place: int, time: int, value: float) -> None:
        if self._tentative and not branch.believed:
            # Of a first 0 and another level the other one is real.
            self._confirm(branch)
            self._trust(branch)
        else:
            self._drop(branch)
        self._judge(place, time, value)

    def _continue(self, branch: Branch, place: int, time: int, value: float, usual: bool) -> None:
        amount, since = max(value - branch.level, 0.0), branch.time
        if branch.believed:
            self.accepted[place] = Accepted(amount, since)
            if self._on_trial(branch) and not usual:
                self._doubt_step(branch.level, amount, since, time, value)
        branch.add(Taken(place, time, value), max(branch.level, value))
        if amount > 0:
            # Another unusual step on one that was believed at once: what it has counted says nothing of that one.
            branch.rises = branch.rises + 1 if usual or not self._on_trial(branch) else 0
            if not self._pace or within(STEEP * self._pace, amount, time - since):
                branch.counted += amount
            branch.pace = max(branch.pace, pace_of(amount, time - since))
            if branch.rises == AGREE:
                self._confirm(branch)
        elif not branch.believed and uncontradicted(time - branch.start_time, branch.count):
            self._confirm(branch)
        if branch.believed and (self._tentative or branch.trusted_after(self._level, time)):
            self._trust(branch)

    def _confirm(self, branch: Branch) -> None:
        """It counts: so it is believed, and known by its own pace, too, what its first step was."""
        kind, gain = self._meaning(branch)
        if branch.believed:
            if branch.kind == STEP and kind != STEP:
                self._book_start(branch, kind, gain)
            return
        branch.believed = True
        self._book_start(branch, BURST if kind == STEP else kind, gain)
        self.past |= branch.carried
        since, level = branch.before if branch.carried else (branch.start_time, branch.start)
        for place, time, value in branch.readings:
            if time != branch.start_time:
                self.accepted[place] = Accepted(max(value - level, 0.0), since)
            since, level = time, max(level, value)

    def _book_start(self, branch: Branch, kind: str, gain: float) -> None:
        branch.kind, branch.gain = kind, gain
        if branch.carried:
            self.past = True
            return
        since = self._time if kind in COUNTED else NEVER
        self.accepted[branch.readings[0].place] = Accepted(gain, since)
        if kind == "JUMP":
            self._correct(branch.start_time, branch.start, kind, doubt=self._doubt_jump(branch))
        elif kind not in (STEP, BURST):
            self._correct(branch.start_time, branch.start, kind, doubt=self._doubt_fall(branch))

    def _doubt_jump(self, branch: Branch) -> Doubt | None:
        """It may have been consumption, unless the cap says that it was not, or a first 0 was no level."""
        return None if self._rules.cap or self._tentative else Doubt(0.0, branch.start - self._level)

    def _doubt_fall(self, branch: Branch) -> Doubt | None:
        """Where a register may run over, it may also have started anew, unless the step over the end is a usual one or
        the cap decides."""
        since, rules = self._time, self._rules
        over = rules.over_the_end(since, self._level, branch.start_time, branch.start)
        if over is None or rules.cap or within(self._pace, over, branch.start_time - since):
            return None
        return Doubt(over, 0.0) if branch.kind == "ROLLOVER" else Doubt(0.0, over)

    def _meaning(self, branch: Branch) -> tuple[str, float]:
        """What the step to the branch was, and what it adds."""
        since, level, rules = self._time, self._level, self._rules
        elapsed, pace = branch.start_time - since, max(self._pace, branch.pace)
        if branch.start >= level:
            step = branch.start - level
            if rules.cap:
                jumped = not rules.fits(since, level, branch.start_time, branch.start)
            elif self._tentative:
                jumped = not within(ALIKE * pace, step, elapsed)
            else:
                jumped = implausible(pace, level, step, elapsed)
            return ("JUMP", 0.0) if jumped else (STEP, step)
        over = rules.over_the_end(since, level, branch.start_time, branch.start)
        if over is not None and (rules.cap or within(STEEP * pace, over, elapsed)):
            return "ROLLOVER", over
        return "RESET", 0.0

    def _trust(self, branch: Branch) -> None:
        """Its last reading leaves no branch."""
        elapsed, pace = branch.start_time - self._time, max(self._pace, branch.pace)
        jumped = branch.kind == "JUMP" and not self._tentative
        # A JUMP may have been a burst after all: of several the next ones are known.
        step = pace_of(branch.start - self._level if jumped else branch.gain, elapsed)
        # One step that was false for so long does not make everything plausible.
        self._pace = max(pace, min(step, STEEP * pace) if pace or jumped else step)
        self._time, self._level, self._branch = branch.time, branch.level, None
        if (earlier := self._earlier) is not None:
            earlier.rises += branch.rises
            earlier.counted += branch.counted
            if not earlier.forgotten_after(branch.time):
                return
            self._earlier = None
        if not branch.readings:
            self.past = True
            return
        place = branch.readings[-1].place
        self.accepted[place] = self.accepted[place]._replace(anchor=self._anchor())

    def _promote(self, branch: Branch) -> None:
        """It is trusted before it was due: the values go on elsewhere. What had counted before it is remembered."""
        counts = self._on_trial(branch) and branch.rises >= AGREE
        if self._earlier is None and self._pace and not counts:
            self._earlier = Earlier.before(branch, self._time, self._level, self._pace)
        self._trust(branch)

    def _contradict(self, branch: Branch, place: int, time: int, value: float) -> None:
        """The value belongs to neither."""
        if self._may_go_on(branch) or (branch.believed and branch.rises >= AGREE):
            self._promote(branch)
            self._judge(place, time, value)
            return
        gain = None
        if branch.believed and value < branch.level and branch.start < self._level:
            gain = self._gain_at_once(branch.time, branch.level, time, value)
        if gain is None:
            over = self._rules.over_the_end(branch.time, branch.level, time, value) if self._tentative else None
            # The first 0 may have been no level, and the register have run over.
            self._drop(branch, None if over is None else Doubt(0.0, over))
            self._judge(place, time, value)
            return
        # Another fall that the policy believes at once: all of the branch stays to be confirmed.
        self.accepted[place] = Accepted(gain, branch.time)
        self._correct(time, value, self._rules.policy.name, level=branch.level)
        branch.counted += gain
        branch.add(Taken(place, time, value), value)

    def _may_go_on(self, branch: Branch) -> bool:
        """Whether a value that does not come after those of the branch may make it the trusted level."""
        if self._on_trial(branch):
            # A step that is not far beyond what is usual is as likely true as what contradicts it.
            elapsed = branch.start_time - self._time
            return not self._pace or branch.rises >= AGREE or within(STEEP * self._pace, branch.gain, elapsed)
        return branch.believed and branch.rises >= AGREE and branch.start < self._level

    def _on_trial(self, branch: Branch) -> bool:
        """Whether it is a step up that was believed at once."""
        return branch.believed and branch.kind == STEP and branch.start >= self._level

    def _drop(self, branch: Branch, doubt: Doubt | None = None) -> None:
        """It was false: what it has added is taken back."""
        kind = "REVOKED" if branch.believed else "GLITCH"
        self._take_back(branch.readings)
        last, count = branch.time, branch.count
        self._correct(branch.start_time, branch.start, kind, last_time=last, readings=count, doubt=doubt)
        self.past |= branch.carried
        self._branch = None
