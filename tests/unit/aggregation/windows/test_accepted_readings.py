"""What has settled of counters is told without what was not believed."""

import numpy as np

from services.aggregation.domain.readings import Readings
from services.aggregation.domain.rules import Rules
from services.aggregation.domain.series import Kind
from services.aggregation.domain.times import MINUTE
from services.aggregation.domain.windows.engine import Engine
from tests.support.aggregation.partition import T0


def test_a_glitch_is_not_among_the_accepted_readings() -> None:
    engine = Engine(Rules())
    engine.states.add(1, engine.states.blank(int(Kind.COUNTER), MINUTE), 0.0)
    values = np.array([50000.0, 50010, 0, 50030, 50040, 50050])
    times = np.arange(len(values), dtype=np.int64) * MINUTE + T0
    changes = engine.apply(Readings(np.zeros(len(values), np.int64), times, values), 0.0)
    assert changes.accepted.value.tolist() == [50000, 50010, 50030, 50040]
    assert changes.accepted.time.tolist() == [T0 + at * MINUTE for at in (0, 1, 3, 4)]
