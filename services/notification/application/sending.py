"""Sending notifications: queued, waiting, dry, or many at once."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from services.chassis.errors import DomainError, Unavailable
from services.chassis.group_commit import GroupCommit
from services.notification.application.dispatcher import Dispatcher
from services.notification.application.ports import Accepted, EndpointStore, NotificationStore
from services.notification.application.tenants import Tenants
from services.notification.application.work import Claimed
from services.notification.domain.errors import DeliveryFailed
from services.notification.domain.notification import ChannelName, Draft, Notification, Status, choose_channel

Accepting = GroupCommit[tuple[Draft, ChannelName], Accepted | DomainError]


@dataclass(frozen=True, slots=True)
class SendNotification:
    """Send the draft; with `wait` the first attempt has ended before the answer."""

    draft: Draft
    wait: bool = False
    dry_run: bool = False


class Sender:
    """Handles SendNotification and bulks of drafts."""

    def __init__(
        self,
        tenants: Tenants,
        store: NotificationStore,
        endpoints: EndpointStore,
        accepting: Accepting,
        dispatcher: Dispatcher,
        configured: Collection[ChannelName],
    ) -> None:
        self._tenants = tenants
        self._store = store
        self._endpoints = endpoints
        self._accepting = accepting
        self._dispatcher = dispatcher
        self._configured = frozenset(configured)

    async def send(self, command: SendNotification) -> Notification:
        """The notification as it stands: durable, with `wait` after its first attempt, with `dry_run` as it would be.

        Raises TenantForbidden, TenantUnknown, ChannelNotConfigured, NoEndpoint, IdempotencyConflict; with `wait` also
        RateLimited (nothing is kept then) and DeliveryFailed (it is kept, FAILED).
        """
        draft = command.draft
        self._tenants.require(draft.tenant)
        channel = (await self._channels([draft]))[0]
        if isinstance(channel, DomainError):
            raise channel
        if command.dry_run:
            return _imagined(draft, channel)
        if command.wait:
            return await self._send_now(draft, channel)
        accepted = await self._accepting.submit((draft, channel))
        if isinstance(accepted, DomainError):
            raise accepted
        self._dispatcher.poke()
        return accepted.notification

    async def send_bulk(self, drafts: Sequence[Draft | DomainError]) -> Sequence[Notification | DomainError]:
        """The outcome of each draft, in their order; what was refused before keeps its error."""
        outcomes: list[Notification | DomainError | None] = []
        good: list[Draft] = []
        places: list[int] = []
        for place, draft in enumerate(drafts):
            refusal = draft if isinstance(draft, DomainError) else self._tenants.refusal(draft.tenant)
            outcomes.append(refusal)
            if refusal is None and not isinstance(draft, DomainError):
                good.append(draft)
                places.append(place)
        chosen: list[tuple[Draft, ChannelName]] = []
        chosen_places: list[int] = []
        for place, draft, channel in zip(places, good, await self._channels(good), strict=True):
            if isinstance(channel, DomainError):
                outcomes[place] = channel
            else:
                chosen.append((draft, channel))
                chosen_places.append(place)
        for place, accepted in zip(chosen_places, await self._store.accept(chosen), strict=True):
            outcomes[place] = accepted if isinstance(accepted, DomainError) else accepted.notification
        self._dispatcher.poke()
        return [outcome for outcome in outcomes if outcome is not None]

    async def send_for_event(self, event: str, drafts: Sequence[Draft]) -> int:
        """Sends what follows from an event of the mesh, once for each event id; how many were made. The drafts name no
        channel. Raises TenantUnknown."""
        for draft in drafts:
            self._tenants.require_known(draft.tenant)
        chosen: list[tuple[Draft, ChannelName]] = []
        for draft, channel in zip(drafts, await self._channels(drafts), strict=True):
            if isinstance(channel, DomainError):
                raise channel
            chosen.append((draft, channel))
        made = await self._store.accept_event(event, chosen)
        self._dispatcher.poke()
        return made

    async def _send_now(self, draft: Draft, channel: ChannelName) -> Notification:
        claimed = await self._store.accept_claimed(draft, channel)
        if isinstance(claimed, Accepted):
            return claimed.notification
        return await self._attempted(draft, claimed)

    async def _attempted(self, draft: Draft, claimed: Claimed) -> Notification:
        notification = await self._dispatcher.deliver(claimed)
        if notification is None:
            # The attempt outlived its lease; whoever took over tells the outcome.
            raise Unavailable("the attempt took too long; its outcome will show in the notification")
        if notification.status is Status.FAILED:
            raise DeliveryFailed(notification.channel, notification.error)
        return notification

    async def _channels(self, drafts: Sequence[Draft]) -> list[ChannelName | DomainError]:
        if not drafts:
            return []
        reachable = await self._endpoints.channels([(draft.tenant, draft.user) for draft in drafts])
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
