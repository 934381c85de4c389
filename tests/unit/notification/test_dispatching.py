"""Sending, dispatching and reading on the stores in memory: no server, no waiting, a clock that the test moves."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest

from services.chassis.auth import principal
from services.chassis.errors import Aborted, Unavailable
from services.chassis.group_commit import GroupCommit
from services.notification.adapters.memory.deliveries import InMemoryDeliveries
from services.notification.adapters.memory.endpoints import InMemoryEndpoints
from services.notification.adapters.memory.notifications import InMemoryNotifications
from services.notification.adapters.memory.state import State
from services.notification.adapters.memory.subscriptions import InMemorySubscriptions
from services.notification.application.attempts import AttemptOptions, Attempts
from services.notification.application.claimed_delivery import Claimed, Claims, Completion, EventMessage
from services.notification.application.dispatcher import Dispatcher, DispatcherOptions
from services.notification.application.inbox import Inbox
from services.notification.application.lanes import Lanes
from services.notification.application.places import LanePlaces, Room, open_room
from services.notification.application.ports.notifications import NotificationFilter
from services.notification.application.ports.webhooks import PublicEvent
from services.notification.application.sending import Sender, SendNotification
from services.notification.application.tenants import Tenants
from services.notification.domain.channel_plan import Plans, Step
from services.notification.domain.delivery import (
    Endpoint,
    Failure,
    FailureKind,
    Outcome,
    Outgoing,
    Sent,
    UnknownOutcome,
)
from services.notification.domain.errors import DeliveryFailed, NoEndpoint, TenantForbidden, TenantUnknown
from services.notification.domain.lane import Lane
from services.notification.domain.links import LinkOrigins
from services.notification.domain.notification import ChannelName, Draft, Notification, Status, Type
from services.notification.domain.webhook import Subscription
from tests.support.eventually import eventually
from tests.support.notification import ManualClock

BUSY = Failure(kind=FailureKind.TRANSIENT, code="BUSY", message="later")
REFUSED = Failure(kind=FailureKind.PERMANENT, code="REFUSED", message="no")


@dataclass
class Script:
    """A channel that answers as it was told to, and then well."""

    outcomes: list[Outcome | Exception] = field(default_factory=list[Outcome | Exception])
    sent: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    hold: asyncio.Event | None = None
    slow: dict[str, asyncio.Event] = field(default_factory=dict[str, asyncio.Event])
    """By address: what its attempts wait for."""

    async def send(self, message: Outgoing | EventMessage, endpoint: Endpoint) -> Outcome:
        """See Channel."""
        assert isinstance(message, Outgoing)
        self.sent.append((message.title, endpoint.address))
        if self.hold is not None:
            await self.hold.wait()
        if endpoint.address in self.slow:
            await self.slow[endpoint.address].wait()
        outcome = self.outcomes.pop(0) if self.outcomes else Sent()
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


class Hanging:
    """A receiver that never answers."""

    def __init__(self) -> None:
        self.asked = 0

    async def send(self, message: Outgoing | EventMessage, endpoint: Endpoint) -> Outcome:
        """See Channel."""
        self.asked += 1
        await asyncio.Event().wait()
        raise AssertionError


class Queue(InMemoryDeliveries):
    """Tells what was handed back; claims may take their time."""

    slow = 0.0
    released = 0

    async def claim(self, room: Room) -> Claims:
        """See DeliveryQueue."""
        claims = await super().claim(room)
        await asyncio.sleep(self.slow)
        return claims

    async def release(self, claimed: Sequence[Claimed]) -> None:
        """See DeliveryQueue."""
        self.released += len(claimed)
        await super().release(claimed)


class NoMeter:
    """Measures nothing."""

    def observe(self, handler: str, seconds: float, *, error: str = "") -> None:
        """See Meter."""

    def repeated(self, handler: str) -> None:
        """See Meter."""


@dataclass
class World:
    """One replica."""

    clock: ManualClock
    state: State
    channel: Script
    events: Hanging
    endpoints: InMemoryEndpoints
    queue: Queue
    lanes: Lanes
    sender: Sender
    inbox: Inbox
    stop: asyncio.Event
    gate: asyncio.Event
    """Completions wait for it."""
    running: "asyncio.Task[None]"
    completing: int = 0
    lost: list[Exception] = field(default_factory=list[Exception])
    """What the store answers to the next completions instead of taking them."""

    async def send(self, title: str = "Fire", *, wait: bool = False, **more: str) -> Notification:
        """Sends a notification to Ada."""
        given = {"tenant": "test", "user": "ada", **more}
        draft = Draft(type=Type.ALERT, title=title, **given)  # pyright: ignore[reportArgumentType]
        return await self.sender.send(SendNotification(draft, wait=wait))

    async def becomes(self, id_: str, status: Status, attempts: int) -> Notification:
        """The notification once it stands so."""

        async def look() -> Notification:
            found = await self.inbox.get("test", id_)
            assert (found.status, found.attempts) == (status, attempts)
            return found

        return await eventually(look, interval=0.001)

    async def left(self) -> list[Claimed]:
        """What can be claimed by others now."""
        return [one for lane in Lane for one in (await self.queue.claim(open_room(lane, 9))).claimed]

    def taken(self) -> int:
        """How many deliveries are claimed."""
        return sum(bool(delivery.lease) for delivery in self.state.deliveries.values())

    def advance(self, seconds: float) -> None:
        """Moves the clock and wakes the dispatcher."""
        self.clock.time += timedelta(seconds=seconds)
        self.lanes.poke()


@asynccontextmanager
async def world(
    *,
    stop_budget: timedelta = timedelta(seconds=5),
    event_stop_budget: timedelta = timedelta(seconds=5),
    concurrency: int = 64,
    patience: timedelta = timedelta(seconds=5),
    unknown: Mapping[Lane, UnknownOutcome] | None = None,
) -> AsyncGenerator[World]:
    clock = ManualClock()
    state = State(now=lambda: clock.time)
    store, queue, endpoints, channel = (
        InMemoryNotifications(state),
        Queue(state),
        InMemoryEndpoints(state),
        Script(),
    )
    principal.enter(principal.Principal("tests", frozenset({"*"}), frozenset({"test", "unknown"})))
    tenants = Tenants(("test", "wellness"))
    stop = asyncio.Event()
    made: list[World] = []

    async def complete(completions: Sequence[Completion]) -> Sequence[Notification | None]:
        made[0].completing += len(completions)
        await made[0].gate.wait()
        if made[0].lost:
            raise made[0].lost.pop()
        return await queue.complete(completions)

    async with GroupCommit("completions", complete, keep_abandoned=True) as completing:
        events = Hanging()
        channels = {ChannelName.CONSOLE: channel, ChannelName.EMAIL: channel, ChannelName.WEBHOOK: events}
        attempts = Attempts(channels, AttemptOptions(unknown=unknown or {}), NoMeter(), randomness=lambda: 0.0)
        pace = DispatcherOptions(stop_budget=stop_budget, patience=patience)
        hurried = replace(pace, stop_budget=event_stop_budget)
        lanes = Lanes(
            Dispatcher(
                queue, attempts, completing, LanePlaces(lane, concurrency), hurried if lane is Lane.EVENT else pace
            )
            for lane in Lane
        )
        plans = Plans(channels, (Step(ChannelName.EMAIL), Step(ChannelName.CONSOLE)), {})
        sender = Sender(tenants, store, endpoints, lanes, plans, LinkOrigins())
        inbox = Inbox(tenants, store)
        running = asyncio.create_task(lanes.run(stop))
        gate = asyncio.Event()
        gate.set()
        made.append(World(clock, state, channel, events, endpoints, queue, lanes, sender, inbox, stop, gate, running))
        try:
            yield made[0]
        finally:
            stop.set()
            await running


async def test_a_waiting_call_has_the_outcome() -> None:
    async with world() as it:
        sent = await it.send(wait=True)
        assert (sent.status, sent.attempts, it.channel.sent) == (Status.SENT, 1, [("Fire", "console")])
        it.channel.outcomes = [REFUSED, BUSY]
        with pytest.raises(DeliveryFailed):
            await it.send(wait=True)
        waiting = await it.send(wait=True)
        assert (waiting.status, waiting.error) == (Status.PENDING, "BUSY: later")


async def test_a_waiting_call_that_outlived_its_lease_says_so() -> None:
    async with world() as it:
        it.channel.hold = asyncio.Event()
        call = asyncio.create_task(it.send(wait=True))
        await eventually(lambda: len(it.channel.sent) == 1, interval=0.001)
        it.advance(31)
        await eventually(lambda: len(it.channel.sent) == 2, interval=0.001)
        it.channel.hold.set()
        with pytest.raises(Unavailable):
            await call
        assert [one.status for one in it.state.told] == [Status.PENDING, Status.SENT]


async def test_failures_are_retried_on_schedule_then_given_up() -> None:
    async with world() as it:
        it.channel.outcomes = [BUSY, OSError("a defect"), BUSY, BUSY]
        one = await it.send()
        for attempts, wait in ((1, 2), (2, 4), (3, 8)):
            found = await it.becomes(one.id, Status.PENDING, attempts)
            assert found.next_attempt_at == it.clock.time + timedelta(seconds=wait)
            it.advance(wait)
        await it.becomes(one.id, Status.FAILED, 4)
        [letter] = it.state.letters
        assert [attempt.code for attempt in letter.history] == ["BUSY", "DEFECT", "BUSY", "BUSY"]


async def test_a_receiver_s_wish_for_more_time_wins() -> None:
    async with world() as it:
        it.channel.outcomes = [Failure(kind=FailureKind.THROTTLED, code="X", message="", asked=timedelta(seconds=30))]
        one = await it.send()
        found = await it.becomes(one.id, Status.PENDING, 1)
        assert found.next_attempt_at == it.clock.time + timedelta(seconds=30)


async def test_each_address_gets_it_once_whatever_fails() -> None:
    async with world() as it:
        for name in "abc":
            await it.endpoints.register("test", "ada", ChannelName.EMAIL, f"{name}@example.org", "")
        gone = Failure(kind=FailureKind.PERMANENT, code="GONE", message="", endpoint_gone=True)
        it.channel.outcomes = [Sent(), BUSY, gone]
        one = await it.send()
        found = await it.becomes(one.id, Status.SENT, 3)
        assert (found.channel, found.address) == (ChannelName.EMAIL, "a@example.org")
        it.advance(2)
        again = await it.becomes(one.id, Status.SENT, 4)
        assert (again.sent_at, again.address) == (found.sent_at, "a@example.org")
        tried = [("a@example.org", ""), ("b@example.org", "BUSY"), ("c@example.org", "GONE"), ("b@example.org", "")]
        assert [(attempt.address, attempt.code) for attempt in again.history] == tried
        assert [address for _, address in it.channel.sent] == [address for address, _ in tried]
        assert len(it.state.endpoints) == 2
        assert [change.status for change in it.state.told] == [Status.PENDING, Status.SENT]


async def test_a_waiting_call_answers_when_one_address_has_it_and_waits_for_no_other() -> None:
    async with world() as it:
        for name in "ab":
            await it.endpoints.register("test", "ada", ChannelName.EMAIL, f"{name}@example.org", "")
        it.channel.slow = {"a@example.org": asyncio.Event()}
        sent = await it.send(wait=True)
        assert (sent.status, sent.address, sent.attempts) == (Status.SENT, "b@example.org", 1)
        it.channel.slow["a@example.org"].set()
        await it.becomes(sent.id, Status.SENT, 2)


async def test_a_receiver_that_asks_for_time_delays_nobody_else() -> None:
    async with world() as it:
        for name in "ab":
            await it.endpoints.register("test", "ada", ChannelName.EMAIL, f"{name}@example.org", "")
        asked = Failure(kind=FailureKind.THROTTLED, code="X", message="", asked=timedelta(seconds=600))
        it.channel.outcomes = [asked, BUSY]
        one = await it.send()
        found = await it.becomes(one.id, Status.PENDING, 2)
        assert found.next_attempt_at == it.clock.time + timedelta(seconds=2)
        it.advance(2)
        found = await it.becomes(one.id, Status.SENT, 3)
        assert (found.address, found.next_attempt_at) == ("b@example.org", None)
        it.advance(598)
        await it.becomes(one.id, Status.SENT, 4)
        assert it.state.letters == []


async def test_what_was_queued_goes_in_order_ten_a_minute() -> None:
    async with world() as it:
        titles = [f"n{place:02d}" for place in range(25)]
        drafts = [Draft(tenant="test", user="ada", type=Type.ALERT, title=title) for title in titles]
        await it.sender.send_bulk(drafts)
        for count in (10, 20, 25):
            await eventually(lambda count=count: len(it.state.told) == 25 + count, interval=0.001)
            it.advance(1)  # those that found every slot under way look again
            it.advance(60)
        assert [title for title, _ in it.channel.sent] == titles


async def test_an_outcome_is_written_down_however_often_it_takes() -> None:
    async with world() as it:
        it.lost = [Unavailable("away"), Aborted("met another")]
        sent = await it.send(wait=True)
        assert sent.status is Status.SENT
        assert it.lost == []
        assert len(it.channel.sent) == 1


async def test_nothing_is_sent_again_or_begun_while_outcomes_cannot_be_written() -> None:
    async with world(concurrency=1) as it:
        it.lost = [Unavailable("away")]
        await it.send("first")
        await eventually(lambda: not it.lost, interval=0.001)
        it.advance(3600)  # its lease is over
        second = await it.send("second")
        await asyncio.sleep(0.05)
        assert [title for title, _ in it.channel.sent] == ["first"]
        await it.becomes(second.id, Status.SENT, 1)
        assert [title for title, _ in it.channel.sent] == ["first", "second"]


async def test_stopping_hands_back_what_does_not_end() -> None:
    async with world(stop_budget=timedelta(milliseconds=1)) as it:
        it.channel.hold = asyncio.Event()
        await it.send()
        await eventually(lambda: len(it.channel.sent) == 1, interval=0.001)
    [claimed] = await it.left()
    assert (claimed.attempts, claimed.claims) == (0, 1)  # an orderly stop is no crash


async def test_only_what_begins_is_claimed_and_in_order() -> None:
    async with world(concurrency=2) as it:
        it.channel.hold = asyncio.Event()
        titles = [str(n) for n in range(5)]
        drafts = [Draft(tenant="test", user="ada", type=Type.ALERT, title=title) for title in titles]
        await it.sender.send_bulk(drafts)
        await eventually(lambda: len(it.channel.sent) == 2, interval=0.001)
        assert it.taken() == 2
        it.channel.hold.set()
        await eventually(lambda: len(it.channel.sent) == 5, interval=0.001)
        assert [title for title, _ in it.channel.sent] == titles


async def test_attempts_that_hang_leave_the_other_places_to_others() -> None:
    async with world(concurrency=6) as it:
        it.channel.hold = asyncio.Event()
        for n in range(5):
            await it.send(str(n))
        await eventually(lambda: len(it.channel.sent) == 5, interval=0.001)
        draft = Draft(tenant="test", user="ada", type=Type.ALERT, title="last")
        await it.sender.send_for_event("e", [draft])
        await eventually(lambda: len(it.channel.sent) == 6, interval=0.001)
        it.channel.hold.set()


async def test_what_took_too_long_to_claim_is_handed_back_and_loses_nothing() -> None:
    async with world(patience=timedelta(milliseconds=5)) as it:
        it.queue.slow = 0.02
        draft = Draft(tenant="test", user="ada", type=Type.ALERT, title="late")
        await it.sender.send_for_event("e", [draft])
        await eventually(lambda: it.queue.released, interval=0.001)
        assert it.channel.sent == []
        it.queue.slow = 0
        await eventually(lambda: it.channel.sent, interval=0.001)
        [delivered] = await it.inbox.page(NotificationFilter(tenant="test"), limit=9, after=None)
        await it.becomes(delivered.id, Status.SENT, 1)
        assert [slot.at for slot in it.state.slots.values()] == [it.clock.time]


async def test_a_stop_begins_nothing_more() -> None:
    async with world(concurrency=1, stop_budget=timedelta(milliseconds=50)) as it:
        it.channel.hold = asyncio.Event()
        for title in ("under way", "behind"):
            await it.send(title)
        await eventually(lambda: it.channel.sent, interval=0.001)
        it.stop.set()
        await it.running
        async with it.lanes.reserve(Counter({Lane.CONSOLE: 9})) as reserved:
            assert reserved.rooms[Lane.CONSOLE].places == 0
        it.channel.hold.set()
    assert [title for title, _ in it.channel.sent] == ["under way"]
    assert [one.claims for one in (await it.left())] == [1, 1]


async def test_a_stop_does_not_hand_back_what_was_attempted_and_waits_for_its_commit() -> None:
    async with world(stop_budget=timedelta(milliseconds=1)) as it:
        it.gate.clear()
        one = await it.send()
        await eventually(lambda: it.completing == 1, interval=0.001)
        it.stop.set()
        await it.running
        assert (it.taken(), it.queue.released) == (1, 0)
        it.gate.set()
        await it.becomes(one.id, Status.SENT, 1)
    assert len(it.channel.sent) == 1


async def test_receivers_of_events_that_hang_do_not_hold_up_a_stop() -> None:
    async with world(event_stop_budget=timedelta(milliseconds=1), stop_budget=timedelta(minutes=1)) as it:
        it.channel.hold = asyncio.Event()
        notification = await it.send()
        subscriptions = InMemorySubscriptions(it.state)
        await subscriptions.add(
            Subscription(id="s", url="https://x.example", event_types=("t",), created_at=it.clock.time, secret="w"),
            lambda: asyncio.sleep(0),
        )
        published = PublicEvent(id="e", type="t", body="{}", published_at=it.clock.time)
        assert await subscriptions.fan_out([published]) == [1]
        it.lanes.poke()
        await eventually(lambda: it.events.asked == 1 and len(it.channel.sent) == 1, interval=0.001)
        it.stop.set()

        async def handed_back() -> Sequence[Claimed]:
            return await it.left()

        [claimed] = await eventually(handed_back, interval=0.001)
        assert isinstance(claimed.message, EventMessage)
        assert (claimed.message.event_id, claimed.attempts) == ("e", 0), "no failure of the receiver"
        it.channel.hold.set()
        await it.becomes(notification.id, Status.SENT, 1)
    assert it.events.asked == 1


async def test_what_kills_every_process_is_given_up() -> None:
    async with world() as it:
        it.channel.hold = asyncio.Event()
        one = await it.send()
        for count in range(1, 15):
            await eventually(lambda count=count: len(it.channel.sent) == count, interval=0.001)
            it.advance(91)  # the lease has ended, and what may have been sent counts no more
            it.advance(60)
        found = await it.becomes(one.id, Status.FAILED, 1)
        assert found.error.startswith("NO_OUTCOME")
        it.channel.hold.set()


async def test_after_a_crash_it_is_sent_again_or_held() -> None:
    for unknown, status in (({}, Status.SENT), ({Lane.CONSOLE: UnknownOutcome.HOLD}, Status.FAILED)):
        async with world(unknown=unknown) as it:
            it.channel.hold = asyncio.Event()
            one = await it.send()
            await eventually(lambda it=it: len(it.channel.sent) == 1, interval=0.001)
            it.advance(31)  # its lease has ended; it may have been sent, and counts for its user
            it.advance(60)
            if status is Status.SENT:
                await eventually(lambda it=it: len(it.channel.sent) == 2, interval=0.001)
                it.channel.hold.set()
            found = await it.becomes(one.id, status, 1)
            it.channel.hold.set()
            assert len(it.channel.sent) == (2 if status is Status.SENT else 1)
            assert found.error.startswith("OUTCOME_UNKNOWN") == (status is Status.FAILED)
            assert [attempt.repeat for attempt in found.history] == [status is Status.SENT]


async def test_who_may_not_or_cannot_be_told_is_refused() -> None:
    async with world() as it:
        for tenant, error in (("wellness", TenantForbidden), ("unknown", TenantUnknown)):
            with pytest.raises(error):
                await it.send(tenant=tenant)
        with pytest.raises(NoEndpoint):
            await it.send(channel=ChannelName.EMAIL)
        assert it.state.notifications == {}


async def test_marking_read_survives_a_change_in_between() -> None:
    async with world() as it:
        one = await it.send(wait=True)
        readers = [it.inbox.mark_read("test", one.id) for _ in range(10)]
        assert {found.version for found in await asyncio.gather(*readers)} == {3}
