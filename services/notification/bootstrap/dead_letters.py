"""Dead letters of all services, and who is told of them."""

from collections.abc import Mapping
from datetime import timedelta
from functools import partial

from services.chassis.app import Step
from services.chassis.nats import BatchConsumer, Consumer
from services.chassis.telemetry.logs import get_logger
from services.notification.adapters.channels.email import EmailChannel
from services.notification.adapters.channels.http import HttpClient
from services.notification.adapters.channels.mails import Composer
from services.notification.adapters.channels.operators import OperatorEmail, OperatorWebhook
from services.notification.adapters.channels.webhook import WebhookChannel
from services.notification.adapters.grpc.dead_letters import DeadLetterServicer
from services.notification.adapters.nats import dead_letters, redelivery
from services.notification.adapters.nats.dead_letters import DeadLetterIntake
from services.notification.adapters.postgres.stores import PostgresStores
from services.notification.application.dead_letters import DeadLetters, try_last
from services.notification.application.operator_alerts import OperatorAlerts, Way
from services.notification.bootstrap.base import PATIENCE, Base, repeated
from tocsin.notification.v1.dead_letter_service_pb2_grpc import add_DeadLetterServiceServicer_to_server

_LAST_TRIES_EVERY = timedelta(seconds=30)
_OPERATORS_EVERY = timedelta(seconds=5)

log = get_logger(__name__)


async def wire_dead_letters(base: Base, stores: PostgresStores) -> None:
    """The dead letters of all services, who is told of them, and the way back of our own."""
    store, stopping = stores.letters, base.app.stopping
    add_DeadLetterServiceServicer_to_server(DeadLetterServicer(DeadLetters(store)), base.app.server.registrar)
    intake = BatchConsumer(base.nats, dead_letters.OPTIONS, DeadLetterIntake(store.keep), publisher=base.publisher)
    base.app.task("dead letters", intake.run(stopping), until=Step.STOP_PULLING, patience=PATIENCE)
    alerts = OperatorAlerts(store, await wire_operators(base), base.settings.operator_pause)
    base.app.task("last tries", repeated(_LAST_TRIES_EVERY, partial(try_last, store)), until=Step.STOP_PULLING)
    base.app.task("operators", repeated(_OPERATORS_EVERY, alerts.tell), until=Step.STOP_PULLING)
    handle = redelivery.Redelivery(stores.notifications, stores.subscriptions, stores.invoices, base.tenants)
    consumer = Consumer(base.nats, redelivery.OPTIONS, handle, publisher=base.publisher)
    base.app.task("redelivery", consumer.run(stopping), until=Step.STOP_PULLING, patience=PATIENCE)


async def wire_operators(base: Base) -> Mapping[str, Way]:
    """The ways to operators that are configured, by what they are called in the log."""
    settings, ways = base.settings, dict[str, Way]()
    composer = Composer(settings.mail_from, settings.mail_from_name)
    for address in settings.operator_addresses():
        assert base.mailer is not None, "verified by the settings"
        ways[f"e-mail {address}"] = OperatorEmail(EmailChannel(base.mailer, composer), address)
    if settings.operator_webhook:
        client = HttpClient(base.guard, timeout=settings.webhook_timeout, connections=2)
        channel = WebhookChannel(await base.app.enter(client))
        secret = settings.operator_webhook_secret.get_secret_value()
        ways["webhook"] = OperatorWebhook(channel, settings.operator_webhook, secret)
    return ways
