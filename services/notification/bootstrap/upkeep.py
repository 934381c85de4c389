"""What other processes announce, and what must not grow for ever."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from services.chassis.app import Step
from services.chassis.postgres.listener import listen
from services.notification.adapters.nats import dead_letters
from services.notification.adapters.nats.events import SERVICE
from services.notification.adapters.nats.public_feed import PublicFeed
from services.notification.adapters.postgres.retention import prune_all
from services.notification.adapters.postgres.statistics import merge_counts
from services.notification.application.invoicing import Invoicing
from services.notification.application.lanes import Lanes
from services.notification.application.reminders.scheduler import ReminderScheduler
from services.notification.bootstrap.base import Base, repeated
from services.notification.domain.lane import Lane

_RETENTION_EVERY = timedelta(minutes=10)
_MERGE_EVERY = timedelta(seconds=30)


@dataclass(frozen=True)
class Wakes:
    """Who is woken by what other processes announce."""

    lanes: Lanes
    feed: PublicFeed
    invoicing: Invoicing
    reminders: ReminderScheduler


async def wire_upkeep(base: Base, wakes: Wakes) -> None:
    """What other processes announce, and what must not grow for ever."""
    heard = {
        "notification_subscriptions": wakes.feed.poke,
        "notification_invoices": wakes.invoicing.poke,
        "notification_reminders": wakes.reminders.poke,
    }
    wake = {channel: partial(_poked, poke) for channel, poke in heard.items()}
    wake["notification_work"] = partial(_lane_poked, wakes.lanes)
    dsn = base.settings.postgres_dsn.get_secret_value()
    listening = listen(dsn, SERVICE, f"tocsin-{SERVICE}-listener", wake, lost="listener.lost")
    base.app.task("listener", listening, until=Step.STOP_PULLING)
    merge = partial(merge_counts, base.database, base.tenants.names)
    base.app.task("retention", repeated(_RETENTION_EVERY, partial(_prune, base)), until=Step.STOP_PULLING)
    base.app.task("statistics", repeated(_MERGE_EVERY, merge), until=Step.STOP_PULLING)


def _poked(poke: Callable[[], None], _payload: str | None) -> None:
    poke()


def _lane_poked(lanes: Lanes, payload: str | None) -> None:
    # Without a payload after a reconnect: anything may have been announced meanwhile.
    lanes.poke([Lane[payload]] if payload and payload in Lane.__members__ else tuple(Lane))


async def _prune(base: Base) -> None:
    await prune_all(base.database, base.clock, base.settings.retentions(), letters=base.settings.retention)
    await dead_letters.clear(base.nats)
