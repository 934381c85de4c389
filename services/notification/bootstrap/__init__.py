"""Puts the notification service together: the only place where its parts meet, a module for each area."""

from services.chassis.app import App
from services.notification.adapters.postgres.clock import Clock, DatabaseClock
from services.notification.bootstrap.base import wire_base, wire_stores
from services.notification.bootstrap.dead_letters import wire_dead_letters
from services.notification.bootstrap.invoices import wire_invoices
from services.notification.bootstrap.notifications import wire_notifications
from services.notification.bootstrap.reminders import wire_reminders
from services.notification.bootstrap.upkeep import Wakes, wire_upkeep
from services.notification.bootstrap.webhooks import wire_webhooks
from services.notification.settings import NotificationSettings


async def bootstrap(app: App, settings: NotificationSettings, clock: Clock | None = None) -> None:
    """Opens the stores and fills the server, which starts when this returns. `clock` stands in for the database's."""
    base = await wire_base(app, settings, clock or DatabaseClock())
    stores = wire_stores(base)
    lanes, sender = await wire_notifications(base, stores)
    feed = await wire_webhooks(base, stores)
    invoicing = await wire_invoices(base, stores)
    reminders = await wire_reminders(base, stores, sender)
    await wire_dead_letters(base, stores)
    await wire_upkeep(base, Wakes(lanes, feed, invoicing, reminders))
