"""5 % random loss moves the time-weighted mean by no more than docs/aggregation.md derives, and the docs show what was
measured."""

import math
from pathlib import Path

import pytest

from tests.support.aggregation.loss import INTERVALS, LOSS, SIGNALS, Signal, table, trials


@pytest.mark.parametrize("interval", INTERVALS)
@pytest.mark.parametrize("signal", SIGNALS, ids=lambda signal: signal.name)
def test_random_loss_stays_below_the_bound(signal: Signal, interval: int) -> None:
    found = trials(signal, interval)
    for one in found:
        assert one.change <= one.bound + 1e-9
    # The trials lose what they should, and most of them lose no time.
    received = sum(one.received_ratio for one in found) / len(found)
    assert received == pytest.approx(1 - LOSS, abs=0.02)
    covered = sum(one.covered_ratio for one in found) / len(found)
    assert covered == pytest.approx(1 - LOSS**3 * (4 - 3 * LOSS), abs=2e-3)
    # On the whole the arithmetic mean is the worse one, wherever values change between readings.
    assert sum(one.change**2 for one in found) < sum(one.arithmetic**2 for one in found)


def test_what_is_to_be_expected_of_loss() -> None:
    """The sums behind the rules of thumb of the docs: k intervals between two kept readings have the probability
    (1 - p) p^(k - 1)."""
    p = LOSS
    chances = [((1 - p) * p ** (k - 1), k) for k in range(1, 60)]
    assert sum(chance * (k**3 - k) for chance, k in chances) == pytest.approx(6 * p / (1 - p) ** 3)
    assert sum(chance * k for chance, k in chances) == pytest.approx(1 / (1 - p))
    unknown = sum(chance * k for chance, k in chances if k > 3) * (1 - p)
    assert unknown == pytest.approx(p**3 * (4 - 3 * p))
    assert math.isclose(unknown, 4.8e-4, rel_tol=0.01)


def test_the_docs_show_what_was_measured(repository: Path) -> None:
    """Anew: `python -m tests.support.aggregation.loss`."""
    assert table() in (repository / "docs" / "aggregation.md").read_text()
