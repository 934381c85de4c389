"""Videos are fetched from configured origins only."""

import pytest

from services.chassis.origins import Targets
from services.media_probe.domain.failure import Failure, ProbeFailed
from services.media_probe.domain.target import TargetRule

ALLOWED = Targets.parse("http://videos.example:8000, https://cdn.example, 10.1.0.0/16")
RULE = TargetRule("http://videos.example:8000/base/", ALLOWED)


@pytest.mark.parametrize(
    ("video", "url"),
    [
        ("/a.mp4", "http://videos.example:8000/base/a.mp4"),
        ("a/b.mp4?x=1&y=..", "http://videos.example:8000/base/a/b.mp4?x=1&y=.."),
        ("//other.example/a.mp4", "http://videos.example:8000/base/other.example/a.mp4"),
        ("/a.avi?u=http://evil.example/", "http://videos.example:8000/base/a.avi?u=http://evil.example/"),
        ("/a.avi#http://evil.example/", "http://videos.example:8000/base/a.avi"),
        ("/a..b/...mp4", "http://videos.example:8000/base/a..b/...mp4"),
        ("https://cdn.example/x%20y.mkv", "https://cdn.example/x%20y.mkv"),
        ("https://cdn.example:443/x#t=1", "https://cdn.example:443/x"),
        ("http://videos.example:8000/elsewhere", "http://videos.example:8000/elsewhere"),
        ("http://10.1.2.3:8080/x", "http://10.1.2.3:8080/x"),
    ],
)
def test_what_is_allowed(video: str, url: str) -> None:
    assert RULE.resolve(video) == url


@pytest.mark.parametrize(
    "video",
    [
        "",
        "/../secret",
        "/a/%2e%2e/b",
        "/a/%252e%252e/b",
        "/a/..%2fb",
        "/a\\..\\b",
        "/a/%5c..%5cb",
        "/a%00b",
        "/a b",
        "/\u00e4",
        "/" + "x" * 3000,
        "http://videos.example/a.mp4",
        "http://cdn.example/a.mp4",
        "https://cdn.example@evil.example/",
        "https://evil.example/",
        "https://cdn.example/../x",
        "file:///etc/passwd",
        "concat:http://x|http://y://",
        "http://169.254.169.254/latest/meta-data",
        "http://10.2.0.1/x",
        "http://167838211/x",
        "http://127.0.0.1:99999/x",
    ],
)
def test_what_is_blocked(video: str) -> None:
    with pytest.raises(ProbeFailed) as caught:
        RULE.resolve(video)
    assert caught.value.failure is Failure.BLOCKED_TARGET
    assert not caught.value.transient


@pytest.mark.parametrize(
    ("location", "url"),
    [
        ("/b.mp4", "http://videos.example:8000/b.mp4"),
        ("b.mp4", "http://videos.example:8000/base/b.mp4"),
        ("http://videos.example:8000/c", "http://videos.example:8000/c"),
        ("//videos.example:8000/c", "http://videos.example:8000/c"),
        ("../../x", "http://videos.example:8000/x"),
        ("../ok/x.mp4?a=b", "http://videos.example:8000/ok/x.mp4?a=b"),
        ("/a/../b", "http://videos.example:8000/b"),
        ("https://cdn.example/a.mp4", "https://cdn.example/a.mp4"),
    ],
)
def test_redirects_to_allowed_origins(location: str, url: str) -> None:
    assert RULE.redirect("http://videos.example:8000/base/a.mp4?x=/y", location) == url


@pytest.mark.parametrize(
    "location",
    [
        "https://other.example/a.mp4",
        "http://localhost/",
        "http://[/x",
        "//evil.example/",
        "/%2e%2e/b",
        "file:///etc/passwd",
        "",
    ],
)
def test_redirects_elsewhere_are_blocked(location: str) -> None:
    # Empty: a redirect to the folder itself is no escape, but leads nowhere new; it stays on the origin.
    if location == "":
        assert RULE.redirect("http://videos.example:8000/base/a.mp4", location).startswith(
            "http://videos.example:8000/"
        )
        return
    with pytest.raises(ProbeFailed) as caught:
        RULE.redirect("http://videos.example:8000/base/a.mp4", location)
    assert caught.value.failure is Failure.BLOCKED_TARGET


@pytest.mark.parametrize(
    ("video", "message"),
    [
        ("/a%0d%0aX:1", "the path holds characters that cannot be printed"),
        ("/a/%2e%2e/b", "the path climbs out of the video server's folder"),
        ("http://127.0.0.1:99999/x", "the URL has no valid port"),
    ],
)
def test_refusals_say_what_is_wrong(video: str, message: str) -> None:
    with pytest.raises(ProbeFailed) as caught:
        RULE.resolve(video)
    assert caught.value.message == message


def test_without_a_server_only_whole_urls_lead_somewhere() -> None:
    rule = TargetRule("", ALLOWED)
    assert rule.resolve("https://cdn.example/x.mkv") == "https://cdn.example/x.mkv"
    for video in ("/a.mp4", "a.mp4", "//cdn.example/a.mp4"):
        with pytest.raises(ProbeFailed, match="TOCSIN_MEDIA_PROBE_VIDEO_SERVER") as caught:
            rule.resolve(video)
        assert caught.value.failure is Failure.BLOCKED_TARGET
