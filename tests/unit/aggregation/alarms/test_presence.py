"""Which series are waited for, after their device has left and when it comes back."""

import numpy as np

from services.aggregation.domain.alarms.presence import LEAVING, Presence
from services.aggregation.domain.readings import Readings


def test_a_device_that_has_sent_since_has_not_left() -> None:
    presence = Presence()
    assert presence.leave(0, at=100, newest=100 + LEAVING) is True
    assert presence.leave(1, at=100, newest=101 + LEAVING) is False
    assert (0 in presence, 1 in presence) == (False, True)
    assert presence.absent == [0]


def test_what_was_on_its_way_does_not_bring_a_device_back_and_what_follows_does() -> None:
    presence = Presence()
    presence.leave(0, at=100, newest=0)
    on_its_way = Readings(np.array([0, 1]), np.array([100 + LEAVING, 5]), np.array([1.0, 2.0]))
    assert presence.take(on_its_way, 2).series.tolist() == [1]
    assert presence.absent == [0]
    later = Readings(np.array([0]), np.array([101 + LEAVING]), np.array([3.0]))
    assert presence.take(later, 2).value.tolist() == [3.0]
    assert presence.absent == []


def test_a_device_that_is_back_is_waited_for_from_then_on() -> None:
    presence = Presence()
    presence.leave(0, at=100, newest=0)
    presence.come_back(0, at=500)
    presence.come_back(1, at=500)
    assert presence.absent == []
    assert presence.expected_since(np.array([200, 900, 300])).tolist() == [500, 900, 300]
