"""When reminders are due: every zone that changes its clocks, and cron expressions."""

from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta
from importlib import resources
from itertools import islice, pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from services.notification.domain.reminders.errors import ScheduleInvalid
from services.notification.domain.reminders.recurrence import Recurrence
from services.notification.domain.reminders.zones import instant_of, wall_time, zone, zone_names

BEGIN, END = datetime(2024, 1, 1, tzinfo=UTC), datetime(2031, 1, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def changes(where: ZoneInfo) -> list[datetime]:
    """The instants between 2024 and 2030 at which the clocks of a zone change, to the minute: there is a week or more
    between two of them."""
    found: list[datetime] = []
    at = BEGIN
    while at < END:
        later = at + timedelta(weeks=1)
        if at.astimezone(where).utcoffset() != later.astimezone(where).utcoffset():
            low, high = at, later
            while high - low > MINUTE:
                middle = low + (high - low) // (2 * MINUTE) * MINUTE
                same = middle.astimezone(where).utcoffset() == low.astimezone(where).utcoffset()
                low, high = (middle, high) if same else (low, middle)
            found.append(high)
        at = later
    return found


def distinct_zones() -> dict[bytes, list[str]]:
    """The names of all zones by what is written about them: many are other spellings of one."""
    root = resources.files("tzdata") / "zoneinfo"
    found: dict[bytes, list[str]] = {}
    for name in sorted(zone_names()):
        found.setdefault(root.joinpath(*name.split("/")).read_bytes(), []).append(name)
    return found


CHANGING = [names for names in distinct_zones().values() if changes(zone(names[0]))]
"""Every zone that changes its clocks in these years, with its other spellings."""
FIRSTS = [names[0] for names in CHANGING]


def test_a_third_of_the_zones_change_their_clocks() -> None:
    names = {name for names in CHANGING for name in names}
    assert len(zone_names()) > 590
    assert len(names) > 200
    assert {"Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Africa/Casablanca", "Asia/Gaza"} <= names


@pytest.mark.parametrize("name", FIRSTS)
def test_over_every_change_each_wall_time_runs_once_a_day(name: str) -> None:
    where = zone(name)
    for change in changes(where):
        before, after = (change - MINUTE).astimezone(where), change.astimezone(where)
        moved = (after.utcoffset() or timedelta(0)) - (before.utcoffset() or timedelta(0))
        last_wall, first_wall = before.replace(tzinfo=None, fold=0), after.replace(tzinfo=None, fold=0)
        if moved > timedelta(0):
            # The times from last_wall + 1 min until first_wall are left out: each runs at the change.
            walls = [last_wall + MINUTE, last_wall + moved / 2, first_wall - MINUTE, first_wall]
            expected = [change] * 4
        else:
            # The times from first_wall until last_wall are shown twice: each runs the first time.
            walls = [first_wall, last_wall + moved / 2 + MINUTE, last_wall]
            expected = [change + moved, change + moved / 2, change - MINUTE]
        for wall, instant in zip(walls, expected, strict=True):
            assert instant_of(wall, where) == instant, (name, wall)
            found = list(islice(_runs(name, wall.time(), wall - timedelta(days=2)), 4))
            # Once a day, and on the day of the change at that instant.
            assert instant in found, (name, wall, found)
            assert all(timedelta(hours=22) <= other - one <= timedelta(hours=26) for one, other in pairwise(found))


def _runs(name: str, at: time, since: datetime) -> Iterator[datetime]:
    recurrence = Recurrence(zone=name, times=(at.replace(second=0),))
    return recurrence.after(instant_of(since.replace(hour=12), zone(name)))


@pytest.mark.parametrize("name", FIRSTS)
def test_over_every_change_runs_are_in_order_and_meet_the_wall(name: str) -> None:
    where = zone(name)
    for change in changes(where):
        for cron in ("*/20 * * * *", "30 1,2,23 * * *"):
            recurrence = Recurrence(zone=name, cron=cron)
            found = list(islice(recurrence.after(change - timedelta(hours=3)), 20))
            assert all(one < other for one, other in pairwise(found))
            walls = [wall_time(at, where) for at in found]
            # None comes twice, also where the clocks show it twice.
            assert len(set(walls)) == len(walls), (name, cron, change)
            for at, wall in zip(found, walls, strict=True):
                assert instant_of(wall, where) == at
                # From in front of any run the next one is found.
                assert recurrence.next_after(at - timedelta(seconds=1)) == at


def test_the_examples_that_everybody_knows() -> None:
    berlin = "Europe/Berlin"
    left_out = Recurrence(zone=berlin, times=(time(2, 30),))
    spring = list(islice(left_out.after(datetime(2026, 3, 28, 12, tzinfo=UTC)), 2))
    # The clocks go from 02:00 to 03:00: it runs at 03:00.
    assert spring == [datetime(2026, 3, 29, 1, tzinfo=UTC), datetime(2026, 3, 30, 0, 30, tzinfo=UTC)]
    autumn = list(islice(left_out.after(datetime(2026, 10, 24, 12, tzinfo=UTC)), 2))
    # 02:30 comes twice: it runs the first time.
    assert autumn == [datetime(2026, 10, 25, 0, 30, tzinfo=UTC), datetime(2026, 10, 26, 1, 30, tzinfo=UTC)]
    # Between the two of them the next is tomorrow's.
    assert left_out.next_after(datetime(2026, 10, 25, 0, 45, tzinfo=UTC)) == autumn[1]
    # Two times that the gap brings together run as one.
    both = Recurrence(zone=berlin, times=(time(2, 30), time(3)))
    assert list(islice(both.after(datetime(2026, 3, 28, 12, tzinfo=UTC)), 2)) == [
        datetime(2026, 3, 29, 1, tzinfo=UTC),
        datetime(2026, 3, 30, 0, 30, tzinfo=UTC),
    ]
    # Half an hour, at Lord Howe.
    lord_howe = Recurrence(zone="Australia/Lord_Howe", times=(time(2, 15),))
    assert lord_howe.next_after(datetime(2026, 10, 3, 0, tzinfo=UTC)) == datetime(2026, 10, 3, 15, 30, tzinfo=UTC)


@given(
    st.sampled_from(sorted(zone_names())),
    st.datetimes(datetime(2024, 1, 1), datetime(2030, 12, 31)),
    st.lists(st.times(), min_size=1, max_size=6, unique_by=lambda at: (at.hour, at.minute)),
)
@example("Africa/Casablanca", datetime(2026, 2, 14, 12), [time(2, 30), time(3, 15)])
def test_every_instant_has_its_next_run(name: str, since: datetime, times: list[time]) -> None:
    minutes = tuple(at.replace(second=0, microsecond=0) for at in times)
    recurrence = Recurrence(zone=name, times=minutes)
    begin = since.replace(tzinfo=UTC)
    found = list(islice(recurrence.after(begin), 2 * len(minutes)))
    assert found[0] > begin
    assert all(one < other for one, other in pairwise(found))
    # However far one looks back, the same runs are found.
    assert list(islice(recurrence.after(found[0] - timedelta(microseconds=1)), len(found))) == found
    # At least one within a day, but for an hour of the clocks.
    assert found[0] - begin <= timedelta(hours=25)


FIELD = st.one_of(
    st.just("*"),
    st.integers(0, 70).map(str),
    st.from_regex(r"[0-9*]{1,2}([-/,#][0-9L]{1,2}){0,2}", fullmatch=True),
    st.sampled_from(["L", "LW", "MON-FRI", "JAN,JUN", "SUN#2", "7L", "1#2/3", "*/0", "5-1", "", "?", "@daily"]),
)


@given(st.tuples(FIELD, FIELD, FIELD, FIELD, FIELD).map(" ".join))
@example("0 0 30 2 *")
@example("0 0 29 2 MON#5")
@example("0 0 1#2/3 * *")
def test_an_expression_runs_or_is_refused(expression: str) -> None:
    try:
        recurrence = Recurrence(zone="Europe/Berlin", cron=expression)
    except ScheduleInvalid:
        return
    after = datetime(2026, 11, 30, tzinfo=UTC)
    found = recurrence.next_after(after)
    assert found is None or found > after


@pytest.mark.parametrize("expression", ["* * * * * *", "* * * *", "@daily", "60 * * * *", "a b c d e", "0 0 31 2 *"])
def test_what_is_no_expression_is_refused(expression: str) -> None:
    with pytest.raises(ScheduleInvalid):
        Recurrence(zone="UTC", cron=expression)


@pytest.mark.parametrize("name", ["", "Mars/Olympus", "../zones", "localtime", "europe/berlin", "tzdata.zi"])
def test_what_is_no_zone_is_refused(name: str) -> None:
    with pytest.raises(ScheduleInvalid):
        Recurrence(zone=name, times=(time(8),))


def test_either_times_or_an_expression() -> None:
    for times, cron in (((), ""), ((time(8),), "0 8 * * *")):
        with pytest.raises(ScheduleInvalid):
            Recurrence(zone="UTC", times=times, cron=cron)
