"""Settings: what is refused, and what follows from them."""

import pytest

from services.aggregation.domain.times import MINUTE, SECOND
from services.aggregation.settings import AggregationSettings
from services.chassis.settings import Refused, read


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("STEPS", "1m,90s"),
        ("STEPS", "7s"),
        ("STEPS", "1m,1m"),
        ("STEPS", "soon"),
        ("STEPS", "2d"),
        ("ANNOUNCED_STEPS", "5s"),
        ("LEASE_TTL", "1s"),
        ("LATENESS", "1s"),
        ("MAX_MESSAGES", "1"),
        ("GRACE", "-1s"),
    ],
)
def test_settings_that_make_no_sense_are_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv("TOCSIN_POSTGRES_DSN", "postgresql://localhost/x")
    monkeypatch.setenv("TOCSIN_NATS_URL", "nats://localhost")
    monkeypatch.setenv(f"TOCSIN_AGGREGATION_{name}", value)
    with pytest.raises(Refused, match=f"TOCSIN_AGGREGATION_{name}"):
        read(AggregationSettings)


def test_settings_with_windows_of_five_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOCSIN_POSTGRES_DSN", "postgresql://localhost/x")
    monkeypatch.setenv("TOCSIN_NATS_URL", "nats://localhost")
    monkeypatch.setenv("TOCSIN_AGGREGATION_STEPS", "5s, 1m, 15m")
    monkeypatch.setenv("TOCSIN_AGGREGATION_ANNOUNCED_STEPS", "5s")
    rules = read(AggregationSettings).rules
    assert (rules.steps, rules.announced) == ((5 * SECOND, MINUTE, 15 * MINUTE), (5 * SECOND,))
