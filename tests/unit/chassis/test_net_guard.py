"""The address guard: what a service may call on somebody else's behalf."""

import ipaddress

import pytest

from services.chassis.net_guard import AddressBlocked, AddressGuard, NameUnresolved, Origin, address_problem


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
        ("2002:7f00:1::", "loopback"),
        ("1.1.1.1", None),
        ("2606:4700::1111", None),
    ],
)
def test_addresses_are_judged(address: str, problem: str | None) -> None:
    assert address_problem(ipaddress.ip_address(address)) == problem


@pytest.mark.parametrize(
    "url",
    [
        "ftp://host/",
        "file:///etc/passwd",
        "//host/",
        "http:///x",
        "http://user@host/",
        "http://user:secret@host/",
        "http://127.1/",
        "http://2130706433/",
        "http://0x7f.0.0.1/",
        "http://0177.0.0.1/",
        "http://[fe80::1%25eth0]/",
        "http://host\\@other/",
        "http://ho st/",
        "http://h\u00f6st/",
        "http://host:99999/",
        "http://host:x/",
    ],
)
def test_ambiguous_urls_have_no_origin(url: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        Origin.of(url)


def test_origins_are_equal_however_they_are_spelt() -> None:
    assert (
        Origin.of("HTTP://Example.COM./a?b") == Origin.of("http://example.com:80") == Origin("http", "example.com", 80)
    )
    assert str(Origin.of("https://[2606:4700::1]:8443/x")) == "https://[2606:4700::1]:8443"
    assert Origin.of("http://host") != Origin.of("https://host")


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

    guard = AddressGuard([Origin.of("http://inside:8080"), Origin.of("http://meta")], resolve=resolve)
    assert await guard.addresses("good", 80) == ["1.1.1.1"]
    assert await guard.addresses("inside", 8080) == ["10.0.0.1"]
    for host, port in (("mixed", 80), ("inside", 80), ("meta", 80), ("127.0.0.1", 80), ("::1", 443)):
        with pytest.raises(AddressBlocked):
            await guard.addresses(host, port)
    with pytest.raises(NameUnresolved):
        await guard.addresses("nowhere", 80)


async def test_a_spelt_out_address_may_be_trusted() -> None:
    guard = AddressGuard([Origin.of("http://127.0.0.1:9000")])
    assert await guard.addresses("127.0.0.1", 9000) == ["127.0.0.1"]
    with pytest.raises(AddressBlocked):
        await guard.addresses("127.0.0.1", 9001)
