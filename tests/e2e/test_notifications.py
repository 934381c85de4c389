"""Notifications through the edge: the right channel, the rate limit, tenants, dead letters."""

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from tests.e2e.conftest import PUBLIC_URL, Edge, until


def notification(user: str, **more: Any) -> dict[str, Any]:
    return {"tenant": "test", "user": user, "type": "INFO", "title": "Hello", "body": "World", **more}


def test_a_waiting_call_tells_that_it_was_sent(rest: httpx.Client, unique: Callable[[str], str]) -> None:
    answer = rest.post("/v1/notifications", json=notification(unique("u"), channel="CONSOLE", wait=True))
    assert answer.status_code == 200, answer.text
    sent = answer.json()
    assert (sent["status"], sent["channel"], sent["attempts"]) == ("SENT", "CONSOLE", 1)
    stored = rest.get(f"/v1/notifications/{sent['id']}", params={"tenant": "test"}).json()
    assert stored["status"] == "SENT"
    read = rest.post(f"/v1/notifications/{sent['id']}:markRead", json={"tenant": "test"}).json()
    assert read["readTime"]
    assert int(read["version"]) > int(stored["version"])


def test_what_was_read_opened_and_counted(edge: Edge, unique: Callable[[str], str]) -> None:
    user, tenant = unique("u"), {"tenant": "maternity"}
    token = edge.token("notifications:read", "notifications:write", tenants=["maternity"])
    with httpx.Client(base_url=edge.url, headers={"authorization": f"Bearer {token}"}) as rest:
        before = rest.get("/v1/notifications:count", params=tenant).json()
        sent = [
            rest.post("/v1/notifications", json=notification(user, **tenant, channel="CONSOLE", wait=True)).json()
            for _ in range(3)
        ]
        opened = rest.post(f"/v1/notifications/{sent[0]['id']}:markOpened", json=tenant).json()
        assert opened["readTime"] == opened["openTime"]
        unread = {**tenant, "user": user, "unread": "true", "view": "BASIC"}
        page = rest.get("/v1/notifications", params=unread).json()["notifications"]
        assert [(one["id"], one["title"], one["body"]) for one in page] == [
            (one["id"], "Hello", "") for one in (sent[2], sent[1])
        ]
        late = {**unread, "from": sent[2]["createTime"]}
        assert [one["id"] for one in rest.get("/v1/notifications", params=late).json()["notifications"]] == [
            sent[2]["id"]
        ]
        marked = rest.post("/v1/notifications:markAllRead", json={**tenant, "user": user}).json()
        assert marked == {"marked": "2"}
        assert rest.get("/v1/notifications", params=unread).json()["notifications"] == []
        after = rest.get("/v1/notifications:count", params=tenant).json()
        assert int(after["sent"]) == int(before["sent"]) + 3
        found = rest.get("/v1/notifications:statistics", params={**tenant, "interval": "HOUR"}).json()
        assert found["figures"]["counts"] == after
        assert sum(int(point["figures"]["counts"]["total"]) for point in found["series"]) == int(after["total"])
        assert rest.post("/v1/notifications:retry", json=tenant).json() == {"retried": 0, "more": False}
        backwards = {**tenant, "from": "2026-01-02T00:00:00Z", "to": "2026-01-01T00:00:00Z"}
        refused = rest.get("/v1/notifications:count", params=backwards)
        assert (refused.status_code, refused.json()["errors"][0]["field"]) == (400, "to")
        assert rest.get("/v1/notifications:count", params={"tenant": "test"}).status_code == 403


def test_an_email_reaches_the_mail_server(edge: Edge, rest: httpx.Client, unique: Callable[[str], str]) -> None:
    user = unique("u")
    address = f"{user}@example.test"
    registered = rest.post(
        f"/v1/users/{user}/endpoints", json={"tenant": "test", "channel": "EMAIL", "address": address}
    )
    assert registered.status_code == 200, registered.text
    answer = rest.post("/v1/notifications", json=notification(user, wait=True, title="By mail"))
    assert (answer.json()["status"], answer.json()["channel"]) == ("SENT", "EMAIL"), answer.text
    received = until(lambda: [mail for mail in edge.world.mails if mail.recipient == address], what="the e-mail")
    assert [mail.subject for mail in received] == ["By mail"]


def test_what_an_email_leads_to_is_opened(
    edge: Edge, rest: httpx.Client, anonymous: httpx.Client, unique: Callable[[str], str]
) -> None:
    user, link = unique("u"), "https://app.example/care?plan=7&step=2"
    address = f"{user}@example.test"
    rest.post(f"/v1/users/{user}/endpoints", json={"tenant": "test", "channel": "EMAIL", "address": address})
    sent = rest.post("/v1/notifications", json=notification(user, wait=True, link=link)).json()
    [mail] = until(lambda: [mail for mail in edge.world.mails if mail.recipient == address], what="the e-mail")
    paths = re.findall(rf'"{PUBLIC_URL}(/v1/notifications:\w+\?token=[\w-]+)"', mail.html)
    assert [path.partition("?")[0] for path in paths] == ["/v1/notifications:follow", "/v1/notifications:pixel"]
    followed, pixel = paths

    def opened() -> str:
        stored = rest.get(f"/v1/notifications/{sent['id']}", params={"tenant": "test"}).json()
        assert stored["link"] == link
        return str(stored.get("openTime", ""))

    assert anonymous.head(followed).headers["location"] == link
    assert anonymous.head(pixel).status_code == 200
    ahead = anonymous.get(followed, headers={"Sec-Purpose": "prefetch"})
    assert (ahead.status_code, ahead.headers["location"]) == (302, link)
    assert opened() == ""
    image = anonymous.get(pixel)
    assert (image.status_code, image.headers["content-type"], image.content[:6]) == (200, "image/gif", b"GIF89a")
    assert "no-store" in image.headers["cache-control"]
    first = opened()
    assert first
    there = anonymous.get(followed + "&utm_source=mail")
    assert (there.status_code, there.headers["location"]) == (302, link)
    assert (there.headers["referrer-policy"], there.headers["cache-control"][:8]) == ("no-referrer", "no-store")
    assert opened() == first


def test_a_link_that_is_none_says_so_and_a_pixel_is_an_image(anonymous: httpx.Client, rest: httpx.Client) -> None:
    for token in ("", "x", "A" * 120, "A" * 9000, "%2e%2e", "https://evil.example"):
        answer = anonymous.get("/v1/notifications:follow", params={"token": token, "url": "https://evil.example"})
        assert (answer.status_code, answer.text) == (404, "There is no such link.\n"), token
        assert "location" not in answer.headers
        image = anonymous.get("/v1/notifications:pixel", params={"token": token})
        assert (image.status_code, image.headers["content-type"]) == (200, "image/gif"), token
    assert anonymous.post("/v1/notifications:follow").status_code == 401
    assert rest.post("/v1/notifications:follow").status_code == 405
    evil = rest.post("/v1/notifications", json=notification("u", channel="CONSOLE", link="https://evil.example/"))
    assert (evil.status_code, evil.json()["reason"], evil.json()["errors"][0]["field"]) == (
        400,
        "LINK_FORBIDDEN",
        "link",
    )


def test_ten_a_minute_and_the_others_wait_their_turn(rest: httpx.Client, unique: Callable[[str], str]) -> None:
    user = unique("u")
    for _ in range(12):
        assert rest.post("/v1/notifications", json=notification(user, channel="CONSOLE")).status_code == 200

    def statuses() -> list[str]:
        page = rest.get("/v1/notifications", params={"tenant": "test", "user": user, "pageSize": 100}).json()
        return sorted(entry["status"] for entry in page["notifications"])

    until(lambda: statuses() == ["PENDING"] * 2 + ["SENT"] * 10, what="ten sent and two waiting")
    over = rest.post("/v1/notifications", json=notification(user, channel="CONSOLE", wait=True))
    assert over.status_code == 429
    assert over.json()["reason"] == "RATE_LIMITED"
    assert 0 < int(over.headers["retry-after"]) <= 60
    assert len(statuses()) == 12


def test_a_dry_run_sends_and_stores_nothing(rest: httpx.Client, unique: Callable[[str], str]) -> None:
    user = unique("u")
    answer = rest.post("/v1/notifications", json=notification(user, channel="CONSOLE", dryRun=True))
    assert answer.status_code == 200, answer.text
    assert answer.json()["channel"] == "CONSOLE"
    assert answer.json()["plan"] == [{"channel": "CONSOLE", "address": "console", "after": "0s"}]
    steps = [{"channel": "EMAIL", "after": "30s"}, {"channel": "WEBHOOK"}, {"channel": "FCM"}]
    rest.put(f"/v1/users/{user}/channelPlan", json={"tenant": "test", "type": "INFO", "steps": steps})
    for channel, address in (("EMAIL", "ann.b@example.test"), ("WEBHOOK", "https://93.184.215.14/hooks/s3cret?t=1")):
        made = {"tenant": "test", "channel": channel, "address": address}
        assert rest.post(f"/v1/users/{user}/endpoints", json=made).status_code == 200
    planned = rest.post("/v1/notifications", json=notification(user, dryRun=True)).json()["plan"]
    assert planned == [
        {"channel": "EMAIL", "address": "a\u2026@example.test", "after": "0s"},
        {"channel": "WEBHOOK", "address": "https://93.184.215.14/\u2026", "after": "30s"},
    ]
    listed = rest.get("/v1/notifications", params={"tenant": "test", "user": user}).json()
    assert listed.get("notifications", []) == []


def test_what_is_too_large_is_told_the_limit(rest: httpx.Client, unique: Callable[[str], str]) -> None:
    one = notification(unique("u"), channel="CONSOLE", body="x" * 4000)
    refused = rest.post("/v1/notifications:sendBulk", json={"notifications": [one | {"body": "\u00e4" * 3900}] * 600})
    assert (refused.status_code, refused.json()["reason"]) == (413, "TOO_LARGE"), refused.text
    assert refused.json()["metadata"] == {"limit": str(4 << 20)}
    assert str(4 << 20) in refused.json()["detail"]
    whole = rest.post("/v1/notifications:sendBulk", json={"notifications": [one] * 1000})
    assert (whole.status_code, whole.json()["accepted"]) == (200, 1000), whole.text[:500]


def test_a_token_touches_only_its_tenants(edge: Edge, unique: Callable[[str], str]) -> None:
    headers = {"authorization": f"Bearer {edge.token('notifications:write', tenants=['wellness'])}"}
    with httpx.Client(base_url=edge.url, headers=headers) as client:
        refused = client.post("/v1/notifications", json=notification(unique("u"), channel="CONSOLE"))
        assert refused.status_code == 403
        assert refused.json()["reason"] == "TENANT_DENIED"
        allowed = client.post("/v1/notifications", json=notification(unique("u"), channel="CONSOLE", tenant="wellness"))
        assert allowed.status_code == 200, allowed.text


def test_the_key_makes_a_retry_safe(rest: httpx.Client, unique: Callable[[str], str]) -> None:
    headers, one = {"Idempotency-Key": unique("key")}, notification(unique("u"), channel="CONSOLE")
    first, again = (rest.post("/v1/notifications", json=one, headers=headers) for _ in range(2))
    assert first.json()["id"] == again.json()["id"]
    other = rest.post("/v1/notifications", json={**one, "title": "Another"}, headers=headers)
    assert other.status_code == 409
    assert other.json()["reason"] == "IDEMPOTENCY_CONFLICT"


@pytest.mark.parametrize("channel", ["EMAIL", "WEBHOOK", "FCM"])
def test_a_channel_without_an_endpoint_is_refused(
    rest: httpx.Client, unique: Callable[[str], str], channel: str
) -> None:
    answer = rest.post("/v1/notifications", json=notification(unique("u"), channel=channel))
    assert answer.status_code == 400, answer.text
    assert answer.json()["reason"] in ("NO_ENDPOINT", "CHANNEL_NOT_CONFIGURED")


def test_each_item_of_a_bulk_has_its_own_outcome(rest: httpx.Client, unique: Callable[[str], str]) -> None:
    good, bad = notification(unique("u"), channel="CONSOLE"), notification("no/good", channel="CONSOLE")
    answer = rest.post("/v1/notifications:sendBulk", json={"notifications": [good, bad, good]})
    assert answer.status_code == 200, answer.text
    outcomes = answer.json()["outcomes"]
    assert [bool(outcome.get("id")) for outcome in outcomes] == [True, False, True]
    assert outcomes[1]["field"] == "user"


@pytest.mark.parametrize(
    "user", ["auth0|{}", "ann.{}@example.com", "+90{}", "Zoë Çelik {}", "CN=Ann?x=%2F#{},OU=a;b", "{}:enable"]
)
def test_ids_of_identity_providers_are_taken_as_they_are(
    rest: httpx.Client, unique: Callable[[str], str], user: str
) -> None:
    user = user.format(unique("u"))
    path = f"/v1/users/{quote(user, safe='')}/endpoints"
    made = rest.post(path, json={"tenant": "test", "channel": "EMAIL", "address": "a@example.test"})
    assert made.status_code == 200, made.text
    assert made.json()["user"] == user
    [found] = rest.get(path, params={"tenant": "test"}).json()["endpoints"]
    assert found["id"] == made.json()["id"]
    sent = rest.post("/v1/notifications", json=notification(user, channel="CONSOLE", wait=True))
    assert sent.status_code == 200, sent.text
    listed = rest.get("/v1/notifications", params={"tenant": "test", "user": user}).json()["notifications"]
    assert [one["id"] for one in listed] == [sent.json()["id"]]
    assert rest.delete(f"{path}/{found['id']}", params={"tenant": "test"}).status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "/v1/users/a%2Fb/endpoints",
        "/v1/users/a%2fb/channelPlan",
        "/v1/users/a%5Cb/endpoints",
        "/v1/buildings/a%2Fb",
        "/v1/notifications%2Fx",
        "/docs/..%2F..%2Fv1/notifications",
        "/console/%2e%2e%2fv1%2fnotifications",
        "/console/..%5c..%5cv1/notifications",
    ],
)
def test_an_escaped_slash_is_refused_by_name_before_anything_decides_by_the_path(
    anonymous: httpx.Client, rest: httpx.Client, path: str
) -> None:
    for client in (anonymous, rest):
        answer = client.get(path, params={"tenant": "test", "type": "ALERT"})
        assert (answer.status_code, answer.json()["reason"]) == (400, "PATH_INVALID"), answer.text
        assert "escaped slash or backslash (%2F, %5C)" in answer.json()["detail"]


def test_a_slash_in_a_user_s_id_is_refused_by_name(rest: httpx.Client) -> None:
    for user in ("a/b", "a\\b", "spiffe://example.org/ann"):
        refused = rest.post("/v1/notifications", json=notification(user, channel="CONSOLE"))
        assert (refused.status_code, refused.json()["errors"][0]["field"]) == (400, "user")
        assert "without slashes and backslashes" in refused.json()["errors"][0]["detail"]
    # In a query it is a value like any other: who asks for such a user is told so, too.
    asked = rest.get("/v1/notifications", params={"tenant": "test", "user": "a/b"})
    assert (asked.status_code, asked.json()["errors"][0]["field"]) == (400, "user")


def test_a_mark_of_an_old_version_is_refused(rest: httpx.Client, unique: Callable[[str], str]) -> None:
    sent = rest.post("/v1/notifications", json=notification(unique("u"), channel="CONSOLE", wait=True))
    assert sent.headers["etag"] == '"2"'
    path = f"/v1/notifications/{sent.json()['id']}:markRead"
    old = rest.post(path, json={"tenant": "test"}, headers={"If-Match": '"1"'})
    assert old.status_code == 409, old.text
    assert old.json()["reason"] == "VERSION_CONFLICT"
    assert old.json()["metadata"]["current"] == "2"
    read = rest.post(path, json={"tenant": "test"}, headers={"If-Match": '"2"'})
    assert (read.status_code, read.headers["etag"]) == (200, '"3"')
    for tag in ("3", '"3", "4"', 'W/"3"', '"x"'):
        refused = rest.post(path, json={"tenant": "test"}, headers={"If-Match": tag})
        assert (refused.status_code, refused.json()["reason"]) == (400, "HEADER_INVALID")
    assert rest.post(path, json={"tenant": "test"}, headers={"If-Match": "*"}).status_code == 200


def test_if_match_guards_whatever_changes(rest: httpx.Client, edge: Edge, unique: Callable[[str], str]) -> None:
    user, tenant = unique("u"), {"tenant": "test"}
    sent = rest.post("/v1/notifications", json=notification(user, channel="CONSOLE", wait=True))
    endpoint = rest.post(
        f"/v1/users/{user}/endpoints", json={**tenant, "channel": "WEBHOOK", "address": "https://93.184.215.14/hook"}
    )
    plan, alerts = f"/v1/users/{user}/channelPlan", {**tenant, "type": "ALERT"}
    steps = {**alerts, "steps": [{"channel": "EMAIL"}]}
    assert "etag" not in rest.get(plan, params=alerts).headers
    planned = rest.put(plan, json=steps)
    reminder = rest.post(
        "/v1/reminders", json={**tenant, "user": user, "title": "T", "cron": "0 8 * * *", "timeZone": "UTC"}
    )
    url = f"https://93.184.215.14/{unique('hook')}"
    events = {"url": url, "eventTypes": ["tocsin.events.v1.AlarmCleared"]}
    subscription = rest.post("/v1/webhookSubscriptions", json=events)
    twice = rest.post("/v1/webhookSubscriptions", json=events)
    assert (twice.status_code, twice.json()["reason"]) == (409, "SUBSCRIPTION_EXISTS")
    assert twice.json()["metadata"]["id"] == subscription.json()["id"]
    of_user, hook = (
        f"/v1/users/{user}/endpoints/{endpoint.json()['id']}",
        f"/v1/webhookSubscriptions/{subscription.json()['id']}",
    )
    reminded = f"/v1/reminders/{reminder.json()['id']}"
    # What changes, and what is returned by it has the new version. The last one of each resource ends it.
    changes: list[tuple[httpx.Response, list[tuple[str, str, dict[str, Any]]]]] = [
        (sent, [("POST", f"/v1/notifications/{sent.json()['id']}:markOpened", {"json": tenant})]),
        (endpoint, [("POST", f"{of_user}:rotateSecret", {"json": tenant}), ("DELETE", of_user, {"params": tenant})]),
        (planned, [("PUT", plan, {"json": steps}), ("DELETE", plan, {"params": alerts})]),
        (
            reminder,
            [
                ("POST", f"{reminded}:pause", {"json": tenant}),
                ("POST", f"{reminded}:resume", {"json": tenant}),
                ("PATCH", reminded, {"json": {**tenant, "title": "Another"}}),
                ("DELETE", reminded, {"params": tenant}),
            ],
        ),
        (subscription, [("POST", f"{hook}:rotateSecret", {"json": {}}), ("DELETE", hook, {})]),
    ]
    for made, steps_ in changes:
        assert made.status_code == 200, made.text
        tag = made.headers["etag"]
        for verb, path, content in steps_:
            for header, status, reason in (('"77"', 409, "VERSION_CONFLICT"), ("77", 400, "HEADER_INVALID")):
                refused = rest.request(verb, path, headers={"If-Match": header}, **content)
                assert (refused.status_code, refused.json()["reason"]) == (status, reason), (path, refused.text)
                if status == 409:
                    assert f'"{refused.json()["metadata"]["current"]}"' == tag, path
            done = rest.request(verb, path, headers={"If-Match": tag}, **content)
            assert done.status_code == 200, (verb, path, done.text)
            if verb != "DELETE":
                assert done.headers["etag"] == f'"{int(tag.strip(chr(34))) + 1}"', path
                tag = done.headers["etag"]
    # Nothing is done without the header that was meant to guard it.
    blind = rest.post("/v1/notifications:markAllRead", json={**tenant, "user": user}, headers={"If-Match": '"1"'})
    assert (blind.status_code, blind.json()["reason"]) == (400, "HEADER_INVALID")
    assert (
        rest.get(f"/v1/notifications/{sent.json()['id']}", params=tenant, headers={"If-Match": '"1"'}).status_code
        == 200
    )


def test_a_channel_plan_is_kept_and_removed(rest: httpx.Client, unique: Callable[[str], str]) -> None:
    path = f"/v1/users/{unique('u')}/channelPlan"
    which = {"tenant": "test", "type": "ALERT"}
    default = rest.get(path, params=which)
    assert default.status_code == 200, default.text
    assert [step["channel"] for step in default.json()["steps"]] == ["FCM", "EMAIL", "WEBHOOK"]
    assert default.json()["own"] is False
    steps = [{"channel": "WEBHOOK", "after": "30s"}, {"channel": "EMAIL"}]
    made = rest.put(path, json={**which, "steps": steps})
    assert made.status_code == 200, made.text
    assert made.json() == rest.get(path, params=which).json()
    assert (made.json()["own"], made.json()["steps"]) == (True, steps)
    assert rest.get(path, params={**which, "type": "INFO"}).json()["own"] is False
    for bad in ([], [{"channel": "EMAIL"}] * 2, [{"channel": "EMAIL", "after": "0s"}], [{"after": "1s"}]):
        refused = rest.put(path, json={**which, "steps": bad})
        assert (refused.status_code, refused.json()["reason"]) == (400, "INVALID_FIELD"), refused.text
    assert rest.delete(path, params=which).status_code == 200
    assert rest.delete(path, params=which).status_code == 404
    nobody = rest.post("/v1/notifications", json=notification(unique("u")))
    assert (nobody.status_code, nobody.json()["reason"]) == (400, "NO_ENDPOINT")
