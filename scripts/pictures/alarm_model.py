"""What the service makes of readings under an alarm rule. Times are minutes here."""

from dataclasses import dataclass

from scripts.pictures.model import Course
from services.aggregation.domain.alarms.cases import Case, Ledger
from services.aggregation.domain.alarms.judging import judge
from services.aggregation.domain.alarms.rule import AlarmRule, Condition
from services.aggregation.domain.series import SeriesKey
from services.aggregation.domain.summary import MINUTE, NEVER


@dataclass(frozen=True)
class Phase:
    """A stretch of an alarm's life."""

    state: str
    start: float
    end: float


def phases(condition: Condition, course: Course) -> list[Phase]:
    """The stretches in which an alarm was pending or raised; those without length too."""
    rule = AlarmRule(id="rule", sensor_type="t", condition=condition)
    ledger = Ledger()
    case = Case(rule, 1, SeriesKey("b", "r", "t", "d"), "", ledger)
    found: list[Phase] = []
    last, state, since = (NEVER, 0.0), "", 0.0
    for minute, value in course:
        at = round(minute * MINUTE)
        judge(case, [at], [value], last)
        told = ledger.take().told
        now = "" if case.alarm is None else case.alarm.state.name
        if now != state:
            if state:
                found.append(Phase(state, since, minute))
            state, since = now, minute
        elif not now and told:
            found.append(Phase("RAISED", minute, minute))
        last = at, value
    return found
