"""Takes back dead letters of this service's own work: what was given up becomes due again, with attempts from zero."""

from services.chassis.nats import ConsumerOptions, Delivery, Permanent
from services.chassis.nats.topology import NOTIFICATIONS
from services.chassis.postgres import Database, Outbox
from services.notification.adapters.nats import events
from services.notification.adapters.nats.feed import public_event
from services.notification.adapters.postgres import invoices
from services.notification.adapters.postgres.clock import Clock
from services.notification.adapters.postgres.reopening import reopen_notification
from services.notification.adapters.postgres.subscriptions import PostgresSubscriptions
from services.notification.application.tenants import Tenants

OPTIONS = ConsumerOptions(
    service=events.SERVICE,
    name=events.RETRY_CONSUMER,
    stream=NOTIFICATIONS,
    subjects=(events.RETRY_SUBJECT,),
    max_in_flight=8,
)


class Redelivery:
    """The handler of what was sent back. Each kind is idempotent: only what is given up is taken up again."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        outbox: Outbox,
        subscriptions: PostgresSubscriptions,
        tenants: Tenants,
    ) -> None:
        self._database = database
        self._clock = clock
        self._outbox = outbox
        self._subscriptions = subscriptions
        self._tenants = tenants

    async def __call__(self, delivery: Delivery) -> None:
        """Raises Permanent for what names nothing of ours."""
        match delivery.headers.get(events.DELIVERY_HEADER, "").split("/"):
            case ["notification", tenant, id_] if tenant in self._tenants.names:
                async with self._database.transaction() as connection:
                    now = await self._clock.now(connection)
                    await reopen_notification(connection, self._outbox, tenant, id_, now)
            case ["event", subscription, _]:
                if not (await self._subscriptions.fan_out([public_event(delivery, subscription=subscription)]))[0]:
                    raise Permanent("the subscription is gone or disabled")
            case ["invoice", debt]:
                async with self._database.transaction() as connection:
                    await invoices.reopen(connection, debt, await self._clock.now(connection))
            case _:
                raise Permanent("no work of this service")
