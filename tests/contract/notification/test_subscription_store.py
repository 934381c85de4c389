"""`SubscriptionStore`: the same suite on the one in memory and the one on PostgreSQL."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from services.chassis.errors import Unavailable
from services.chassis.ids import new_id
from services.notification.application.claimed_delivery import Claimed, EventMessage
from services.notification.application.ports.webhooks import PublicEvent
from services.notification.domain.delivery import Decision
from services.notification.domain.errors import SubscriptionExists, SubscriptionNotFound, VersionConflict
from services.notification.domain.notification import Status
from services.notification.domain.webhook import CLOCK_TOLERANCE, Subscription
from tests.contract.notification.conftest import BUSY, GIVEN_UP, SENT, Rig, again, draft, nothing

PROBED, CLEARED = "tocsin.events.v1.VideoProbed", "tocsin.events.v1.AlarmCleared"
BODY = '{"specversion":"1.0","data":{"uid":"cam-1"}}'


def event(rig: Rig, id_: str = "e1", type_: str = PROBED, *, age: timedelta = timedelta(0)) -> PublicEvent:
    return PublicEvent(id=id_, type=type_, body=BODY, published_at=rig.clock.time - age)


def ids(claimed: list[Claimed]) -> list[tuple[str, str]]:
    return sorted((one.reference, one.message.event_id) for one in claimed if isinstance(one.message, EventMessage))


async def test_what_was_added_is_read_without_its_secret(rig: Rig) -> None:
    made = await rig.subscribe(PROBED, CLEARED)
    assert made.secret == "whsec_s"
    found = await rig.subscriptions.get(made.id)
    assert found == replace(made, secret="")
    assert (found.created_at, found.enabled, found.event_types) == (rig.clock.time, True, (PROBED, CLEARED))
    for id_ in (new_id(), "nothing", made.id.upper()):
        with pytest.raises(SubscriptionNotFound):
            await rig.subscriptions.get(id_)


async def test_pages_by_id(rig: Rig) -> None:
    made = [await rig.subscribe(PROBED) for _ in range(4)]
    first = await rig.subscriptions.page(limit=3, after="")
    assert [one.id for one in first] == [one.id for one in made[:3]]
    assert {one.secret for one in first} == {""}
    assert [one.id for one in await rig.subscriptions.page(limit=3, after=first[-1].id)] == [made[3].id]


async def test_nothing_is_kept_that_could_not_be_prepared(rig: Rig) -> None:
    async def fail() -> None:
        raise Unavailable("no broker")

    refused = Subscription(id=new_id(), url="u", event_types=(PROBED,), created_at=rig.clock.time)
    with pytest.raises(Unavailable):
        await rig.subscriptions.add(refused, fail)
    assert await rig.subscriptions.page(limit=9, after="") == []
    await rig.subscriptions.add(refused, nothing)


async def test_types_are_wanted_while_a_subscription_is_enabled(rig: Rig) -> None:
    assert await rig.subscriptions.wanted_types() == frozenset()
    made = await rig.subscribe(PROBED, CLEARED)
    other = await rig.subscribe(PROBED)
    assert await rig.subscriptions.wanted_types() == {PROBED, CLEARED}
    await rig.subscriptions.fan_out([event(rig)])
    [claimed] = [one for one in await rig.claim() if one.reference == made.id]
    await rig.complete(Decision(sent=False, failure=BUSY, gone=True), claimed)
    assert await rig.subscriptions.wanted_types() == {PROBED}
    acts: list[str] = []
    for type_, unwanted in ((PROBED, False), (CLEARED, True)):

        async def act(type_: str = type_) -> None:
            acts.append(type_)

        assert await rig.subscriptions.when_unwanted(type_, act) is unwanted
    assert acts == [CLEARED]
    await rig.subscriptions.delete(other.id)
    assert await rig.subscriptions.wanted_types() == frozenset()


async def test_nobody_begins_to_want_a_type_while_it_is_given_up(rig: Rig) -> None:
    steps: list[str] = []
    preparing, may_go = asyncio.Event(), asyncio.Event()

    async def prepare() -> None:
        preparing.set()
        await may_go.wait()
        steps.append("prepared")

    async def act() -> None:
        steps.append("given up")

    wanted = Subscription(id=new_id(), url="u", event_types=(PROBED,), created_at=rig.clock.time)
    adding = asyncio.create_task(rig.subscriptions.add(wanted, prepare))
    await preparing.wait()
    giving_up = asyncio.create_task(rig.subscriptions.when_unwanted(PROBED, act))
    _, pending = await asyncio.wait([giving_up], timeout=0.05)
    assert pending
    may_go.set()
    assert (await adding).id == wanted.id
    assert await giving_up is False
    assert steps == ["prepared"]


async def test_an_event_is_due_once_for_each_that_wants_it(rig: Rig) -> None:
    one, two = await rig.subscribe(PROBED), await rig.subscribe(PROBED, CLEARED)
    first, other = event(rig), event(rig, "e2", CLEARED)
    # The same event may stand in one call twice, when it was redelivered.
    assert await rig.subscriptions.fan_out([first, first, other]) == [2, 2, 1]
    assert await rig.subscriptions.fan_out([first]) == [2]
    claimed = await rig.claim()
    assert ids(claimed) == [(one.id, "e1"), (two.id, "e1"), (two.id, "e2")]
    await rig.complete(SENT, *(item for item in claimed if item.reference == one.id))
    await rig.complete(GIVEN_UP, *(item for item in claimed if item.reference == two.id))
    assert await rig.subscriptions.fan_out([first, other]) == [2, 1]
    assert await rig.claim() == []
    assert await rig.subscriptions.fan_out([]) == []


async def test_events_from_before_a_subscription_are_not_for_it(rig: Rig) -> None:
    old = await rig.subscribe(PROBED)
    rig.clock.time += CLOCK_TOLERANCE * 2
    young = await rig.subscribe(PROBED)
    just = CLOCK_TOLERANCE - timedelta(milliseconds=1)
    events = [event(rig, "e1", age=CLOCK_TOLERANCE), event(rig, "e2", age=just)]
    assert await rig.subscriptions.fan_out(events) == [1, 2]
    assert ids(await rig.claim()) == [(old.id, "e1"), (old.id, "e2"), (young.id, "e2")]


async def test_a_deleted_subscription_takes_its_work_with_it(rig: Rig) -> None:
    made, other = await rig.subscribe(PROBED), await rig.subscribe(PROBED)
    await rig.subscriptions.fan_out([event(rig), event(rig, "e2")])
    [claimed] = [one for one in await rig.claim(4) if (one.reference, ids([one])[0][1]) == (made.id, "e1")]
    for id_ in (new_id(), "nothing", made.id.upper()):
        with pytest.raises(SubscriptionNotFound):
            await rig.subscriptions.delete(id_)
    await rig.subscriptions.delete(made.id)
    with pytest.raises(SubscriptionNotFound):
        await rig.subscriptions.delete(made.id)
    assert await rig.complete(GIVEN_UP, claimed) == [None]
    assert await rig.letters() == []
    rig.advance(60)
    assert {one.reference for one in await rig.claim()} == {other.id}
    assert await rig.subscriptions.fan_out([event(rig, "e3")]) == [1]


async def test_it_is_known_who_was_told_of_an_event(rig: Rig) -> None:
    one, two = await rig.subscribe(PROBED), await rig.subscribe(PROBED, CLEARED)
    await rig.subscriptions.fan_out([event(rig), event(rig, "e2", CLEARED)])
    claimed = await rig.claim()

    def of(subscription: Subscription, id_: str) -> Claimed:
        (found,) = (c for c in claimed if ids([c]) == [(subscription.id, id_)])
        return found

    made = rig.clock.time
    rig.advance(1)
    await rig.complete(SENT, of(one, "e1"))
    await rig.complete(again(5), of(two, "e1"))
    rig.advance(1)
    await rig.complete(GIVEN_UP, of(two, "e2"))
    found = await rig.subscriptions.deliveries(["e1", "e2", "unknown"], 9)
    assert [(each.event, each.subscription, each.status, each.attempts, each.at) for each in found] == [
        ("e1", two.id, Status.PENDING, 1, made),
        ("e1", one.id, Status.SENT, 1, made + timedelta(seconds=1)),
        ("e2", two.id, Status.FAILED, 1, made + timedelta(seconds=2)),
    ]
    assert [bool(each.message) for each in found] == [True, False, False]
    assert {each.url for each in found} == {one.url, two.url}
    assert await rig.subscriptions.deliveries(["e1", "e2"], 1) == found[:1]
    assert await rig.subscriptions.deliveries([], 9) == []
    await rig.subscriptions.delete(two.id)
    assert await rig.subscriptions.deliveries(["e1", "e2"], 9) == found[1:2]


async def test_only_what_was_given_up_is_sent_again(rig: Rig) -> None:
    made, other = await rig.subscribe(PROBED), await rig.subscribe(PROBED)
    await rig.subscriptions.fan_out([event(rig)])
    claimed = await rig.claim()
    await rig.complete(again(0), *claimed)
    claimed = await rig.claim()
    assert await rig.subscriptions.resend(event(rig), made.id)
    assert await rig.claim() == []
    await rig.complete(GIVEN_UP, *claimed)
    anew = replace(event(rig), body=BODY.replace("cam-1", "cam-2"))
    assert await rig.subscriptions.resend(anew, made.id)
    [claimed_anew] = await rig.claim()
    assert claimed_anew.id in {one.id for one in claimed}
    assert (claimed_anew.reference, claimed_anew.attempts, claimed_anew.claims) == (made.id, 0, 1)
    assert claimed_anew.history == ()
    assert isinstance(claimed_anew.message, EventMessage)
    assert "cam-2" in claimed_anew.message.body
    await rig.complete(SENT, claimed_anew)
    assert await rig.subscriptions.resend(event(rig), made.id)
    assert await rig.claim() == []
    # An event so old that its row is gone is taken up as well.
    rig.advance(3600)
    assert await rig.subscriptions.resend(event(rig, "old", age=timedelta(days=9)), other.id)
    assert ids(await rig.claim()) == [(other.id, "old")]


async def test_nobody_gets_again_what_it_does_not_want(rig: Rig) -> None:
    made = await rig.subscribe(PROBED)
    assert not await rig.subscriptions.resend(event(rig, type_=CLEARED), made.id)
    for id_ in (new_id(), "nothing"):
        assert not await rig.subscriptions.resend(event(rig), id_)
    await rig.subscriptions.fan_out([event(rig)])
    [claimed] = await rig.claim()
    await rig.complete(Decision(sent=False, failure=BUSY, gone=True), claimed)
    assert not await rig.subscriptions.resend(event(rig), made.id)
    assert await rig.subscriptions.fan_out([event(rig, "e2")]) == [0]
    await rig.enqueue(draft())
    assert ids(await rig.claim()) == []


async def test_a_disabled_subscription_is_enabled_again(rig: Rig) -> None:
    made = await rig.subscribe(PROBED, CLEARED)
    await rig.subscriptions.fan_out([event(rig)])
    [claimed] = await rig.claim()
    await rig.complete(Decision(sent=False, failure=BUSY, gone=True), claimed)
    assert await rig.subscriptions.fan_out([event(rig, "missed")]) == [0]
    prepared: list[list[str]] = []

    async def prepare(types: Sequence[str]) -> None:
        prepared.append(list(types))

    enabled = await rig.subscriptions.enable(made.id, prepare)
    assert (enabled.enabled, enabled.disabled_reason, enabled.secret) == (True, "", "")
    assert enabled == await rig.subscriptions.get(made.id)
    assert prepared == [[PROBED, CLEARED]]
    assert await rig.subscriptions.fan_out([event(rig, "e2")]) == [1]
    [claimed] = await rig.claim()
    assert claimed.blocked is None
    # Failures count from now on.
    await rig.complete(again(1), claimed)
    assert (await rig.subscriptions.get(made.id)).enabled
    with pytest.raises(SubscriptionNotFound):
        await rig.subscriptions.enable(new_id(), prepare)


async def test_a_rotated_secret_signs_beside_the_new_one_for_the_overlap(rig: Rig) -> None:
    made = await rig.subscribe(PROBED)
    rotated = await rig.subscriptions.rotate(made.id, "whsec_t", timedelta(hours=1))
    assert (rotated.secret, rotated.former_secret) == ("whsec_t", "")
    assert rotated.former_secret_until == rig.clock.time + timedelta(hours=1)
    assert replace(rotated, secret="") == await rig.subscriptions.get(made.id)
    for id_, former in (("e1", "whsec_s"), ("e2", "")):
        await rig.subscriptions.fan_out([event(rig, id_)])
        [claimed] = await rig.claim()
        point = claimed.endpoint
        assert point is not None
        assert (point.secret, point.former_secret) == ("whsec_t", former)
        await rig.complete(SENT, claimed)
        rig.advance(3600)
    with pytest.raises(SubscriptionNotFound):
        await rig.subscriptions.rotate(new_id(), "whsec_u", timedelta(0))


async def test_a_change_of_an_old_version_is_refused(rig: Rig) -> None:
    made = await rig.subscribe(PROBED)
    assert made.version == 1

    async def prepare(_: Sequence[str]) -> None:
        """Nothing."""

    rotated = await rig.subscriptions.rotate(made.id, "whsec_t", timedelta(0), expected=1)
    assert rotated.version == (await rig.subscriptions.get(made.id)).version == 2
    for change in (
        rig.subscriptions.rotate(made.id, "whsec_u", timedelta(0), expected=1),
        rig.subscriptions.enable(made.id, prepare, expected=1),
        rig.subscriptions.delete(made.id, expected=1),
    ):
        with pytest.raises(VersionConflict) as refused:
            await change
        assert refused.value.metadata == {"id": made.id, "expected": "1", "current": "2"}
    # Enabled it is already; that it is disabled is a change.
    assert (await rig.subscriptions.enable(made.id, prepare, expected=2)).version == 2
    await rig.subscriptions.fan_out([event(rig)])
    await rig.complete(replace(GIVEN_UP, gone=True), *(await rig.claim()))
    off = await rig.subscriptions.get(made.id)
    assert (off.enabled, off.version) == (False, 3)
    assert (await rig.subscriptions.enable(made.id, prepare, expected=3)).version == 4
    await rig.subscriptions.delete(made.id, expected=4)


async def test_a_url_has_each_event_once(rig: Rig) -> None:
    first = await rig.subscribe(PROBED)
    both = replace(first, id=new_id(), event_types=(CLEARED, PROBED))
    with pytest.raises(SubscriptionExists) as refused:
        await rig.subscriptions.add(both, nothing)
    assert refused.value.metadata == {"id": first.id, "url": first.url}
    other = await rig.subscriptions.add(replace(first, id=new_id(), event_types=(CLEARED,)), nothing)
    await rig.subscriptions.add(replace(both, url=f"{first.url}/other"), nothing)
    await rig.subscriptions.delete(first.id)
    with pytest.raises(SubscriptionExists) as refused:
        await rig.subscriptions.add(both, nothing)
    assert refused.value.metadata["id"] == other.id
    again_ = [replace(first, id=new_id()) for _ in range(3)]
    outcomes = await asyncio.gather(*(rig.subscriptions.add(one, nothing) for one in again_), return_exceptions=True)
    assert sum(isinstance(one, SubscriptionExists) for one in outcomes) == 2
