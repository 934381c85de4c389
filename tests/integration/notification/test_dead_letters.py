"""Dead letters from their stream into the store, to operators, and back to where they came from."""

import asyncio
from datetime import timedelta

import pytest

from services.chassis.errors import FailedPrecondition
from services.chassis.nats import Encoded, Failure, NatsConnection, Publisher, compose_dead_letter
from services.chassis.nats.dead_letters import ONLY_CONSUMER
from services.chassis.nats.topology import ALERT_REPORTED_SUBJECT, ALERTS, DEAD_LETTERS
from services.notification.adapters.nats.dead_letters import clear
from tests.integration.notification.conftest import OpenService
from tests.support.dead_letters import AT
from tests.support.eventually import eventually
from tests.support.mailbox import Mailbox
from tests.support.notification import Service, letter_pb
from tests.support.receiver import Receiver

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


async def die(publisher: Publisher, number: int, *, error: str = "Permanent") -> None:
    """A message of another service dies."""
    original = Encoded(
        ALERT_REPORTED_SUBJECT,
        b"\x00odd",
        {"ce-id": f"a{number}", "ce-type": "tocsin.events.v1.VideoAlertReported"},
    )
    letter = compose_dead_letter(
        original,
        service="media_probe",
        consumer="alerts",
        history=[Failure(at=AT, error_type=error, reason=f"number {number}\x00")],
        attempts=1,
        first_seen=AT,
        identity=str(number),
    )
    await publisher.publish_encoded(letter)
    await publisher.publish_encoded(letter)  # reported twice


async def listed(service: Service, count: int, **wanted: object) -> list[letter_pb.DeadLetter]:
    """The letters, the newest first, once there are so many."""

    async def look() -> list[letter_pb.DeadLetter]:
        request = letter_pb.ListDeadLettersRequest(page_size=1000, **wanted)  # pyright: ignore[reportArgumentType]
        found = list((await service.letters.ListDeadLetters(request)).dead_letters)
        assert len(found) == count
        return found

    if not count:
        return await look()
    return await eventually(look)


async def returned(connection: NatsConnection) -> list[tuple[str, bytes]]:
    """What went back to the alerts: for whom, and what."""
    state = (await connection.js.stream_info(ALERTS)).state
    found = [await connection.js.get_msg(ALERTS, n) for n in range(max(state.first_seq, 1), state.last_seq + 1)]
    return [((one.headers or {})[ONLY_CONSUMER], one.data or b"") for one in found]


async def test_letters_of_all_services_are_kept_and_go_back_once(
    open_service: OpenService, publisher: Publisher, nats_connection: NatsConnection
) -> None:
    for number in range(5):
        await die(publisher, number, error="Unavailable" if number % 2 else "Permanent")
    async with open_service() as service, open_service() as other:
        letters = await listed(service, 5)
        kind = letter_pb.DeadLetter
        assert [one.reason for one in letters] == [f"number {n}\\x00" for n in (4, 3, 2, 1, 0)]
        assert {one.reason_class for one in letters} == {kind.BAD_CONTENT, kind.UNREACHABLE}
        assert len(await listed(service, 2, reason_class=kind.UNREACHABLE)) == 2
        first = letters[-1]
        calls = [
            replica.letters.RetryDeadLetter(letter_pb.RetryDeadLetterRequest(id=first.id))
            for replica in (service, other) * 3
        ]
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        assert sum(not isinstance(one, BaseException) for one in outcomes) == 1
        with pytest.raises(FailedPrecondition) as refusal:
            await other.letters.RetryDeadLetter(letter_pb.RetryDeadLetterRequest(id=first.id))
        assert refusal.value.reason == "DEAD_LETTER_CLOSED"
        await eventually(lambda: returned(nats_connection))
        assert await returned(nats_connection) == [("media_probe/alerts", b"\x00odd")]
        chosen = letter_pb.DeadLetterFilter(reason_class=kind.UNREACHABLE)
        answer = await service.letters.RetryDeadLetters(letter_pb.RetryDeadLettersRequest(filter=chosen))
        assert (answer.retried, answer.more) == (2, False)
        rest = letter_pb.DeadLetterFilter(service="media_probe")
        archived = await service.letters.ArchiveDeadLetters(letter_pb.ArchiveDeadLettersRequest(filter=rest))
        assert (archived.archived, archived.more) == (2, False)
        await listed(service, 0)
        assert len(await listed(service, 2, state=kind.ARCHIVED)) == 2

        async def empty() -> bool:
            await clear(nats_connection)
            return (await nats_connection.js.stream_info(DEAD_LETTERS)).state.messages == 0

        await eventually(empty)
        assert await service.value("SELECT count(*) FROM dead_letters") == 5


async def test_operators_are_told_of_a_storm_once(
    open_service: OpenService, publisher: Publisher, mailbox: Mailbox, receiver: Receiver
) -> None:
    options = {
        "smtp_host": "127.0.0.1",
        "smtp_port": mailbox.port,
        "operator_emails": "ops@example.org, duty@example.org",
        "operator_webhook": receiver.url + "/ops",
        "operator_webhook_secret": SECRET,
    }
    async with open_service(**options) as service:
        for number in range(30):
            await die(publisher, number)
        await listed(service, 30)
        await service.advance(timedelta(minutes=1))
        await eventually(lambda: len(mailbox.messages) == 2 and len(receiver.hooks) == 1, timeout=20)
        assert sorted(mailbox.recipients) == ["duty@example.org", "ops@example.org"]
        told = receiver.hooks[0].verify(SECRET)
        assert told["type"] == "tocsin.dead_letters"
        assert told["data"]["total"] == 30
        assert told["data"]["counts"] == [
            {"service": "media_probe", "consumer": "alerts", "reasonClass": "BAD_CONTENT", "count": 30}
        ]
        assert len(told["data"]["examples"]) == 5

        async def noted() -> bool:
            return await service.value("SELECT told_up_to FROM dead_letter_alerts") > 0

        await eventually(noted)  # after the answers of those that were told
