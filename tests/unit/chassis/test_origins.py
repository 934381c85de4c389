"""Origins of URLs, and lists of them."""

import pytest

from services.chassis.origins import Origin, Targets


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
        "http://0x7f000001/",
        "http://0177.0.0.1/",
        "http://127.0.0.1.0x1/",
        "http://[fe80::1%25eth0]/",
        "http://[::1/",
        "http://[::ffff:127.0.0.1]x/",
        "http://host\\@other/",
        "http://ho st/",
        "http://h\u00f6st/",
        "http://\uff11\uff12\uff17.0.0.1/",
        "http://127\u30020\u30020\u30021/",
        "http://host:99999/",
        "http://host:0/",
        "http://host:x/",
        "http://a..b/",
        "http://.a/",
        f"http://{'a' * 64}.b/",
        f"http://{'a.' * 126}bc/",
    ],
)
def test_ambiguous_urls_have_no_origin(url: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        Origin.of(url)


@pytest.mark.parametrize("host", ["a" * 63 + ".b", "a." * 126 + "b"])
def test_the_longest_names_have_one(host: str) -> None:
    assert Origin.of(f"http://{host}./").host == host


def test_origins_are_equal_however_they_are_spelt() -> None:
    assert (
        Origin.of("HTTP://Example.COM./a?b") == Origin.of("http://example.com:80") == Origin("http", "example.com", 80)
    )
    assert Origin.of("http://[0:0:0::1]:80") == Origin("http", "::1", 80)
    assert str(Origin.of("https://[2606:4700::1]:8443/x")) == "https://[2606:4700::1]:8443"
    assert Origin.of("http://host") != Origin.of("https://host")


def test_targets_are_origins_and_networks() -> None:
    targets = Targets.parse(" http://receiver.internal:9000 ,10.1.0.0/16, ::1/128,https://hooks.example/")
    for named in (
        "http://receiver.internal:9000/hook",
        "https://hooks.example:443/x",
        "http://10.1.2.3:5/x",
        "http://[::1]/x",
    ):
        assert Origin.of(named) in targets
    for other in (
        "https://receiver.internal:9000",
        "http://receiver.internal",
        "http://10.2.0.1",
        "http://ten.example:9000",
    ):
        assert Origin.of(other) not in targets
    assert Targets.parse("") == Targets()
    assert "http://receiver.internal:9000" not in targets  # an origin, not its text


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("10.0.0.1/8", "has '10.0.0.1/8': 10.0.0.1/8 has host bits set"),
        ("http://ok, ftp://x", "has 'ftp://x': must start with http:// or https://"),
        ("http://a:8000/hook", "has 'http://a:8000/hook': must be an origin, like http://a:8000"),
        ("receiver", "has 'receiver': 'receiver' does not appear to be an IPv4 or IPv6 network"),
    ],
)
def test_what_is_neither_is_refused(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match="has ") as refused:
        Targets.parse(text)
    assert str(refused.value) == problem
