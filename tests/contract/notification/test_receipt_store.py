"""What providers say of notifications: the same suite on the stores in memory and on PostgreSQL."""

import asyncio
import itertools
import random
from datetime import timedelta

import pytest

from services.chassis.errors import InvalidArgument
from services.notification.domain.channel_plan import Step
from services.notification.domain.errors import IdempotencyConflict, NotificationNotFound, ReceiptEarly, VersionConflict
from services.notification.domain.notification import ChannelName, Notification, Status
from services.notification.domain.receipt import Effect, Receipt, ReceiptKind
from tests.contract.notification.conftest import GIVEN_UP, SENT, Rig, again, draft

DELIVERED, BOUNCED, FAILED, OPENED = ReceiptKind
EMAIL, FCM = ChannelName.EMAIL, ChannelName.FCM
UNKNOWN = "01a20270-b1bf-701a-bb2a-d9784e88e52a"


def receipt(rig: Rig, of: Notification | str, kind: ReceiptKind, after: float = 1, **more: object) -> Receipt:
    """One about the console, unless the channel is given."""
    id_ = of if isinstance(of, str) else of.id
    given: dict[str, object] = {"id": f"{id_}-{kind}-{after}", "channel": ChannelName.CONSOLE, "tenant": "test", **more}
    at = rig.clock.time + timedelta(seconds=after)
    return Receipt(notification=id_, kind=kind, occurred_at=at, **given)  # pyright: ignore[reportArgumentType]


async def sent(rig: Rig, user: str = "ada") -> Notification:
    [made] = await rig.enqueue(draft(user=user))
    await rig.complete(SENT, *await rig.claim())
    return made


async def test_a_receipt_has_its_effect_once_and_counts_as_a_version(rig: Rig) -> None:
    made = await sent(rig)
    one = receipt(rig, made, DELIVERED)
    effect, after = await rig.receipts.apply(one)
    assert (effect, after.status, after.delivered_at, after.version) == (
        Effect.APPLIED,
        Status.SENT,
        one.occurred_at,
        3,
    )
    assert await rig.receipts.apply(one) == (Effect.REPEATED, after)
    assert await rig.notifications.get("test", made.id) == after
    with pytest.raises(IdempotencyConflict):
        await rig.receipts.apply(receipt(rig, made, BOUNCED, id=one.id))
    assert (await rig.told())[1:] == [(made.id, "SENT", 2)]


async def test_what_bounced_is_failed_and_what_arrives_later_is_sent_again(rig: Rig) -> None:
    made = await sent(rig)
    effect, after = await rig.receipts.apply(receipt(rig, made, BOUNCED, 2, detail="no such user"))
    assert (effect, after.status, after.sent_at, after.version) == (Effect.APPLIED, Status.FAILED, None, 3)
    assert after.error == "RECEIPT_BOUNCED: no such user"
    assert await rig.letters() == [(f"notification/test/{made.id}", ["RECEIPT_BOUNCED"])]
    effect, same = await rig.receipts.apply(receipt(rig, made, DELIVERED, 1))
    assert (effect, same.status, same.version) == (Effect.SUPERSEDED, Status.FAILED, 3)
    effect, back = await rig.receipts.apply(receipt(rig, made, DELIVERED, 3))
    assert (effect, back.status, back.version) == (Effect.APPLIED, Status.SENT, 4)
    assert back.sent_at == made.created_at
    assert (await rig.told())[1:] == [(made.id, "SENT", 2), (made.id, "FAILED", 3), (made.id, "SENT", 4)]
    assert await rig.notifications.get("test", made.id) == back


async def test_another_version_than_was_seen_is_refused_with_the_current_one_and_leaves_nothing(rig: Rig) -> None:
    made = await sent(rig)
    await rig.notifications.mark_read("test", made.id)
    with pytest.raises(VersionConflict) as refused:
        await rig.receipts.apply(receipt(rig, made, BOUNCED, expected=2))
    assert refused.value.metadata == {"id": made.id, "expected": "2", "current": "3"}
    effect, after = await rig.receipts.apply(receipt(rig, made, BOUNCED, expected=3))
    assert (effect, after.status, after.version) == (Effect.APPLIED, Status.FAILED, 4)
    # Who reports it again, with what was seen then, has the first answer.
    assert (await rig.receipts.apply(receipt(rig, made, BOUNCED, expected=3)))[0] is Effect.REPEATED


async def test_of_many_with_one_version_seen_one_is_applied(rig: Rig) -> None:
    made = await sent(rig)
    many = [receipt(rig, made, DELIVERED, place, expected=2, id=f"r{place}") for place in range(1, 9)]
    outcomes = await asyncio.gather(*(rig.receipts.apply(one) for one in many), return_exceptions=True)
    assert sum(not isinstance(one, BaseException) for one in outcomes) == 1
    assert all(isinstance(one, VersionConflict) or not isinstance(one, BaseException) for one in outcomes)


async def test_the_next_step_of_the_plan_follows_a_bounce(rig: Rig) -> None:
    await rig.endpoints.register("test", "ada", FCM, "token", "")
    await rig.endpoints.register("test", "ada", EMAIL, "ada@example.com", "")
    [made] = await rig.enqueue(draft(), plan=(Step(FCM, timedelta(seconds=30)), Step(EMAIL)))
    await rig.complete(SENT, *await rig.claim())
    effect, after = await rig.receipts.apply(receipt(rig, made, BOUNCED, channel=FCM))
    assert (effect, after.status, after.channel, after.address) == (Effect.APPLIED, Status.PENDING, EMAIL, "")
    claimed = await rig.claim()
    assert [one.channel for one in claimed] == [EMAIL]
    await rig.complete(SENT, *claimed)
    found = await rig.notifications.get("test", made.id)
    assert (found.status, found.channel, found.address) == (Status.SENT, EMAIL, "ada@example.com")
    # What is said of the other channel now changes nothing.
    assert (await rig.receipts.apply(receipt(rig, made, BOUNCED, 9, channel=FCM)))[0] is Effect.RECORDED
    assert (await rig.receipts.apply(receipt(rig, made, FAILED, 9, channel=EMAIL)))[1].status is Status.FAILED
    assert [status for _, status, _ in await rig.told()] == ["PENDING", "SENT", "PENDING", "SENT", "FAILED"]


async def test_about_another_address_is_written_down_and_changes_nothing(rig: Rig) -> None:
    await rig.endpoints.register("test", "ada", EMAIL, "ada@example.com", "")
    [made] = await rig.enqueue(draft(), channel=EMAIL)
    await rig.complete(SENT, *await rig.claim())
    other = receipt(rig, made, BOUNCED, channel=EMAIL, address="old@example.com")
    assert (await rig.receipts.apply(other))[0] is Effect.RECORDED
    own = receipt(rig, made, BOUNCED, 2, channel=EMAIL, address="ada@example.com")
    assert (await rig.receipts.apply(own))[1].status is Status.FAILED


async def test_what_is_being_attempted_cannot_have_bounced_yet(rig: Rig) -> None:
    [made] = await rig.enqueue(draft())
    with pytest.raises(ReceiptEarly):
        await rig.receipts.apply(receipt(rig, made, BOUNCED))
    assert (await rig.receipts.apply(receipt(rig, made, BOUNCED, 2, channel=EMAIL)))[0] is Effect.RECORDED
    await rig.complete(SENT, *await rig.claim())
    assert (await rig.receipts.apply(receipt(rig, made, BOUNCED)))[1].status is Status.FAILED


async def test_what_arrived_while_it_was_to_be_tried_again_is_not_tried_again(rig: Rig) -> None:
    [made] = await rig.enqueue(draft())
    await rig.complete(again(), *await rig.claim())
    effect, after = await rig.receipts.apply(receipt(rig, made, DELIVERED))
    assert (effect, after.status, after.version) == (Effect.APPLIED, Status.SENT, 3)
    rig.advance(60)
    assert await rig.claim() == []


async def test_what_arrived_although_it_was_given_up_is_sent(rig: Rig) -> None:
    [made] = await rig.enqueue(draft())
    await rig.complete(GIVEN_UP, *await rig.claim())
    _, after = await rig.receipts.apply(receipt(rig, made, DELIVERED, 5))
    assert (after.status, after.sent_at) == (Status.SENT, rig.clock.time + timedelta(seconds=5))
    assert await rig.notifications.retry_abandoned("test", [made.id]) == 0


async def test_what_was_opened_has_arrived_whatever_is_said_of_it(rig: Rig) -> None:
    made = await sent(rig)
    await rig.receipts.apply(receipt(rig, made, BOUNCED, 2))
    _, after = await rig.receipts.apply(receipt(rig, made, OPENED, 1))
    at = rig.clock.time + timedelta(seconds=1)
    assert (after.status, after.opened_at, after.read_at) == (Status.SENT, at, at)
    assert (await rig.receipts.apply(receipt(rig, made, FAILED, 9)))[0] is Effect.RECORDED


async def test_an_old_truth_does_not_count_for_a_newer_sending(rig: Rig) -> None:
    made = await sent(rig)
    await rig.receipts.apply(receipt(rig, made, BOUNCED))
    rig.advance(3600)
    assert await rig.notifications.retry_abandoned("test", [made.id]) == 1
    await rig.complete(SENT, *await rig.claim())
    effect, after = await rig.receipts.apply(receipt(rig, made, FAILED, -3000))
    assert (effect, after.status) == (Effect.SUPERSEDED, Status.SENT)


async def test_whose_notification_it_is_not_and_what_has_not_happened(rig: Rig) -> None:
    made = await sent(rig)
    for one in (receipt(rig, UNKNOWN, DELIVERED), receipt(rig, made, DELIVERED, tenant="wellness")):
        with pytest.raises(NotificationNotFound):
            await rig.receipts.apply(one)
    with pytest.raises(NotificationNotFound):
        await rig.receipts.apply(receipt(rig, "no-id", DELIVERED))
    with pytest.raises(InvalidArgument, match="occurTime"):
        await rig.receipts.apply(receipt(rig, made, DELIVERED, 301))
    assert (await rig.notifications.get("test", made.id)).version == 2
    assert (await rig.receipts.apply(receipt(rig, made, DELIVERED, 299)))[0] is Effect.APPLIED


@pytest.mark.parametrize("seed", range(8))
async def test_the_order_in_which_receipts_come_decides_nothing(rig: Rig, seed: int) -> None:
    dice = random.Random(seed)
    said = [(dice.choice(list(ReceiptKind)), dice.randrange(1, 4)) for _ in range(3)]
    ends: set[tuple[Status, object, object, object]] = set()
    for number, order in enumerate(itertools.permutations(said)):
        made = await sent(rig, f"u{number}")
        for place, (kind, after) in enumerate(order):
            for _ in range(dice.randrange(1, 3)):
                await rig.receipts.apply(receipt(rig, made, kind, after, id=f"{number}-{place}"))
        found = await rig.notifications.get("test", made.id)
        ends.add((found.status, found.opened_at, found.read_at, found.sent_at))
    assert len(ends) == 1, said


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
async def test_what_another_address_has_is_not_failed_by_a_bounce(rig: Rig, order: tuple[int, ...]) -> None:
    await rig.endpoints.register("test", "ada", EMAIL, "ada@example.com", "")
    [made] = await rig.enqueue(draft(), channel=EMAIL)
    await rig.complete(SENT, *await rig.claim())
    said = [
        receipt(rig, made, BOUNCED, 1, channel=FCM, address="phone"),
        receipt(rig, made, DELIVERED, 2, channel=FCM, address="phone"),
        receipt(rig, made, BOUNCED, 3, channel=EMAIL),
    ]
    for place in order:
        await rig.receipts.apply(said[place])
    found = await rig.notifications.get("test", made.id)
    assert (found.status, found.channel, found.address) == (Status.SENT, FCM, "phone")
    assert found.delivered_at == rig.clock.time + timedelta(seconds=2)
    assert await rig.notifications.retry_abandoned("test", [made.id]) == 0


async def test_what_bounced_everywhere_is_failed(rig: Rig) -> None:
    await rig.endpoints.register("test", "ada", EMAIL, "ada@example.com", "")
    [made] = await rig.enqueue(draft(), channel=EMAIL)
    await rig.complete(SENT, *await rig.claim())
    for kind, after, channel in ((DELIVERED, 1, FCM), (BOUNCED, 2, FCM), (BOUNCED, 3, EMAIL)):
        await rig.receipts.apply(receipt(rig, made, kind, after, channel=channel))
    assert (await rig.notifications.get("test", made.id)).status is Status.FAILED
