"""The address guard: what a service may call on somebody else's behalf."""

import asyncio
import ipaddress
import socket
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.chassis.net_guard import (
    AddressBlocked,
    AddressGuard,
    MeshBlocked,
    NameUnresolved,
    address_problem,
    is_own,
    plain,
)
from services.chassis.origins import Targets

EVERYTHING = "0.0.0.0/0, ::/0"


@pytest.mark.parametrize(
    ("address", "problem"),
    [
        ("127.0.0.1", "loopback"),
        ("::1", "loopback"),
        ("0.0.0.0", "unspecified"),
        ("::", "unspecified"),
        ("10.1.2.3", "private"),
        ("172.16.0.1", "private"),
        ("192.168.1.1", "private"),
        ("fd00:ec2::254", "private"),
        ("100.64.0.1", "reserved"),
        ("169.254.169.254", "link-local"),
        ("fe80::1", "link-local"),
        ("224.0.0.1", "multicast"),
        ("ff02::1", "multicast"),
        ("255.255.255.255", "private"),
        ("240.0.0.1", "private"),
        ("::ffff:127.0.0.1", "loopback"),
        ("::ffff:169.254.169.254", "link-local"),
        ("64:ff9b::7f00:1", "loopback"),
        ("64:ff9b:1::7f00:1", "reserved"),
        ("2002:7f00:1::", "loopback"),
        ("::127.0.0.1", "loopback"),
        ("::ffff:0:127.0.0.1", "loopback"),
        ("::ffff:0.0.0.0", "unspecified"),
        ("fec0::1", "private"),
        ("192.0.0.9", "reserved"),
        ("198.18.0.1", "private"),
        ("2001:db8::1", "private"),
        ("2001:20::1", "reserved"),
        ("3fff::1", "reserved"),
        ("4000::1", "reserved"),
        ("1.1.1.1", None),
        ("2606:4700::1111", None),
    ],
)
def test_addresses_are_judged(address: str, problem: str | None) -> None:
    assert address_problem(ipaddress.ip_address(address)) == problem


@pytest.mark.parametrize("host", ["a..b", "a" * 64])
async def test_a_name_that_no_resolver_takes_does_not_resolve(host: str) -> None:
    with pytest.raises(NameUnresolved):
        await AddressGuard().addresses(host, 80)


async def test_a_resolver_that_hangs_holds_up_only_names(monkeypatch: pytest.MonkeyPatch) -> None:
    ended = threading.Event()

    def hang(*_: object, **__: object) -> bool:
        return ended.wait(30)

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    monkeypatch.setattr("services.chassis.net_guard.SECONDS", 0.2)
    look_ups = [AddressGuard().addresses(f"host-{number}.example", 80) for number in range(100)]
    try:
        ends = await asyncio.gather(*look_ups, return_exceptions=True)
        assert all(isinstance(end, NameUnresolved) for end in ends)
        assert await asyncio.wait_for(asyncio.to_thread(lambda: "at once"), 5) == "at once"
    finally:
        ended.set()


async def test_a_name_is_judged_by_all_of_its_addresses() -> None:
    answers = {
        "good": ["1.1.1.1"],
        "mixed": ["1.1.1.1", "127.0.0.1"],
        "inside": ["10.0.0.1"],
        "meta": ["169.254.169.254"],
    }

    async def resolve(host: str, port: int) -> list[str]:
        if host not in answers:
            raise OSError("unknown")
        return answers[host]

    guard = AddressGuard(Targets.parse("http://inside:8080, http://meta"), resolve=resolve)
    assert await guard.addresses("good", 80) == ["1.1.1.1"]
    assert await guard.addresses("inside", 8080) == ["10.0.0.1"]
    for host, port in (("mixed", 80), ("inside", 80), ("meta", 80), ("127.0.0.1", 80), ("::1", 443)):
        with pytest.raises(AddressBlocked):
            await guard.addresses(host, port)
    with pytest.raises(NameUnresolved):
        await guard.addresses("nowhere", 80)


async def test_a_spelt_out_address_may_be_trusted() -> None:
    guard = AddressGuard(Targets.parse("http://127.0.0.1:9000"))
    assert await guard.addresses("127.0.0.1", 9000) == ["127.0.0.1"]
    with pytest.raises(AddressBlocked, match="the address is loopback"):
        await guard.addresses("127.0.0.1", 9001)


OWN_SPELLINGS = [
    "127.0.0.1",
    "127.9.8.7",
    "0.0.0.0",
    "::",
    "::1",
    "::ffff:127.0.0.1",
    "::ffff:7f00:1",
    "::ffff:0.0.0.0",
    "::127.0.0.1",
    "::ffff:0:127.0.0.1",
    "64:ff9b::127.0.0.1",
    "2002:7f00:1::",
    "2002:7f00:1::1",
]


@pytest.mark.parametrize("listens", ["127.0.0.1", "0.0.0.0", "::1", "::"])
@pytest.mark.parametrize("address", OWN_SPELLINGS)
async def test_a_port_of_the_mesh_is_refused_whatever_is_allowed(address: str, listens: str) -> None:
    async def resolve(_host: str, _port: int) -> list[str]:
        return ["93.184.216.34", address]

    allowed = Targets.parse(f"{EVERYTHING}, http://tower:8080, http://127.0.0.1:8080, http://[::1]:8080")
    guard = AddressGuard(allowed, mesh=[(listens, 8080)], resolve=resolve)
    with pytest.raises(MeshBlocked, match=f"Tocsin itself listens on port 8080 of {address}"):
        await guard.addresses(address, 8080)
    for judge in (guard.addresses, guard.refuse_mesh):
        with pytest.raises(MeshBlocked, match="of tower"):
            await judge("tower", 8080)
    assert await guard.addresses(address, 8081) == [address]
    await guard.refuse_mesh("tower", 8081)


async def test_a_part_on_another_machine_is_refused_by_every_name_and_address_of_its() -> None:
    answers = {"db.internal": ["10.0.0.5", "2001:db8::5"], "innocent": ["10.0.0.5"], "other": ["10.0.0.6"]}

    async def resolve(host: str, _port: int) -> list[str]:
        return answers[host]

    guard = AddressGuard(Targets.parse(EVERYTHING), mesh=[("db.internal", 5432)], resolve=resolve)
    for host in ("db.internal", "innocent", "10.0.0.5", "::ffff:10.0.0.5", "2001:db8::5"):
        with pytest.raises(MeshBlocked):
            await guard.addresses(host, 5432)
    assert await guard.addresses("other", 5432) == ["10.0.0.6"]
    assert await guard.addresses("db.internal", 80) == ["10.0.0.5", "2001:db8::5"]


async def test_while_the_mesh_cannot_be_told_apart_nothing_is_called() -> None:
    async def resolve(_host: str, _port: int) -> list[str]:
        raise OSError("the resolver is away")

    guard = AddressGuard(Targets.parse(EVERYTHING), mesh=[("db.internal", 5432)], resolve=resolve)
    with pytest.raises(NameUnresolved, match=r"cannot be told now whether .* port 5432 of 10\.0\.0\.5$"):
        await guard.addresses("10.0.0.5", 5432)
    assert await guard.addresses("10.0.0.5", 5433) == ["10.0.0.5"]


def test_the_machine_knows_its_own_addresses() -> None:
    own = {str(entry[4][0]) for entry in socket.getaddrinfo(socket.gethostname(), 80, type=socket.SOCK_STREAM)}
    for text in {*own, *OWN_SPELLINGS}:
        assert is_own(ipaddress.ip_address(text)), text
    for text in ("1.1.1.1", "10.255.255.254", "2606:4700::1111", "255.255.255.255", "224.0.0.1"):
        assert not is_own(ipaddress.ip_address(text)), text


@given(st.ip_addresses(v=4))
def test_an_ipv4_address_is_judged_the_same_in_every_spelling(address: ipaddress.IPv4Address) -> None:
    number = int(address)
    spellings = [
        ipaddress.IPv6Address(0xFFFF << 32 | number),
        ipaddress.IPv6Address(0xFFFF << 48 | number),
        ipaddress.IPv6Address(0x64FF9B << 96 | number),
        ipaddress.IPv6Address(0x2002 << 112 | number << 80),
    ]
    for spelling in spellings:
        assert plain(spelling) == address
        assert address_problem(spelling) == address_problem(address)
