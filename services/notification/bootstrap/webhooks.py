"""Subscriptions of systems to public events."""

from services.chassis.app import Step
from services.chassis.group_commit import GroupCommit
from services.notification.adapters.channels.http import Guard
from services.notification.adapters.grpc.endpoints import WebhookServicer
from services.notification.adapters.nats.event_deliveries import event_delivery_answers
from services.notification.adapters.nats.public_feed import PublicFeed
from services.notification.adapters.postgres.stores import PostgresStores
from services.notification.application.endpoints import Subscriptions
from services.notification.bootstrap.base import PATIENCE, Base
from tocsin.notification.v1.webhook_service_pb2_grpc import add_WebhookServiceServicer_to_server


async def wire_webhooks(base: Base, stores: PostgresStores) -> PublicFeed:
    """Subscriptions, and the public events that they want."""
    subscriptions = stores.subscriptions
    fan_out = await base.app.enter(GroupCommit("events", subscriptions.fan_out, limit=500))
    feed = PublicFeed(base.nats, base.publisher, subscriptions, fan_out)
    base.app.task("feed", feed.run(base.app.stopping), until=Step.STOP_PULLING, patience=PATIENCE)
    servicer = WebhookServicer(Subscriptions(subscriptions, feed, Guard(base.guard)))
    add_WebhookServiceServicer_to_server(servicer, base.app.server.registrar)
    answers = event_delivery_answers(base.nats, subscriptions)
    await answers.start()
    base.app.at_stop(Step.STOP_PULLING, "event deliveries", answers.stop)
    return feed
