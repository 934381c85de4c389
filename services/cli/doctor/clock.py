"""How far another clock is from this host's, as a question and its answer show it."""

from datetime import timedelta

from services.cli.doctor.check import Outcome, failed, ok, warning

_NOTABLE = timedelta(milliseconds=500)
_TOO_FAR = timedelta(seconds=5)
"""As far as tokens may be off (TOCSIN_AUTH_LEEWAY)."""
_ADVICE = (
    "let all hosts keep time by the same servers (chrony, systemd-timesyncd; 'chronyc tracking' tells how far one is)"
)


def clock_outcome(whose: str, told: float, before: float, after: float) -> Outcome:
    """What to say of a clock that told `told` between `before` and `after` of this host's clock (seconds)."""
    uncertain = (after - before) / 2
    skew = told - (before + after) / 2
    where = "ahead of" if skew > 0 else "behind"
    said = f"{whose} is {abs(skew) * 1000:.0f} ms {where} this host (± {uncertain * 1000:.0f} ms)"
    certain = abs(skew) - uncertain
    if certain > _TOO_FAR.total_seconds():
        return failed(said, f"{_ADVICE}; tokens that are just issued or about to end are refused by whoever is off")
    if certain > _NOTABLE.total_seconds():
        return warning(said, _ADVICE)
    return ok(said)
