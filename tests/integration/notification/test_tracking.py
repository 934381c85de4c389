"""Links and pixels of e-mails: what they say, and that what they tell is recorded once."""

import re
from collections.abc import AsyncIterator, Awaitable
from datetime import timedelta
from pathlib import Path

import pytest

from services.chassis.errors import DomainError
from services.chassis.grpc.client import connect
from services.notification.domain.open_tokens import Opened, Purpose, read_keys
from tests.integration.notification.conftest import OpenService
from tests.support.eventually import eventually
from tests.support.mailbox import Mailbox, mail_text
from tests.support.notification import ManualClock, Service, pb, reminder_pb, tracking_pb

PUBLIC = "https://tocsin.example/edge"
LINK = "https://app.example/care?plan=7&step=2"
TRACKED = re.compile(re.escape(PUBLIC) + r"/v1/notifications:(follow|pixel)\?token=([A-Za-z0-9_-]+)")


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    """The file of the keys."""
    file = tmp_path / "links.keys"
    file.write_text("k" * 40)
    return file


@pytest.fixture
async def tracking(open_service: OpenService, mailbox: Mailbox, keys: Path) -> AsyncIterator[Service]:
    """A replica whose e-mails are tracked."""
    async with open_service(
        smtp_host="127.0.0.1",
        smtp_port=mailbox.port,
        public_url=f"{PUBLIC}/",
        link_key_file=keys,
        link_origins="https://app.example",
    ) as running:
        yield running


async def follow(service: Service, token: str, *, look_only: bool = False) -> str:
    request = tracking_pb.FollowLinkRequest(token=token, look_only=look_only)
    return str((await service.tracking.FollowLink(request)).url)


async def refused(call: Awaitable[object]) -> tuple[str, str]:
    """Reason and message."""
    with pytest.raises(DomainError) as found:
        await call
    return found.value.reason, found.value.message


async def test_an_email_has_a_signed_link_and_a_pixel(tracking: Service, mailbox: Mailbox) -> None:
    await tracking.register("EMAIL", "ada@example.org")
    sent = await tracking.send(body="Take it", link=LINK, wait=True)
    assert sent.link == LINK
    [mail] = mailbox.messages
    html, plain = mail_text(mail, "html"), mail_text(mail, "plain")
    tokens = dict(TRACKED.findall(html))
    assert set(tokens) == {"follow", "pixel"}
    assert "https://app.example/care?plan=7&amp;step=2</a>" in html
    assert plain.split() == ["Take", "it", LINK]
    # A link checker looks; nothing is opened.
    assert await follow(tracking, tokens["follow"], look_only=True) == LINK
    assert not (await tracking.get(sent.id)).HasField("open_time")
    assert await follow(tracking, tokens["follow"]) == LINK
    opened = await tracking.get(sent.id)
    assert opened.open_time == opened.read_time
    await tracking.advance(timedelta(minutes=5))
    await tracking.tracking.ViewPixel(tracking_pb.ViewPixelRequest(token=tokens["pixel"]))
    assert await follow(tracking, tokens["follow"]) == LINK
    assert await tracking.get(sent.id) == opened


async def test_a_pixel_counts_and_is_no_link(tracking: Service, mailbox: Mailbox) -> None:
    await tracking.register("EMAIL", "ada@example.org")
    sent = await tracking.send(wait=True)
    html = mail_text(mailbox.messages[0], "html")
    assert "<a " not in html
    [(_, pixel)] = TRACKED.findall(html)
    assert await refused(follow(tracking, pixel)) == ("NOT_FOUND", "There is no such link.")
    assert not (await tracking.get(sent.id)).HasField("open_time")
    await tracking.tracking.ViewPixel(tracking_pb.ViewPixelRequest(token=pixel))
    assert (await tracking.get(sent.id)).HasField("open_time")


async def test_nobody_needs_to_be_logged_in(tracking: Service, mailbox: Mailbox) -> None:
    await tracking.register("EMAIL", "ada@example.org")
    await tracking.send(link=LINK, wait=True)
    tokens = dict(TRACKED.findall(mail_text(mailbox.messages[0], "html")))
    async with connect(f"127.0.0.1:{tracking.port}", token=lambda: "") as stranger:
        tracking.use(stranger)
        assert await follow(tracking, tokens["follow"]) == LINK


async def test_links_expire_and_are_not_forged(open_service: OpenService, tracking: Service, keys: Path) -> None:
    sent = await tracking.send(link=LINK, wait=True)
    signed = read_keys(keys)
    opened = Opened("test", sent.id)
    over = signed.mint(Purpose.LINK, opened, tracking.clock.time - timedelta(days=1))
    gone = "LINK_EXPIRED"
    told = "The time of the link is over, or what it led to is gone."
    assert await refused(follow(tracking, over)) == (gone, told)
    later = tracking.clock.time + timedelta(days=1)
    nobody = "0191d7a4-5b6e-7c21-9d5e-3f1a2b4c6d8e"
    for lost in (Opened("test", nobody), Opened("closed", sent.id)):
        assert await refused(follow(tracking, signed.mint(Purpose.LINK, lost, later))) == (gone, told)
    for forged in ("x", over[:-1] + ("A" if over[-1] != "A" else "B"), "0" * 100):
        assert (await refused(follow(tracking, forged)))[0] in ("NOT_FOUND", "INVALID_FIELD")
    assert not (await tracking.get(sent.id)).HasField("open_time")
    good = signed.mint(Purpose.LINK, opened, later)
    # The origin is not allowed any more, and the key was rotated.
    keys.write_text("n" * 40 + "\n" + "k" * 40)
    async with open_service(tracking.clock, link_key_file=keys) as changed:
        assert await refused(follow(changed, good)) == (gone, told)
    async with open_service(tracking.clock, link_key_file=keys, link_origins="https://app.example") as changed:
        assert await follow(changed, good) == LINK


async def test_without_a_public_url_nothing_is_tracked(open_service: OpenService, mailbox: Mailbox) -> None:
    async with open_service(
        smtp_host="127.0.0.1", smtp_port=mailbox.port, link_origins="https://app.example"
    ) as service:
        await service.register("EMAIL", "ada@example.org")
        await service.send(link=LINK, wait=True)
        html = mail_text(mailbox.messages[0], "html")
        assert "<img" not in html
        assert '<a href="https://app.example/care?plan=7&amp;step=2">' in html
        assert (await refused(follow(service, "x")))[0] == "NOT_FOUND"


@pytest.mark.parametrize(
    "link",
    ["https://evil.example/", "http://app.example/", "https://app.example:444/", "https://app.example@evil.example/"],
)
async def test_a_link_leads_where_the_operator_allows_and_nowhere_else(tracking: Service, link: str) -> None:
    code, text = await refused(tracking.send(link=link))
    assert code == "LINK_FORBIDDEN"
    assert "links may not lead to" in text or "must not carry" in text
    one = pb.SendNotificationRequest(
        tenant="test", user="ada", type=pb.NotificationType.INFO, title="T", channel=pb.Channel.CONSOLE, link=link
    )
    bulk = await tracking.notifications.SendBulkNotifications(
        pb.SendBulkNotificationsRequest(notifications=[one, pb.SendNotificationRequest()])
    )
    assert (bulk.accepted, bulk.outcomes[0].reason, bulk.outcomes[0].field) == (0, "LINK_FORBIDDEN", "link")
    reminder = reminder_pb.Reminder(
        tenant="test", user="ada", title="T", times_of_day=["08:00"], time_zone="UTC", link=link
    )
    code, text = await refused(tracking.reminders.CreateReminder(reminder_pb.CreateReminderRequest(reminder=reminder)))
    assert code == "LINK_FORBIDDEN"
    assert text.startswith("reminder.link: ")


async def test_what_a_reminder_sends_is_opened_by_its_link(
    open_service: OpenService, mailbox: Mailbox, keys: Path
) -> None:
    clock = ManualClock()
    async with open_service(
        clock,
        smtp_host="127.0.0.1",
        smtp_port=mailbox.port,
        public_url=PUBLIC,
        link_key_file=keys,
        link_origins="https://app.example",
    ) as service:
        await service.register("EMAIL", "ada@example.org")
        reminder = reminder_pb.Reminder(
            id="metformin", tenant="test", user="ada", title="Metformin", cron="* * * * *", time_zone="UTC", link=LINK
        )
        made = await service.reminders.CreateReminder(reminder_pb.CreateReminderRequest(reminder=reminder))
        assert made.link == LINK
        await service.advance(timedelta(minutes=1))
        [mail] = await eventually(lambda: mailbox.messages, what="the e-mail")
        tokens = dict(TRACKED.findall(mail_text(mail, "html")))
        assert await follow(service, tokens["follow"]) == LINK
        statistics = await service.reminders.GetReminderStatistics(
            reminder_pb.GetReminderStatisticsRequest(tenant="test", reminder="metformin")
        )
        assert (statistics.sent, statistics.opened) == (1, 1)
