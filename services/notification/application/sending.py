"""Sending notifications: queued, waiting, dry, or many at once."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from services.chassis.errors import DomainError, Unavailable
from services.chassis.group_commit import GroupCommit
from services.notification.application.lanes import Lanes
from services.notification.application.ports.endpoints import EndpointStore
from services.notification.application.ports.notifications import Enqueued, NotificationStore
from services.notification.application.tenants import Tenants
from services.notification.domain.channel_plan import NOBODY, Contacts, Plans, Route, planned
from services.notification.domain.errors import DeliveryFailed
from services.notification.domain.lane import Lane
from services.notification.domain.links import LinkOrigins
from services.notification.domain.notification import ChannelName, Draft, Notification, Status


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
        lanes: Lanes,
        plans: Plans,
        links: LinkOrigins,
    ) -> None:
        self._tenants = tenants
        self._store = store
        self._endpoints = endpoints
        self._lanes = lanes
        self._plans = plans
        self._links = links
        self.queueing = GroupCommit[Draft, Notification]("notifications", self._queue)

    async def send(self, command: SendNotification) -> Notification:
        """The notification as it stands: durable, with `wait` after its first attempt, with `dry_run` as it would be.

        Raises TenantForbidden, TenantUnknown, LinkForbidden, ChannelNotConfigured, NoEndpoint, IdempotencyConflict;
        with `wait` also RateLimited (nothing is kept then) and DeliveryFailed (it is kept, FAILED).
        """
        draft = command.draft
        if (refusal := self._refusal(draft)) is not None:
            raise refusal
        if not command.dry_run and not command.wait:
            return await self.queueing.submit(draft)
        if command.dry_run:
            contacts = _known(await self._contacts([draft]), draft)
            return _imagined(draft, self._plans.route(draft, contacts), contacts, self._plans)
        [route] = await self.routes([draft])
        if isinstance(route, DomainError):
            [known] = await self._first_answers([draft], [route])
            if isinstance(known, DomainError):
                raise known
            return _told(known.notification)
        return await self._send_now(draft, route)

    async def send_bulk(self, drafts: Sequence[Draft | DomainError]) -> Sequence[Notification | DomainError]:
        """The outcome of each draft, in their order; what was refused before keeps its error."""
        refusals = (None if isinstance(draft, DomainError) else self._refusal(draft) for draft in drafts)
        return await self._queue([refusal or draft for refusal, draft in zip(refusals, drafts, strict=True)])

    def _refusal(self, draft: Draft) -> DomainError | None:
        return self._tenants.refusal(draft.tenant) or self._links.refusal(draft.link)

    async def send_requested(self, drafts: Sequence[Draft | DomainError]) -> Sequence[Notification | DomainError]:
        """Like `send_bulk`, for the trusted publisher of a tenant, whose login decides about the tenant: there is no
        token to ask. A single one shares its transaction with others."""
        judged = [one if isinstance(one, DomainError) else self._links.refusal(one.link) or one for one in drafts]
        match judged:
            case [Draft() as draft]:
                try:
                    return [await self.queueing.submit(draft)]
                except Unavailable:
                    raise
                except DomainError as error:
                    return [error]
            case _:
                return await self._queue(judged)

    async def _queue(self, drafts: Sequence[Draft | DomainError]) -> Sequence[Notification | DomainError]:
        """Queues the drafts with all that is needed for any of them asked once; errors among them are kept."""
        good = [draft for draft in drafts if not isinstance(draft, DomainError)]
        routes = await self.routes(good)
        chosen = [
            (draft, route) for draft, route in zip(good, routes, strict=True) if not isinstance(route, DomainError)
        ]
        accepted = iter(await self._enqueue(chosen))
        refused = iter(
            await self._first_answers(
                [draft for draft, route in zip(good, routes, strict=True) if isinstance(route, DomainError)],
                [route for route in routes if isinstance(route, DomainError)],
            )
        )
        judged = iter(next(refused) if isinstance(route, DomainError) else next(accepted) for route in routes)
        outcomes = [draft if isinstance(draft, DomainError) else next(judged) for draft in drafts]
        return [outcome.notification if isinstance(outcome, Enqueued) else outcome for outcome in outcomes]

    async def _enqueue(self, chosen: Sequence[tuple[Draft, Route]]) -> Sequence[Enqueued | DomainError]:
        if not chosen:
            return []
        wanted = Counter(Lane(leg.channel) for _, route in chosen for leg in route.legs if not leg.standby)
        async with self._lanes.reserve(wanted) as reserved:
            kept = await self._store.enqueue(chosen, rooms=reserved.rooms)
            made = [one for one in kept if isinstance(one, Enqueued) and not one.existing]
            claimed = [leg for one in made for leg in one.claimed]
            await reserved.begin(claimed)
        if len(claimed) < wanted.total():
            self._lanes.poke(wanted)
        return kept

    async def _first_answers(
        self, drafts: Sequence[Draft], refusals: Sequence[DomainError]
    ) -> Sequence[Enqueued | DomainError]:
        """A draft that cannot be sent any more may have been: the same key again has the first answer."""
        if not any(draft.idempotency_key for draft in drafts):
            return refusals
        known = await self._store.known(drafts)
        return [first or refusal for first, refusal in zip(known, refusals, strict=True)]

    async def send_for_event(self, event: str, drafts: Sequence[Draft]) -> int:
        """Sends what follows from an event of the mesh, once for each event id; how many were made. Who has no address
        is not told, and that is FAILED: nobody else would hear of it. Raises TenantUnknown."""
        for draft in drafts:
            self._tenants.require_known(draft.tenant)
        contacts = await self._contacts(drafts)
        routes = [self._plans.route_or_lost(draft, _known(contacts, draft)) for draft in drafts]
        made = await self._store.enqueue_for_event(event, list(zip(drafts, routes, strict=True)))
        self._lanes.poke()
        return made

    async def _send_now(self, draft: Draft, route: Route) -> Notification:
        kept = await self._store.enqueue_claimed(draft, route)
        if kept.existing:
            return _told(kept.notification)
        notification = await self._lanes.deliver(kept.claimed)
        if notification is None:
            # The attempt outlived its lease; whoever took over tells the outcome.
            raise Unavailable("the attempt took too long; its outcome will show in the notification")
        return _told(notification)

    async def routes(self, drafts: Sequence[Draft]) -> list[Route | DomainError]:
        """Where each draft goes, or why it cannot."""
        contacts = await self._contacts(drafts)
        routes: list[Route | DomainError] = []
        for draft in drafts:
            try:
                routes.append(self._plans.route(draft, _known(contacts, draft)))
            except DomainError as error:
                routes.append(error)
        return routes

    async def _contacts(self, drafts: Sequence[Draft]) -> Mapping[tuple[str, str], Contacts]:
        # The console needs no address.
        asking = {(draft.tenant, draft.user) for draft in drafts if draft.channel is not ChannelName.CONSOLE}
        return await self._endpoints.contacts(sorted(asking)) if asking else {}


def _known(contacts: Mapping[tuple[str, str], Contacts], draft: Draft) -> Contacts:
    return contacts.get((draft.tenant, draft.user), NOBODY)


def _told(notification: Notification) -> Notification:
    """Raises DeliveryFailed where it is FAILED, also for the same key again."""
    if notification.status is Status.FAILED:
        raise DeliveryFailed(notification.id, notification.channel, notification.error)
    return notification


def _imagined(draft: Draft, route: Route, contacts: Contacts, plans: Plans) -> Notification:
    return Notification(
        id="",
        tenant=draft.tenant,
        user=draft.user,
        type=draft.type,
        title=draft.title,
        body=draft.body,
        data=draft.data,
        link=draft.link,
        channel=route.channel,
        status=Status.PENDING,
        attempts=0,
        error="",
        created_at=datetime.now(UTC),
        version=0,
        planned=planned(plans.usable(route.plan), contacts.addresses),
    )
