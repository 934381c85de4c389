"""The channels that are configured, and a lane of deliveries for each kind of receiver."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

from services.chassis.group_commit import GroupCommit
from services.chassis.settings import Refused
from services.notification.adapters.channels.console import ConsoleChannel
from services.notification.adapters.channels.email import EmailChannel
from services.notification.adapters.channels.fcm import FcmChannel
from services.notification.adapters.channels.fcm_token import ServiceAccount
from services.notification.adapters.channels.http import HttpClient
from services.notification.adapters.channels.webhook import WebhookChannel
from services.notification.adapters.postgres.stores import PostgresStores
from services.notification.application.attempts import AttemptOptions, Attempts
from services.notification.application.dispatcher import Dispatcher, DispatcherOptions
from services.notification.application.lanes import Lanes
from services.notification.application.places import LanePlaces
from services.notification.application.ports.deliveries import Channel
from services.notification.bootstrap.base import PATIENCE, Base
from services.notification.domain.lane import Lane
from services.notification.domain.notification import ChannelName

_EVENT_STOP_BUDGET = timedelta(seconds=2)
FCM_TIMEOUT = timedelta(seconds=10)


async def wire_lanes(base: Base, stores: PostgresStores, channels: Mapping[ChannelName, Channel]) -> Lanes:
    """A dispatcher for each kind of receiver."""
    settings, store = base.settings, stores.notifications
    completing = await base.app.enter(GroupCommit("completions", store.complete, limit=500, keep_abandoned=True))
    options = AttemptOptions(
        notifications=settings.schedule("retry_schedule"),
        events=settings.schedule("webhook_retry_schedule"),
        timeout=settings.attempt_timeout,
        unknown=settings.unknown_outcomes(),
    )
    attempts = Attempts(channels, options, base.meter)
    # What a lease leaves beside an attempt: half of it for the claim, the other half for the commit.
    pace = DispatcherOptions(poll=settings.poll, patience=(settings.lease - settings.attempt_timeout) / 2)
    # Nobody waits for an event, and a receiver that has taken one anyway knows it by its id when it comes again.
    hurried = replace(pace, stop_budget=_EVENT_STOP_BUDGET)
    places = dict.fromkeys(Lane, settings.concurrency)
    places[Lane.EMAIL] = min(settings.concurrency, settings.smtp_connections)
    lanes = Lanes(
        Dispatcher(store, attempts, completing, LanePlaces(lane, count), hurried if lane is Lane.EVENT else pace)
        for lane, count in places.items()
    )
    base.app.task("dispatchers", lanes.run(base.app.stopping), patience=PATIENCE)
    return lanes


async def wire_channels(base: Base) -> Mapping[ChannelName, Channel]:
    """The channels that are configured."""
    settings = base.settings
    client = await base.app.enter(
        # The lanes bound how many attempts there are; nobody waits for a connection of another's.
        HttpClient(base.guard, timeout=settings.webhook_timeout, connections=0)
    )
    channels: dict[ChannelName, Channel] = {
        ChannelName.CONSOLE: ConsoleChannel(),
        ChannelName.WEBHOOK: WebhookChannel(client),
    }
    if base.mailer is not None:
        channels[ChannelName.EMAIL] = EmailChannel(base.mailer, base.composer)
    if settings.fcm_account_file is not None:
        try:
            account = ServiceAccount.read(settings.fcm_account_file)
        except (OSError, ValueError) as error:
            raise Refused(settings.env("fcm_account_file"), f"cannot be used: {error}") from error
        provider = HttpClient(None, timeout=FCM_TIMEOUT, connections=settings.concurrency)
        channels[ChannelName.FCM] = FcmChannel(account, settings.fcm_base_url, await base.app.enter(provider))
    return channels
