"""Sending notifications: queued, waiting, dry, or many at once."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from services.chassis.errors import DomainError, Unavailable
from services.chassis.group_commit import GroupCommit
from services.notification.application.claimed_delivery import Claimed
from services.notification.application.dispatcher import Dispatcher
from services.notification.application.ports import EndpointStore, Enqueued, NotificationStore
from services.notification.application.tenants import Tenants
from services.notification.domain.errors import DeliveryFailed
from services.notification.domain.notification import ChannelName, Draft, Notification, Status, choose_channel


@dataclass(frozen=True, slots=True)
class SendNotification:
    """Send the draft; with `wait` the first attempt has ended before the answer."""

    draft: Draft
    wait: bool = False
    dry_run: bool = False


class Sender:
    """Handles SendNotification and bulks of drafts.

    `queueing` is the group commit of notifications that are sent one by one; whoever makes the sender closes it.
    """

    def __init__(
        self,
        tenants: Tenants,
        store: NotificationStore,
        endpoints: EndpointStore,
        dispatcher: Dispatcher,
        configured: Collection[ChannelName],
    ) -> None:
        self._tenants = tenants
        self._store = store
        self._endpoints = endpoints
        self._dispatcher = dispatcher
        self._configured = frozenset(configured)
        self.queueing = GroupCommit[Draft, Notification]("notifications", self._queue)

    async def send(self, command: SendNotification) -> Notification:
        """The notification as it stands: durable, with `wait` after its first attempt, with `dry_run` as it would be.

        Raises TenantForbidden, TenantUnknown, ChannelNotConfigured, NoEndpoint, IdempotencyConflict; with `wait` also
        RateLimited (nothing is kept then) and DeliveryFailed (it is kept, FAILED).
        """
        draft = command.draft
        self._tenants.require(draft.tenant)
        if not command.dry_run and not command.wait:
            return await self.queueing.submit(draft)
        channel = (await self.choose([draft]))[0]
        if isinstance(channel, DomainError):
            raise channel
        return _imagined(draft, channel) if command.dry_run else await self._send_now(draft, channel)

    async def send_bulk(self, drafts: Sequence[Draft | DomainError]) -> Sequence[Notification | DomainError]:
        """The outcome of each draft, in their order; what was refused before keeps its error."""
        refusals = (None if isinstance(draft, DomainError) else self._tenants.refusal(draft.tenant) for draft in drafts)
        return await self._queue([refusal or draft for refusal, draft in zip(refusals, drafts, strict=True)])

    async def _queue(self, drafts: Sequence[Draft | DomainError]) -> Sequence[Notification | DomainError]:
        """Queues the drafts with all that is needed for any of them asked once; errors among them are kept."""
        good = [draft for draft in drafts if not isinstance(draft, DomainError)]
        channels = await self.choose(good)
        chosen = [
            (draft, channel)
            for draft, channel in zip(good, channels, strict=True)
            if not isinstance(channel, DomainError)
        ]
        async with self._dispatcher.reserve(len(chosen)) as places:
            kept = await self._store.enqueue(chosen, claim=places.count)
            made = [one for one in kept if isinstance(one, Enqueued) and not one.existing]
            claimed = [one.claimed for one in made if one.claimed is not None]
            await places.begin(claimed)
        if len(claimed) < len(made):
            self._dispatcher.poke()
        accepted = iter(kept)
        judged = iter(channel if isinstance(channel, DomainError) else next(accepted) for channel in channels)
        outcomes = [draft if isinstance(draft, DomainError) else next(judged) for draft in drafts]
        return [outcome.notification if isinstance(outcome, Enqueued) else outcome for outcome in outcomes]

    async def send_for_event(self, event: str, drafts: Sequence[Draft]) -> int:
        """Sends what follows from an event of the mesh, once for each event id; how many were made. The drafts name no
        channel. Raises TenantUnknown."""
        for draft in drafts:
            self._tenants.require_known(draft.tenant)
        chosen: list[tuple[Draft, ChannelName]] = []
        for draft, channel in zip(drafts, await self.choose(drafts), strict=True):
            if isinstance(channel, DomainError):
                raise channel
            chosen.append((draft, channel))
        made = await self._store.enqueue_for_event(event, chosen)
        self._dispatcher.poke()
        return made

    async def _send_now(self, draft: Draft, channel: ChannelName) -> Notification:
        claimed = await self._store.enqueue_claimed(draft, channel)
        if not isinstance(claimed, Enqueued):
            return await self._attempted(draft, claimed)
        known = claimed.notification
        if known.status is Status.FAILED:  # the same key again has the same answer
            raise DeliveryFailed(known.id, known.channel, known.error)
        return known

    async def _attempted(self, draft: Draft, claimed: Claimed) -> Notification:
        notification = await self._dispatcher.deliver(claimed)
        if notification is None:
            # The attempt outlived its lease; whoever took over tells the outcome.
            raise Unavailable("the attempt took too long; its outcome will show in the notification")
        if notification.status is Status.FAILED:
            raise DeliveryFailed(notification.id, notification.channel, notification.error)
        return notification

    async def choose(self, drafts: Sequence[Draft]) -> list[ChannelName | DomainError]:
        """The channel of each draft, or why there is none."""
        # The console needs no address.
        asking = {(draft.tenant, draft.user) for draft in drafts if draft.channel is not ChannelName.CONSOLE}
        reachable = await self._endpoints.channels(sorted(asking)) if asking else {}
        chosen: list[ChannelName | DomainError] = []
        for draft in drafts:
            known = reachable.get((draft.tenant, draft.user), frozenset[ChannelName]())
            try:
                chosen.append(
                    choose_channel(draft.channel, user=draft.user, reachable=known, configured=self._configured)
                )
            except DomainError as error:
                chosen.append(error)
        return chosen


def _imagined(draft: Draft, channel: ChannelName) -> Notification:
    return Notification(
        id="",
        tenant=draft.tenant,
        user=draft.user,
        type=draft.type,
        title=draft.title,
        body=draft.body,
        data=draft.data,
        channel=channel,
        status=Status.PENDING,
        attempts=0,
        error="",
        created_at=datetime.now(UTC),
        version=0,
    )
