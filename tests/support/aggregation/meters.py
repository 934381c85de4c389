"""A corpus of meters: series of the kinds that public trackers report, each with what was truly consumed.

Values are kWh (or whatever the meter counts) at even intervals, unless times are given. `source`: a report of the
kind; the values are like those reported, shortened.
"""

from dataclasses import dataclass, field
from typing import Final

from services.aggregation.domain.counters.policy import CounterRules, Policy
from services.aggregation.domain.times import DAY, HOUR, MINUTE


@dataclass(frozen=True)
class MeterCase:
    """`true`: what was consumed; `needs`: the rules by which that can be known where the default ones cannot know it;
    `tie`: nothing in the values decides, so that the careful way is what is expected."""

    name: str
    values: tuple[float, ...]
    true: float
    source: str = ""
    interval: int = 5 * MINUTE
    times: tuple[int, ...] = ()
    """In microseconds, where readings are not evenly apart."""
    register: float = 1_000_000.0
    needs: CounterRules | None = None
    tie: str = ""
    careful: float = field(default=0.0)
    """What the default rules book of a tie."""

    @property
    def readings(self) -> list[tuple[int, float]]:
        """In the order in which they come: (event time, value)."""
        times = self.times or tuple(place * self.interval for place in range(len(self.values)))
        return list(zip(times, self.values, strict=True))


def _steps(start: float, step: float, count: int) -> tuple[float, ...]:
    return tuple(round(start + step * place, 6) for place in range(count))


def _mornings(first: float, nights: int) -> tuple[float, ...]:
    """An inverter: five zeros each morning, then its register through the day."""
    found: list[float] = []
    level = first
    for _ in range(nights):
        found += [0.0] * 5
        day = _steps(level, 0.14, 71)
        found += day
        level = day[-1]
    return tuple(found)


def _evenings(first: float, nights: int) -> tuple[float, ...]:
    """An inverter: its register through the day, one value too high by 9 %, zeros until the morning."""
    found: list[float] = []
    level = first
    for _ in range(nights):
        day = _steps(level, 0.07, 73)
        found += [*day, round(day[-1] * 1.09, 2), *[0.0] * 70]
        level = day[-1]
    return *found, level


def _days(totals: tuple[int, ...]) -> tuple[float, ...]:
    """A total of the day, which starts at 0 each midnight."""
    return tuple(float(hour * total / 24) for total in totals for hour in range(25))


_HA: Final = "home-assistant/core"
METERS: Final = (
    MeterCase("grows", _steps(100, 0.1, 40), 3.9),
    MeterCase("grows in bursts", (100, 100.001, 100.002, 100.92, 101.83, 102.75, 102.751, 102.752), 2.752),
    MeterCase("one zero", (3.71, 3.737, 0, 3.746, 3.75), 0.04, "Refoss/refoss_rpc#14"),
    MeterCase("three zeros", (397.11, 0, 0, 0, 397.2, 397.25), 0.14, f"{_HA}#55901"),
    MeterCase("zeros for twelve hours", (397.11, *[0.0] * 144, 413.5, 413.55), 16.44, "traktore-org/sem-community#782"),
    MeterCase("zeros for a weekend", (812.3, 812.4, *[0.0] * 600, 815.1, 815.2), 2.9),
    MeterCase("zeros twice", (50, 50.1, 0, 0, 50.2, 50.3, 0, 0, 0, 50.4), 0.4, "rwoldberg/ldata-ha#21"),
    MeterCase("five zeros each morning", (500.4, *_mornings(500.5, 3)[:5], *_mornings(500.5, 3)), 29.5),
    MeterCase("five zeros each morning, first of all", _mornings(500.5, 3), 29.4),
    MeterCase("first a zero", (0, 936.12, 936.2, 936.3), 0.18, "home-assistant/frontend#20882"),
    MeterCase("first zeros, a new meter", (0, 0, 0, 0.1, 0.2, 0.3, 0.45), 0.45),
    MeterCase(
        "an outage of a month, then the same value",
        (*_steps(900, 0.1, 10), 900.9, 901.0),
        1.0,
        "home-assistant/frontend#28177",
        times=(*(at * 5 * MINUTE for at in range(10)), 30 * DAY, 30 * DAY + HOUR),
    ),
    MeterCase(
        "a month away",
        (*_steps(100, 0.1, 10), 1340.0, 1340.1),
        1240.1,
        times=(*(at * 5 * MINUTE for at in range(10)), 30 * DAY, 30 * DAY + HOUR),
    ),
    MeterCase("restarts at 0", (439534, 439600, 0, 718, 1400, 2100, 3000), 3066, "esphome/issues#3974"),
    MeterCase("a real restart", (439534, 718, 1400, 2100, 3000), 2282),
    MeterCase("restarts one interval after another", (500, 510, 3, 8, 14, 20, 2, 7, 12, 18), 43),
    MeterCase("two restarts that count, then the old level", (500, 510, 520, 3, 8, 13, 18, 2, 7, 530, 540, 550), 50),
    MeterCase(
        "counts a little from 0, over and over, then the old level",
        (*_steps(500, 0.1, 5), *(0, 0.001, 0.002, 0.003) * 30, 512.5, 512.6, 512.7),
        12.7,
    ),
    MeterCase(
        "replaced twice",
        (*_steps(9000, 2, 6), *_steps(500, 2, 6), *_steps(7, 2, 306)),
        630,
    ),
    MeterCase("a value too high by what it counts anyway", (100, 110, 120, 125, 122, 123, 124, 130, 135, 140), 40),
    MeterCase(
        "a value too high by what it counts anyway, in small steps",
        (100, 101, 102, 102.9, 102.1, 102.2, 102.3, 103.2, 104, 105),
        5,
    ),
    MeterCase("replaced by a lower one", (*_steps(9000, 0.2, 6), 3, 3.2, 3.4, 3.6, 3.8, 4.0), 2.0),
    MeterCase("replaced by a higher one", (*_steps(100, 0.1, 10), *_steps(5000, 0.1, 10)), 1.8),
    MeterCase(
        "restored from a backup after a reboot",
        (480, 490, 500, 510, 480, 490, 500, 510, 520),
        70,
        "asund/esphome-daikin-s21#181",
    ),
    MeterCase("the total of the day", _days((24, 26, 25)), 75, f"{_HA}#57055", interval=HOUR),
    MeterCase("last digit once", (215.6, 215.6, 215.7, 215.6, 215.6, 215.6), 0.1, "johanmeijer/grott#99"),
    MeterCase(
        "last digit back and forth",
        (215.6, 215.7, 215.6, 215.6, 215.6, 215.7, 215.6, 215.6, 215.7),
        0.1,
        "johanmeijer/grott#99",
    ),
    MeterCase("a Wh back and forth", (100, *[100.001, 100] * 20), 0.001),
    MeterCase("whole kWh back and forth", (43, 43, 44, 43, 43, 44, 43, 44, 45), 2),
    MeterCase("noise in the sixth digit", (100, 100.1, 100.099999, 100.2, 100.199999, 100.3), 0.3),
    MeterCase("one value far too high", (100, 101, 9999, 102, 103, 104, 105), 5),
    MeterCase("one value too high", (100, 101, 102, 150, 103, 104, 105), 5),
    MeterCase("several values too high", (100, 101, 102, 9990, 9991, 9992, 103, 104, 105), 5),
    MeterCase("stuck too high", (100, 101, *[9999.0] * 100, 130, 131), 31),
    MeterCase("the second value too high", (100, 9999, 102, 103, 104), 4),
    MeterCase(
        "an extra 2^24 after a reset",
        (0.40, 0.45, 0.49, 3137.40, 3137.41, 3137.42, 0.53, 0.55),
        0.15,
        "esphome/esphome#15280",
    ),
    MeterCase("Wh for kWh twice", (100, 100.1, 100200, 100300, 100.4, 100.5, 100.6, 100.7), 0.7),
    MeterCase("kWh for Wh thrice", (100000, 100100, 100.2, 100.3, 100.4, 100500, 100600, 100800), 800),
    MeterCase("kWh for Wh for an hour", (*_steps(100000, 100, 5), *_steps(100.5, 0.1, 12), 101700, 101800), 1800),
    MeterCase("a negative value", (100, 101, -1, 102, 103), 3),
    MeterCase("a spike, then a zero", (100, 101, 9999, 0, 102, 103), 3),
    MeterCase("several values too high, then a zero", (100, 101, 102, 9990, 9991, 9992, 0, 103, 104, 105), 5),
    MeterCase(
        "Wh for kWh, then a zero", (*_steps(100, 0.1, 5), *_steps(100500, 100, 4), 0, *_steps(101, 0.1, 20)), 2.9
    ),
    MeterCase("a spike of a tenth, then a zero", (*_steps(50000, 0.1, 20), 54900, 0, *_steps(50002.2, 0.1, 12)), 3.3),
    MeterCase("a small spike, then a zero", (*_steps(1000, 0.1, 10), 1020, 0, *_steps(1001.1, 0.1, 12)), 2.2),
    MeterCase(
        "a spike of a tenth, as soon as it counts, then a zero",
        (50000, 50000.1, 50000.2, 54900, 0, 50000.4, 50000.5, 50000.6),
        0.6,
    ),
    MeterCase(
        "a spike of a tenth, then two zeros",
        (50000, 50000.1, 50000.2, 54900, 0, 0, 50000.4, 50000.5, 50000.6),
        0.6,
    ),
    MeterCase(
        "a spike of a tenth, then one too low",
        (*_steps(50000, 0.1, 20), 54900, 49000, *_steps(50002.2, 0.1, 12)),
        3.3,
    ),
    MeterCase(
        "a spike within a tenth on a low register, then a zero",
        (*_steps(100, 0.1, 4), 109, 0, *_steps(100.5, 0.1, 4)),
        0.8,
    ),
    MeterCase(
        "spikes that rise",
        (*_steps(50000, 0.1, 20), 52000, 53000, 54900, *_steps(50002.3, 0.1, 40)),
        6.2,
    ),
    MeterCase(
        "spikes that rise ever faster",
        (*_steps(50000, 0.1, 20), 52000, 54900, *_steps(50002.2, 0.1, 40)),
        6.1,
    ),
    MeterCase("a spike each evening, then zeros", _evenings(500.5, 5), 25.2),
    MeterCase(
        "a charger on a low register",
        (*_steps(0.5, 0.0001, 50), *_steps(2.3, 1.83, 10), *_steps(18.7701, 0.0001, 30)),
        18.273,
    ),
    MeterCase(
        "steady use after standby, on a low register",
        (*_steps(0.5, 0.0001, 50), *_steps(0.75, 0.25, 6), *_steps(2.0001, 0.0001, 36)),
        1.5036,
    ),
    MeterCase(
        "steady use after standby, by less than the register",
        (*_steps(2, 0.0001, 50), *_steps(2.9, 0.9, 6), *_steps(7.4, 0.0001, 30)),
        5.4029,
    ),
    MeterCase(
        "a charger, and one zero in between",
        (*_steps(0.5, 0.0001, 50), *_steps(2.3, 1.83, 5), 0, *_steps(11.45, 1.83, 5), *_steps(18.7701, 0.0001, 30)),
        18.273,
    ),
    MeterCase(
        "a burst of a tenth, and a spike days later",
        (*_steps(50000, 0.1, 20), *_steps(54900, 0.1, 900), 57300, *_steps(54990, 0.1, 20)),
        4991.9,
    ),
    MeterCase(
        "a spike within bursts, then a zero",
        (*_steps(100, 4, 4), 224, 0, *_steps(116, 4, 6)),
        36,
    ),
    MeterCase(
        "read once a month: zeros thrice",
        (*_steps(500, 20, 6), 0, 0, 0, *_steps(680, 20, 4)),
        240,
        interval=30 * DAY,
    ),
    MeterCase(
        "read once a month: Wh for kWh four times",
        (*_steps(500, 20, 6), *_steps(620_000, 20_000, 4), *_steps(700, 20, 4)),
        260,
        interval=30 * DAY,
    ),
    MeterCase(
        "read once a month: stuck too high",
        (*_steps(500, 20, 6), *[9999.0] * 3, *_steps(680, 20, 4)),
        240,
        interval=30 * DAY,
    ),
    MeterCase(
        "read once a month: replaced",
        (*_steps(500, 20, 6), *_steps(3, 20, 6)),
        200,
        interval=30 * DAY,
    ),
    MeterCase(
        "2^32", (4294967000, 4294967200, 104, 304), 600, register=2.0**32, needs=CounterRules(Policy.ROLLOVER, 2.0**32)
    ),
    MeterCase(
        "65536",
        (65400, 65500, 64, 164),
        300,
        f"{_HA}#28855",
        register=65536.0,
        needs=CounterRules(Policy.ROLLOVER, 65536.0),
    ),
    MeterCase(
        "99999.9", (99999.7, 99999.9, 0.1, 0.3), 0.6, register=100000.0, needs=CounterRules(Policy.ROLLOVER, 100000.0)
    ),
    MeterCase(
        "838860.8",
        (838831, 838857.6, 23.4, 50, 76.6),
        106.4,
        "DrozmotiX/ioBroker.sourceanalytix#594",
        register=838860.8,
        needs=CounterRules(Policy.ROLLOVER, 838860.8),
    ),
    MeterCase(
        "signed, 16 bits",
        (32700, 32760, -32716, -32656),
        180,
        register=65536.0,
        needs=CounterRules(Policy.ROLLOVER, 65536.0),
    ),
    MeterCase(
        "zeros before it runs over",
        (980, 990, 0, 0, 995, 5, 15),
        35,
        register=1000.0,
        needs=CounterRules(Policy.ROLLOVER, 1000.0),
    ),
    MeterCase("replaced at 60 % of its register", (60000, 60010, 0, 5, 10), 20, register=100000.0),
    MeterCase("replaced after a step half as large again", (7400, 7460, 7550, 7620, 3, 20, 110, 190, 260), 477),
    MeterCase("back to within a burst of the old level", (10, 10.5, 0, 0, 0.4, 10.6), 0.6),
    MeterCase(
        "one burst, on a meter that has just begun",
        (0.01, 0.011, 0.012, 0.512, 0.513, 0.514),
        0.504,
        tie="a burst, or a meter replaced by a higher one",
        careful=0.004,
    ),
)
