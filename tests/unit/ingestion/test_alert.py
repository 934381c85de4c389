import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.chassis.errors import InvalidArgument
from services.chassis.origins import Origin, Targets
from services.ingestion.domain.alert import AlertState, check_video, next_state
from services.ingestion.domain.errors import InvalidField, VideoNotAllowed

ALLOWED = Targets.parse("https://videos.example, http://10.0.0.5:8080, 10.1.0.0/16")


@pytest.mark.parametrize(
    "video",
    [
        "/videos/test.avi",
        "/a",
        "/v/clip%20one.mp4",
        "/v/clip.mp4?token=a..b",
        "/v/..clip.mp4",
        "https://videos.example/a.mp4",
        "HTTPS://VIDEOS.example:443/a.mp4",
        "http://10.0.0.5:8080/x",
        "http://10.1.2.3:9000/x",
    ],
)
def test_what_is_a_video(video: str) -> None:
    check_video(video, ALLOWED)


@pytest.mark.parametrize(
    "video",
    [
        "",
        "videos/test.avi",
        "//evil.example/a",
        "/../etc/passwd",
        "/a/../../b",
        "/a/%2e%2e/b",
        "/a/%252e%252e/b",
        "/a/..%2fb",
        "/a/.%2e/b",
        "/a%5c..%5cb",
        "/a\\..\\b",
        "/a#b",
        "/a\0b",
        "/a%00b",
        "/a b",
        "/\xe9",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "ftp://videos.example/a",
        "https://user@videos.example/a",
        "https://videos.example@evil.example/a",
        "https://videos.example/%2e%2e/a",
        "https://",
        "https://videos.example:99999/a",
        "https://[::1/a",
        "http://167838211/a",
        "http://10.258/a",
        "http://0x0a.1.2.3/a",
    ],
)
def test_what_is_no_video(video: str) -> None:
    with pytest.raises(InvalidField) as refusal:
        check_video(video, ALLOWED)
    assert refusal.value.violations[0].field == "video"


@pytest.mark.parametrize(
    "video",
    [
        "https://evil.example/a",
        "http://videos.example/a",
        "https://videos.example:8443/a",
        "https://videos.example.evil.example/a",
        "http://10.0.0.5/a",
    ],
)
def test_other_origins_are_refused(video: str) -> None:
    with pytest.raises(VideoNotAllowed):
        check_video(video, ALLOWED)
    with pytest.raises(VideoNotAllowed):
        check_video("https://videos.example/a", Targets())


@given(st.text())
def test_any_text_is_judged(text: str) -> None:
    try:
        check_video(text, ALLOWED)
    except InvalidArgument:
        return
    assert text.startswith("/") or Origin.of(text) in ALLOWED
    assert "/../" not in text


STATES = st.sampled_from(AlertState)


@given(st.lists(STATES, max_size=8))
def test_a_result_is_never_undone(reports: list[AlertState]) -> None:
    state = AlertState.ACCEPTED
    for report in reports:
        after = next_state(state, report)
        assert after >= state or (state is AlertState.FAILED and after is AlertState.PROBED)
        state = after
    if AlertState.PROBED in reports:
        assert state is AlertState.PROBED
    elif AlertState.FAILED in reports:
        assert state is AlertState.FAILED
