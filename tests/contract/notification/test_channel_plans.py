"""Several addresses and channels of a notification: the same suite on both adapters."""

from datetime import timedelta

from services.notification.application.claimed_delivery import Claimed, Completion
from services.notification.domain.channel_plan import Step
from services.notification.domain.delivery import NO_ENDPOINT, Decision, Endpoint, Failure, FailureKind
from services.notification.domain.notification import Attempt, ChannelName, Notification, Status
from tests.contract.notification.conftest import GONE, SENT, Rig, again, draft

FCM, EMAIL, WEBHOOK = ChannelName.FCM, ChannelName.EMAIL, ChannelName.WEBHOOK
NOBODY_THERE = Decision(sent=False, failure=NO_ENDPOINT)
MINUTE = timedelta(minutes=1)


async def register(rig: Rig, channel: ChannelName, *addresses: str) -> list[Endpoint]:
    return [(await rig.endpoints.register("test", "ada", channel, address, ""))[0] for address in addresses]


async def claim(rig: Rig) -> dict[str, Claimed]:
    """What can be claimed, by address."""
    return {one.endpoint.address if one.endpoint else "": one for one in await rig.claim()}


async def complete(rig: Rig, decision: Decision, one: Claimed) -> Notification:
    [after] = await rig.complete(decision, one)
    assert after is not None
    return after


async def test_one_address_makes_it_sent_and_the_others_go_on(rig: Rig) -> None:
    await register(rig, EMAIL, "a@x.org", "b@x.org", "c@x.org")
    [one] = await rig.enqueue(draft(), channel=EMAIL)
    legs = await claim(rig)
    assert {leg.reference for leg in legs.values()} == {one.id}
    waiting = await complete(rig, again(600), legs["a@x.org"])
    assert (waiting.status, waiting.next_attempt_at) == (Status.PENDING, rig.clock.time + timedelta(seconds=600))
    sent = await complete(rig, SENT, legs["b@x.org"])
    assert (sent.status, sent.channel, sent.address, sent.sent_at) == (Status.SENT, EMAIL, "b@x.org", rig.clock.time)
    assert sent == await rig.notifications.get("test", one.id)
    at = rig.clock.time
    rig.advance(1)
    later = await complete(rig, SENT, legs["c@x.org"])
    assert (later.address, later.sent_at, later.version) == ("b@x.org", at, 4)
    rig.advance(599)
    [last] = (await claim(rig)).values()
    failed = await complete(rig, GONE, last)
    assert (failed.status, failed.attempts) == (Status.SENT, 4)
    assert [(attempt.address, attempt.code) for attempt in failed.history] == [
        ("a@x.org", "HTTP_503"),
        ("b@x.org", ""),
        ("c@x.org", ""),
        ("a@x.org", "GONE"),
    ]
    assert await rig.told() == [(one.id, "PENDING", 1), (one.id, "SENT", 3)]
    assert await rig.letters() == []
    assert await rig.next_due() is None


async def test_outcomes_of_one_notification_that_are_written_together_are_one_change(rig: Rig) -> None:
    await register(rig, EMAIL, "a@x.org", "b@x.org")
    [one] = await rig.enqueue(draft(), channel=EMAIL)
    legs = await claim(rig)
    outcomes = await rig.queue.complete([Completion(legs["a@x.org"], again(5)), Completion(legs["b@x.org"], SENT)])
    assert [(found.status, found.version, found.attempts) for found in outcomes if found] == [(Status.SENT, 2, 2)] * 2
    assert await rig.told() == [(one.id, "PENDING", 1), (one.id, "SENT", 2)]


async def test_it_fails_when_the_last_address_has_failed(rig: Rig) -> None:
    await register(rig, EMAIL, "a@x.org", "b@x.org")
    [one] = await rig.enqueue(draft(), channel=EMAIL)
    legs = await claim(rig)
    assert (await complete(rig, GONE, legs["a@x.org"])).status is Status.PENDING
    failed = await complete(rig, GONE, legs["b@x.org"])
    assert (failed.status, failed.address, failed.version) == (Status.FAILED, "", 3)
    assert failed == await rig.notifications.get("test", one.id)
    assert await rig.letters() == [(f"notification/test/{one.id}", ["GONE", "GONE"])]


async def test_what_goes_to_several_addresses_at_one_time_counts_once_for_the_limit(rig: Rig) -> None:
    await register(rig, EMAIL, "a@x.org", "b@x.org")
    await rig.enqueue(*(draft(f"n{n}") for n in range(4)), channel=EMAIL)
    going = await rig.claim()
    assert len(going) == 6, "three notifications, as many as the limit allows"
    await rig.complete(SENT, *going)
    assert await rig.claim() == []
    rig.advance(60)
    assert len(await rig.claim()) == 2, "both addresses have the same turn"


async def test_the_next_channel_is_tried_when_one_has_failed_for_good(rig: Rig) -> None:
    plan = (Step(FCM), Step(WEBHOOK), Step(EMAIL))
    await register(rig, FCM, "t1", "t2")
    await register(rig, EMAIL, "a@x.org")
    [one] = await rig.enqueue(draft(urgent=True), plan=plan)
    legs = await claim(rig)
    assert set(legs) == {"t1", "t2"}
    await complete(rig, GONE, legs["t1"])
    moved = await complete(rig, GONE, legs["t2"])
    assert (moved.status, moved.channel) == (Status.PENDING, EMAIL)
    [mail] = (await claim(rig)).values()
    assert (mail.channel, mail.attempts, mail.priority, mail.id) == (EMAIL, 0, legs["t1"].priority, one.id)
    sent = await complete(rig, SENT, mail)
    assert (sent.status, sent.channel, sent.address) == (Status.SENT, EMAIL, "a@x.org")
    assert [(attempt.channel, attempt.code) for attempt in sent.history] == [(FCM, "GONE"), (FCM, "GONE"), (EMAIL, "")]
    assert await rig.letters() == []
    assert [status for _, status, _ in await rig.told()] == ["PENDING", "SENT"]


async def test_when_the_last_step_has_failed_it_is_given_up_once(rig: Rig) -> None:
    await register(rig, FCM, "t1")
    await register(rig, EMAIL, "a@x.org")
    [one] = await rig.enqueue(draft(), plan=(Step(FCM), Step(EMAIL)))
    for _ in range(2):
        [leg] = await rig.claim()
        await complete(rig, GONE, leg)
    found = await rig.notifications.get("test", one.id)
    assert (found.status, found.channel, found.attempts) == (Status.FAILED, EMAIL, 2)
    assert await rig.letters() == [(f"notification/test/{one.id}", ["GONE", "GONE"])]


async def test_a_channel_that_was_asked_for_is_the_only_one(rig: Rig) -> None:
    await register(rig, FCM, "t1")
    await register(rig, EMAIL, "a@x.org")
    await rig.enqueue(draft(), channel=FCM)
    [leg] = await rig.claim()
    assert (await complete(rig, GONE, leg)).status is Status.FAILED


async def test_a_channel_that_takes_too_long_is_joined_by_the_next_one(rig: Rig) -> None:
    await register(rig, FCM, "t1")
    await register(rig, EMAIL, "a@x.org")
    [one] = await rig.enqueue(draft(), plan=(Step(FCM, MINUTE), Step(EMAIL)))
    [push] = await rig.claim()
    waiting = await complete(rig, again(600), push)
    assert waiting.next_attempt_at == rig.clock.time + timedelta(seconds=600)
    rig.advance(59.999)
    assert await rig.claim() == []
    rig.advance(0.001)
    [mail] = await rig.claim()
    sent = await complete(rig, SENT, mail)
    assert (sent.status, sent.channel) == (Status.SENT, EMAIL)
    rig.advance(540)
    [push] = await rig.claim()
    assert (await complete(rig, SENT, push)).channel is EMAIL
    assert (await rig.notifications.get("test", one.id)).attempts == 3


async def test_what_stands_by_is_called_off_when_somebody_was_reached(rig: Rig) -> None:
    await register(rig, FCM, "t1")
    await register(rig, EMAIL, "a@x.org")
    await rig.enqueue(draft(), plan=(Step(FCM, MINUTE), Step(EMAIL)))
    [push] = await rig.claim()
    await complete(rig, SENT, push)
    rig.advance(61)
    assert await rig.claim() == []
    assert await rig.next_due() is None


async def test_what_stands_by_goes_at_once_when_all_before_it_have_failed(rig: Rig) -> None:
    await register(rig, FCM, "t1", "t2")
    await register(rig, EMAIL, "a@x.org")
    await rig.enqueue(draft(), plan=(Step(FCM, MINUTE), Step(EMAIL)))
    legs = await claim(rig)
    await complete(rig, GONE, legs["t1"])
    assert await rig.claim() == []
    pending = await complete(rig, GONE, legs["t2"])
    assert pending.status is Status.PENDING
    [mail] = await rig.claim()
    assert mail.channel is EMAIL
    assert (await complete(rig, GONE, mail)).status is Status.FAILED


async def test_an_address_that_went_before_its_attempt_makes_room_for_another(rig: Rig) -> None:
    [old] = await register(rig, FCM, "old")
    await register(rig, EMAIL, "a@x.org")
    await rig.enqueue(draft(), plan=(Step(FCM), Step(EMAIL)))
    await rig.endpoints.delete("test", "ada", old.id)
    await register(rig, FCM, "new")
    [leg] = await rig.claim()
    assert leg.endpoint is None
    await complete(rig, NOBODY_THERE, leg)
    legs = await claim(rig)
    assert set(legs) == {"new"}
    await complete(rig, GONE, legs["new"])
    assert set(await claim(rig)) == {"a@x.org"}


async def test_a_token_that_moved_to_another_user_is_not_sent_to(rig: Rig) -> None:
    await register(rig, FCM, "t1")
    await rig.enqueue(draft(), channel=FCM)
    await rig.endpoints.register("test", "bob", FCM, "t1", "")
    [leg] = await rig.claim()
    assert leg.endpoint is None


async def test_who_has_no_address_is_not_told_and_that_is_a_failure(rig: Rig) -> None:
    [one] = await rig.enqueue(draft(), plan=(Step(FCM), Step(EMAIL)))
    [leg] = await rig.claim()
    assert (leg.channel, leg.endpoint) == (FCM, None)
    failed = await complete(rig, NOBODY_THERE, leg)
    assert (failed.status, failed.error.split(":")[0]) == (Status.FAILED, "NO_ENDPOINT")
    assert failed.history == (Attempt(rig.clock.time, "NO_ENDPOINT", NO_ENDPOINT.message, FCM, ""),)
    # By hand, once there is an address.
    await register(rig, EMAIL, "a@x.org")
    assert await rig.notifications.retry_abandoned("test", [one.id]) == 1
    [mail] = await rig.claim()
    assert (mail.channel, mail.reference) == (EMAIL, one.id)
    assert (await complete(rig, SENT, mail)).status is Status.SENT


async def test_nothing_else_is_tried_where_a_person_is_to_decide(rig: Rig) -> None:
    await register(rig, FCM, "t1")
    await register(rig, EMAIL, "a@x.org")
    await rig.enqueue(draft(), plan=(Step(FCM), Step(EMAIL)))
    [leg] = await rig.claim()
    lost = Failure(kind=FailureKind.TRANSIENT, code="TIMEOUT", message="", unknown=True)
    failed = await complete(rig, Decision(sent=False, reached=True, failure=lost, held=True), leg)
    assert failed.status is Status.FAILED
    assert await rig.claim() == []
