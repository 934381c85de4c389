"""Reminders, and the servers that are asked whether they are needed."""

from services.chassis.net_guard import AddressGuard
from services.notification.adapters.checks import HttpChecks
from services.notification.adapters.grpc.reminders import ReminderServicer
from services.notification.adapters.postgres.stores import PostgresStores
from services.notification.application.reminders.checks import CheckOptions, Checks
from services.notification.application.reminders.ports import Limits
from services.notification.application.reminders.reminders import Reminders
from services.notification.application.reminders.scheduler import ReminderScheduler, SchedulerOptions
from services.notification.application.sending import Sender
from services.notification.bootstrap.base import PATIENCE, Base
from tocsin.notification.v1.reminder_service_pb2_grpc import add_ReminderServiceServicer_to_server


async def wire_reminders(base: Base, stores: PostgresStores, sender: Sender) -> ReminderScheduler:
    """What people are reminded of, unless it is done."""
    settings, app = base.settings, base.app
    allowed = settings.targets("reminder_check_origins")
    origins = sorted(map(str, allowed.origins))
    concurrency = settings.reminder_check_concurrency
    guard = AddressGuard(allowed, mesh=settings.mesh_addresses())
    client = await app.enter(HttpChecks(guard, servers=len(origins), connections=concurrency))
    checks = Checks(client, origins, CheckOptions(concurrency=concurrency))
    options = SchedulerOptions(
        # Enough to keep the server's places taken while more is claimed.
        room=16 * concurrency,
        hold=settings.reminder_hold,
        poll=settings.poll,
        lease=settings.reminder_lease,
    )
    reminders = ReminderScheduler(stores.reminder_queue, checks, sender.routes, origins, options, base.meter)
    await app.enter(reminders.deciding)
    app.task("reminders", reminders.run(app.stopping), patience=PATIENCE)
    limits = Limits(settings.reminders_of_user, settings.reminders_of_tenant)
    servicer = ReminderServicer(Reminders(base.tenants, stores.reminders, allowed, limits, base.links))
    add_ReminderServiceServicer_to_server(servicer, app.server.registrar)
    return reminders
