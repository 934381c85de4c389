"""What the service makes of readings under an alarm rule. Times are minutes here."""

from dataclasses import dataclass

from scripts.pictures.model import Course
from services.aggregation.domain.alarms.conditions import evaluate
from services.aggregation.domain.alarms.rule import AlarmRule, Condition
from services.aggregation.domain.alarms.rule_state import Ledger, RuleState
from services.aggregation.domain.series import SeriesKey
from services.aggregation.domain.times import MINUTE, NEVER


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
    rule_state = RuleState(rule, 1, SeriesKey("b", "r", "t", "d"), "", ledger)
    found: list[Phase] = []
    last, state, since = (NEVER, 0.0), "", 0.0
    for minute, value in course:
        at = round(minute * MINUTE)
        evaluate(rule_state, [at], [value], last)
        told = ledger.take().events
        now = "" if rule_state.alarm is None else rule_state.alarm.state.name
        if now != state:
            if state:
                found.append(Phase(state, since, minute))
            state, since = now, minute
        elif not now and told:
            found.append(Phase("RAISED", minute, minute))
        last = at, value
    return found
