"""Look-ups share threads fairly: a zone whose name servers are silent holds up its own names only."""

import asyncio
import threading
from collections import Counter
from collections.abc import Iterator

import pytest

from services.chassis import name_resolver
from services.chassis.name_resolver import PLACES, NameResolver, zone_of


class Names:
    """A resolver whose silent names answer when the test ends."""

    def __init__(self) -> None:
        self.over = threading.Event()
        self.under_way: Counter[str] = Counter()
        self.asked: Counter[str] = Counter()
        self.most: Counter[str] = Counter()
        self._lock = threading.Lock()

    def __call__(self, host: str, port: int) -> list[str]:
        zone = zone_of(host)
        with self._lock:
            self.asked[host] += 1
            self.under_way[zone] += 1
            self.most[zone] = max(self.most[zone], self.under_way[zone])
        try:
            if zone.startswith("silent"):
                self.over.wait(30)
            if zone.startswith("unknown"):
                raise OSError("no such name")
            return ["192.0.2.1"]
        finally:
            with self._lock:
                self.under_way[zone] -= 1


@pytest.fixture
def names() -> Iterator[Names]:
    made = Names()
    yield made
    made.over.set()


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(name_resolver, "SECONDS", 0.05)


async def silent(resolver: NameResolver, host: str) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await resolver(host, 80)


async def test_names_of_other_zones_are_found_while_some_are_silent(names: Names) -> None:
    resolver = NameResolver(names)
    await asyncio.gather(
        *(silent(resolver, f"h{host}.silent{zone}.example") for zone in range(3) for host in range(100)),
        *(silent(resolver, f"h{host}.silent.co.uk") for host in range(100)),
    )
    assert names.under_way == {f"silent{zone}.example": PLACES for zone in range(3)} | {"silent.co.uk": PLACES}
    for host in range(50):
        assert await asyncio.wait_for(resolver(f"h{host}.good.net", 80), 5) == ["192.0.2.1"]
    assert await resolver("other.co.uk", 80) == ["192.0.2.1"]


async def test_a_zone_that_is_slow_keeps_one_thread(names: Names) -> None:
    resolver = NameResolver(names)
    await asyncio.gather(*(silent(resolver, f"a{host}.silent.net") for host in range(20)))
    assert names.most["silent.net"] == PLACES
    # They end, late; what waited for them in vain is not looked up, and the next has one place.
    names.over.set()
    assert await asyncio.wait_for(resolver("a0.silent.net", 80), 5) == ["192.0.2.1"]
    while names.under_way["silent.net"]:
        await asyncio.sleep(0)
    assert sum(names.asked.values()) == PLACES
    names.over.clear()
    names.most.clear()
    await asyncio.gather(*(silent(resolver, f"b{host}.silent.net") for host in range(20)))
    assert names.most["silent.net"] == 1


async def test_callers_share_a_look_up_and_one_who_leaves_takes_nothing(names: Names) -> None:
    resolver = NameResolver(names)
    waiting = [asyncio.ensure_future(resolver("a.silent.net", 80)) for _ in range(100)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    names.over.set()
    assert await asyncio.gather(*waiting[1:]) == [["192.0.2.1"]] * 99
    assert names.asked == {"a.silent.net": 1}
    with pytest.raises(asyncio.CancelledError):
        await waiting[0]
    with pytest.raises(OSError, match="no such name"):
        await resolver("unknown.net", 80)
    # Answers are not kept: a name is judged by what it resolves to at the moment.
    await resolver("a.silent.net", 80)
    assert names.asked["a.silent.net"] == 2


async def test_the_threads_are_bounded(names: Names, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(name_resolver, "THREADS", 10)
    monkeypatch.setattr(name_resolver, "SECONDS", 30.0)
    resolver = NameResolver(names)
    waiting = [asyncio.ensure_future(resolver(f"silent{zone}.net", 80)) for zone in range(30)]
    for _ in range(3):
        await asyncio.sleep(0.01)
    assert sum(names.under_way.values()) <= 10
    names.over.set()
    assert await asyncio.gather(*waiting) == [["192.0.2.1"]] * 30
    assert sum(names.most.values()) == 30


@pytest.mark.parametrize(
    ("host", "zone"),
    [
        ("a.b.example.com", "example.com"),
        ("Example.com.", "example.com"),
        ("localhost", "localhost"),
        ("a.example.co.uk", "example.co.uk"),
        ("a.example.io", "example.io"),
        ("a.b.com.tr", "b.com.tr"),
        ("t.co", "t.co"),
    ],
)
def test_names_with_the_same_name_servers_are_of_one_zone(host: str, zone: str) -> None:
    assert zone_of(host) == zone
