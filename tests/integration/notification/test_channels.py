"""Providers that refuse, throttle and fail: what follows for the notification and the address."""

import asyncio
import json
from datetime import timedelta

import pytest

from services.chassis.errors import FailedPrecondition
from tests.integration.notification.conftest import OpenService
from tests.support.eventually import eventually
from tests.support.fcm import Fcm
from tests.support.mailbox import Mailbox, open_mailbox
from tests.support.notification import Service, endpoint_pb, letter_pb, pb


async def addresses(service: Service, user: str = "ada") -> list[str]:
    request = endpoint_pb.ListEndpointsRequest(tenant="test", user=user)
    return [point.address for point in (await service.endpoints.ListEndpoints(request)).endpoints]


def fcm_options(fcm: Fcm) -> dict[str, object]:
    return {"fcm_account_file": fcm.account_file, "fcm_base_url": fcm.url}


@pytest.mark.parametrize(
    ("code", "kept", "wait"),
    [
        ("UNREGISTERED", False, None),
        ("INVALID_ARGUMENT", False, None),
        ("SENDER_ID_MISMATCH", True, None),
        ("BAD_PAYLOAD", True, None),
        ("TOO_BIG", True, None),
        ("THIRD_PARTY_AUTH_ERROR", True, None),
        ("QUOTA_EXCEEDED", True, 60),
        ("UNAVAILABLE", True, 2),
        ("INTERNAL", True, 2),
    ],
)
async def test_fcm_errors(open_service: OpenService, fcm: Fcm, code: str, kept: bool, wait: int | None) -> None:
    async with open_service(**fcm_options(fcm)) as service:
        await service.register("FCM", "token-1")
        fcm.errors.append((code, {}))
        if wait is None:
            with pytest.raises(FailedPrecondition) as failed:
                await service.send(wait=True)
            assert failed.value.reason == "DELIVERY_FAILED"
            assert failed.value.metadata["channel"] == "FCM"
            letters = await eventually(lambda: _letters(service))
            assert letters[0].attempts == 1
        else:
            pending = await service.send(wait=True)
            assert pending.status == pb.Notification.PENDING
            assert pending.next_attempt_time.seconds - int(service.clock.time.timestamp()) == wait
            await service.advance(timedelta(seconds=wait))
            await service.becomes(pending.id, "SENT", attempts=2)
        assert await addresses(service) == (["token-1"] if kept else [])


@pytest.mark.parametrize(
    ("code", "error", "kept"),
    [
        ("UNREGISTERED", "FCM_UNREGISTERED", False),
        ("INVALID_ARGUMENT", "FCM_INVALID_ARGUMENT", False),
        ("TOO_BIG", "FCM_INVALID_ARGUMENT", True),
        ("SENDER_ID_MISMATCH", "FCM_SENDER_ID_MISMATCH", True),
        ("THIRD_PARTY_AUTH_ERROR", "FCM_THIRD_PARTY_AUTH_ERROR", True),
    ],
)
async def test_an_answer_in_two_pieces_is_read_whole(
    open_service: OpenService, fcm: Fcm, code: str, error: str, kept: bool
) -> None:
    fcm.in_two_pieces = True
    async with open_service(**fcm_options(fcm)) as service:
        await service.register("FCM", "token-1")
        fcm.errors.append((code, {}))
        with pytest.raises(FailedPrecondition) as failed:
            await service.send(wait=True)
        assert failed.value.metadata["error"].startswith(f"{error}: ")
        assert await addresses(service) == (["token-1"] if kept else [])


@pytest.mark.parametrize("strange", [b"<html>a proxy</html>", b"{}", b'{"name": ""}', b"[]", b'{"name": 5}'])
async def test_what_is_not_fcm_s_answer_is_no_success(open_service: OpenService, fcm: Fcm, strange: bytes) -> None:
    async with open_service(**fcm_options(fcm)) as service:
        await service.register("FCM", "token-1")
        fcm.strange = strange
        pending = await service.send(wait=True)
        assert pending.status == pb.Notification.PENDING
        assert pending.error.startswith("FCM_ANSWER_200")
        fcm.strange = b""
        await service.advance(timedelta(seconds=2))
        await service.becomes(pending.id, "SENT", attempts=2)
        # The same tag and collapse id: the second takes the place of the first on the screen.
        first, second = fcm.messages
        assert first == second
        assert first["android"]["notification"]["tag"] == first["apns"]["headers"]["apns-collapse-id"] == pending.id


@pytest.mark.parametrize("data", [{}, {"order": "x" * 1000}])
async def test_a_text_beyond_what_fcm_takes_is_cut(open_service: OpenService, fcm: Fcm, data: dict[str, str]) -> None:
    async with open_service(**fcm_options(fcm)) as service:
        await service.register("FCM", "token-1")
        body = "\u00e4" * 2100
        sent = await service.send(wait=True, body=body, data=data)
        assert sent.status == pb.Notification.SENT
        (message,) = fcm.messages
        assert message["data"]["cut"] == "true"
        shown = message["notification"]["body"]
        assert shown.endswith("\u2026")
        assert body.startswith(shown[:-1])
        taken = sum(len(f"{k}{v}".encode()) for part in ("notification", "data") for k, v in message[part].items())
        assert 4090 <= taken <= 4096
        assert await addresses(service) == ["token-1"]


async def test_data_that_leave_no_room_for_the_title_are_refused_without_asking_fcm(
    open_service: OpenService, fcm: Fcm
) -> None:
    async with open_service(**fcm_options(fcm)) as service:
        await service.register("FCM", "token-1")
        with pytest.raises(FailedPrecondition) as failed:
            await service.send(wait=True, data={"order": "x" * 4060})
        assert failed.value.metadata["error"].startswith("FCM_TOO_LARGE")
        assert fcm.requests == 0
        assert await addresses(service) == ["token-1"]


async def test_while_the_token_server_refuses_all_who_wait_share_its_answer(
    open_service: OpenService, fcm: Fcm
) -> None:
    arrived = asyncio.Event()
    asked = 0

    async def hold() -> None:
        nonlocal asked
        asked += 1
        await arrived.wait()

    fcm.before_grant, fcm.refuse_grants = hold, True
    async with open_service(**fcm_options(fcm)) as service:
        for user in range(8):
            await service.register("FCM", f"token-{user}", user=f"u{user}")
        sending = [asyncio.create_task(service.send(f"u{user}", wait=True)) for user in range(8)]
        await eventually(lambda: asked)
        assert asked == 1
        arrived.set()
        for one in await asyncio.gather(*sending):
            assert one.error.startswith("FCM_TOKEN_400")
        assert asked < len(sending)


async def _letters(service: Service) -> list[letter_pb.DeadLetter]:
    return list((await service.letters.ListDeadLetters(letter_pb.ListDeadLettersRequest())).dead_letters)


@pytest.mark.parametrize(
    "granted",
    [
        {"access_token": None},
        {"access_token": ""},
        {"access_token": "two\r\nlines: 1"},
        {"access_token": ["a"]},
        {"expires_in": None},
        {"expires_in": 10**400},
        {"expires_in": float("nan")},
        {"expires_in": -1},
    ],
)
async def test_what_is_no_access_token_is_not_sent(
    open_service: OpenService, fcm: Fcm, granted: dict[str, object]
) -> None:
    async with open_service(**fcm_options(fcm)) as service:
        await service.register("FCM", "token-1")
        fcm.granted.update(granted)
        pending = await service.send(wait=True)
        assert (pending.status, pending.error.partition(":")[0]) == (pb.Notification.PENDING, "FCM_TOKEN_200")
        fcm.granted.clear()
        await service.advance(timedelta(seconds=2))
        await service.becomes(pending.id, "SENT", attempts=2)


async def test_fcm_tokens_are_kept_and_renewed_once(open_service: OpenService, fcm: Fcm) -> None:
    async with open_service(**fcm_options(fcm)) as service:
        for user in range(20):
            await service.register("FCM", f"token-{user}", user=f"u{user}")
        sent = await asyncio.gather(*(service.send(f"u{user}", wait=True) for user in range(20)))
        assert {one.status for one in sent} == {pb.Notification.SENT}
        assert fcm.grants == 1
        fcm.tokens.clear()
        assert (await service.send("u1", wait=True)).status == pb.Notification.SENT
        assert fcm.grants == 2


async def test_fcm_credentials_that_are_refused_need_an_operator(open_service: OpenService, fcm: Fcm) -> None:
    async with open_service(**fcm_options(fcm)) as service:
        await service.register("FCM", "token-1")
        fcm.refuse_grants = True
        pending = await service.send(wait=True)
        assert pending.error.startswith("FCM_TOKEN_400")
        assert pending.next_attempt_time.seconds - int(service.clock.time.timestamp()) == 60
        assert await addresses(service) == ["token-1"]


async def test_only_the_dead_one_of_a_user_s_tokens_is_forgotten(open_service: OpenService, fcm: Fcm) -> None:
    async with open_service(**fcm_options(fcm)) as service:
        for token in ("token-1", "token-2", "token-3"):
            await service.register("FCM", token)
        fcm.unregistered.add("token-2")
        sent = await service.send(wait=True)
        assert sent.status == pb.Notification.SENT
        await service.becomes(sent.id, "SENT", attempts=3)
        assert sorted(message["token"] for message in fcm.messages) == ["token-1", "token-3"]
        assert await addresses(service) == ["token-1", "token-3"]


async def test_only_what_failed_is_sent_again_and_holds_back_nothing(open_service: OpenService, fcm: Fcm) -> None:
    async with open_service(**fcm_options(fcm)) as service:
        for token in ("token-1", "token-2", "token-3"):
            await service.register("FCM", token)
        fcm.errors.append(("UNAVAILABLE", {"retry-after": "7"}))
        sent = await service.send(wait=True)
        assert sent.status == pb.Notification.SENT
        found = await service.becomes(sent.id, "SENT", attempts=3)
        assert len(fcm.messages) == 2
        assert found.address in {message["token"] for message in fcm.messages}
        unread = pb.ListNotificationsRequest(tenant="test", user="ada", unread=True)
        listed = await service.notifications.ListNotifications(unread)
        assert [one.id for one in listed.notifications] == [sent.id]
        await service.advance(timedelta(seconds=7, milliseconds=-1))
        assert len(fcm.messages) == 2
        await service.advance(timedelta(milliseconds=1))
        await service.becomes(sent.id, "SENT", attempts=4)
        assert sorted(message["token"] for message in fcm.messages) == ["token-1", "token-2", "token-3"]


@pytest.mark.parametrize(
    ("answer", "wait", "kept"),
    [
        ("550 5.1.1 no such user", None, False),
        ("550 no", None, True),
        ("554 5.7.1 spam", None, True),
        ("451 4.3.0 later", 2, True),
        ("450 4.7.1 greylisted", 300, True),
        ("552 5.2.2 mailbox full", 3600, True),
    ],
)
async def test_mail_refusals(
    open_service: OpenService, mailbox: Mailbox, answer: str, wait: int | None, kept: bool
) -> None:
    async with open_service(smtp_host="127.0.0.1", smtp_port=mailbox.port) as service:
        await service.register("EMAIL", "ada@example.org")
        mailbox.rcpt.append(answer)
        if wait is None:
            with pytest.raises(FailedPrecondition):
                await service.send(wait=True)
        else:
            pending = await service.send(wait=True)
            assert pending.next_attempt_time.seconds - int(service.clock.time.timestamp()) == wait
            await service.advance(timedelta(seconds=wait))
            await service.becomes(pending.id, "SENT", attempts=2)
        assert await addresses(service) == (["ada@example.org"] if kept else [])


async def test_a_mail_server_that_is_away_is_waited_for(open_service: OpenService) -> None:
    async with open_mailbox() as mailbox:
        port = mailbox.port
    async with open_service(smtp_host="127.0.0.1", smtp_port=port) as service:
        await service.register("EMAIL", "ada@example.org")
        pending = await service.send(wait=True)
        assert pending.status == pb.Notification.PENDING
        assert pending.error.startswith("SMTP_SMTPConnect")
        async with open_mailbox(port=port) as back:
            await service.advance(timedelta(seconds=2))
            await service.becomes(pending.id, "SENT", attempts=2)
            assert back.ids == [f"<{pending.id}@tocsin.test>"]


@pytest.mark.parametrize("answer", ["550 5.1.1 no such sender", "553 5.1.8 sender refused"])
async def test_a_sender_that_is_refused_costs_no_user_the_address(
    open_service: OpenService, mailbox: Mailbox, answer: str
) -> None:
    async with open_service(smtp_host="127.0.0.1", smtp_port=mailbox.port) as service:
        await service.register("EMAIL", "ada@example.org")
        mailbox.mail.append(answer)
        pending = await service.send(wait=True)
        assert pending.status == pb.Notification.PENDING
        assert pending.next_attempt_time.seconds - int(service.clock.time.timestamp()) == 60
        assert await addresses(service) == ["ada@example.org"]
        await service.advance(timedelta(seconds=60))
        await service.becomes(pending.id, "SENT", attempts=2)


async def test_a_mail_server_that_says_nothing_leaves_no_outcome_unknown(open_service: OpenService) -> None:
    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with (
        server,
        open_service(
            smtp_host="127.0.0.1",
            smtp_port=port,
            smtp_connections=1,
            smtp_timeout=timedelta(seconds=0.5),
            attempt_timeout=timedelta(seconds=2),
            webhook_timeout=timedelta(seconds=1),
            unknown="hold",
        ) as service,
    ):
        users = [f"u{place}" for place in range(8)]
        for user in users:
            await service.register("EMAIL", f"{user}@example.org", user=user)
        # More than there are connections for in the time of an attempt.
        tried = await asyncio.gather(*(service.send(user=user, wait=True) for user in users))
        assert {one.status for one in tried} == {pb.Notification.PENDING}
        assert all(one.error.startswith("SMTP_") for one in tried)


async def test_a_connection_is_kept_for_the_next_mail(open_service: OpenService, mailbox: Mailbox) -> None:
    async with open_service(smtp_host="127.0.0.1", smtp_port=mailbox.port) as service:
        await service.register("EMAIL", "ada@example.org")
        for _ in range(5):
            await service.send(wait=True)
        assert len(mailbox.messages) == 5
        assert mailbox.connections == 1


async def test_logins(open_service: OpenService) -> None:
    async with open_mailbox(login=True) as mailbox:
        for password, status in (("right", pb.Notification.SENT), ("wrong", pb.Notification.PENDING)):
            async with open_service(
                smtp_host="127.0.0.1", smtp_port=mailbox.port, smtp_user="user", smtp_password=password
            ) as service:
                await service.register("EMAIL", "ada@example.org")
                found = await service.send(wait=True)
                assert found.status == status
                if status == pb.Notification.PENDING:
                    assert found.error.startswith("SMTP_535")
                    assert found.next_attempt_time.seconds - int(service.clock.time.timestamp()) == 60


async def test_dead_letters_of_notifications_come_back(open_service: OpenService, mailbox: Mailbox) -> None:
    async with open_service(smtp_host="127.0.0.1", smtp_port=mailbox.port) as service:
        await service.register("EMAIL", "ada@example.org")
        mailbox.rcpt.append("554 5.7.1 no")
        queued = await service.send(title="Fire", body="In room 3", data={"floor": 2})
        failed = await service.becomes(queued.id, "FAILED")
        assert failed.version == 2
        [letter] = await eventually(lambda: _letters(service))
        assert (letter.service, letter.consumer) == ("notification", "deliveries")
        shown = await service.letters.GetDeadLetter(letter_pb.GetDeadLetterRequest(id=letter.id))
        content = json.loads(shown.payload_json)
        assert (content["notification"], content["type"], content["user"]) == (queued.id, "ALERT", "ada")
        assert (content["title"], content["body"], content["data"]) == ("Fire", "In room 3", {"floor": 2.0})
        assert content["error"].startswith("SMTP_554")
        answer = await service.letters.RetryDeadLetter(letter_pb.RetryDeadLetterRequest(id=letter.id))
        assert answer.subject == "tocsin.notifications.v1.retry"
        sent = await service.becomes(queued.id, "SENT", attempts=2)
        assert sent.version == 4
        assert len(mailbox.messages) == 1
        assert await _letters(service) == []


async def test_dead_letters_of_a_tenant_need_its_token(open_service: OpenService, mailbox: Mailbox) -> None:
    from services.chassis.errors import NotFound, PermissionDenied
    from services.chassis.grpc.client import connect

    async with open_service(smtp_host="127.0.0.1", smtp_port=mailbox.port) as service:
        await service.register("EMAIL", "ada@example.org")
        mailbox.rcpt.append("554 5.7.1 no")
        await service.becomes((await service.send()).id, "FAILED")
        [letter] = await eventually(lambda: _letters(service))
        token = service.issuer.mint(tenants=["wellness"])
        async with connect(f"127.0.0.1:{service.app.server.port}", token=lambda: token) as channel:
            service.use(channel)
            assert await _letters(service) == []
            with pytest.raises(PermissionDenied):
                await service.letters.RetryDeadLetter(letter_pb.RetryDeadLetterRequest(id=letter.id))
            with pytest.raises(PermissionDenied):
                await service.letters.ArchiveDeadLetter(letter_pb.ArchiveDeadLetterRequest(id=letter.id))
        service.use(service.channel)
        for _ in range(2):
            await service.letters.ArchiveDeadLetter(letter_pb.ArchiveDeadLetterRequest(id=letter.id))
        for call in (
            service.letters.GetDeadLetter(letter_pb.GetDeadLetterRequest(id="99999")),
            service.letters.GetDeadLetter(letter_pb.GetDeadLetterRequest(id="nothing")),
            service.letters.GetDeadLetter(letter_pb.GetDeadLetterRequest(id="0")),
            service.letters.ArchiveDeadLetter(letter_pb.ArchiveDeadLetterRequest(id="00")),
        ):
            with pytest.raises(NotFound):
                await call
