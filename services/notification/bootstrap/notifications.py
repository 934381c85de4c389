"""Sending and reading notifications, by call, by alarm and by message."""

from services.chassis.app import Step
from services.chassis.nats import Consumer
from services.notification.adapters.channels.http import Guard
from services.notification.adapters.grpc.channel_plans import ChannelPlanServicer
from services.notification.adapters.grpc.endpoints import EndpointServicer
from services.notification.adapters.grpc.notifications import NotificationServicer
from services.notification.adapters.grpc.receipts import DeliveryReceiptServicer
from services.notification.adapters.grpc.statistics import NotificationStatisticsServicer
from services.notification.adapters.grpc.tracking import TrackingServicer
from services.notification.adapters.nats import alarms, requests
from services.notification.adapters.postgres.stores import PostgresStores
from services.notification.application.channel_plans import ChannelPlans
from services.notification.application.endpoints import Endpoints
from services.notification.application.inbox import Inbox
from services.notification.application.lanes import Lanes
from services.notification.application.openings import Openings
from services.notification.application.receipts import Receipts
from services.notification.application.sending import Sender
from services.notification.application.statistics import StatisticsQueries
from services.notification.bootstrap.base import PATIENCE, Base
from services.notification.bootstrap.lanes import wire_channels, wire_lanes
from services.notification.domain.channel_plan import Plans
from tocsin.notification.v1.channel_plan_service_pb2_grpc import add_ChannelPlanServiceServicer_to_server
from tocsin.notification.v1.delivery_receipt_service_pb2_grpc import add_DeliveryReceiptServiceServicer_to_server
from tocsin.notification.v1.endpoint_service_pb2_grpc import add_EndpointServiceServicer_to_server
from tocsin.notification.v1.notification_service_pb2_grpc import add_NotificationServiceServicer_to_server
from tocsin.notification.v1.notification_statistics_service_pb2_grpc import (
    add_NotificationStatisticsServiceServicer_to_server,
)
from tocsin.notification.v1.tracking_service_pb2_grpc import add_TrackingServiceServicer_to_server


async def wire_notifications(base: Base, stores: PostgresStores) -> tuple[Lanes, Sender]:
    """Sending and reading notifications, and the lanes of all deliveries."""
    app, store, endpoints = base.app, stores.notifications, stores.endpoints
    channels = await wire_channels(base)
    lanes = await wire_lanes(base, stores, channels)
    plans = Plans(channels, *base.settings.plans())
    sender = Sender(base.tenants, store, endpoints, lanes, plans, base.links)
    await app.enter(sender.queueing)
    servicer = NotificationServicer(sender, Inbox(base.tenants, store))
    add_NotificationServiceServicer_to_server(servicer, app.server.registrar)
    openings = TrackingServicer(Openings(base.tenants, store, base.tokens, base.links))
    add_TrackingServiceServicer_to_server(openings, app.server.registrar)
    statistics = NotificationStatisticsServicer(StatisticsQueries(base.tenants, stores.counts))
    add_NotificationStatisticsServiceServicer_to_server(statistics, app.server.registrar)
    wire_alarms(base, sender)
    receipts = Receipts(base.tenants, stores.receipts)
    add_DeliveryReceiptServiceServicer_to_server(DeliveryReceiptServicer(receipts), app.server.registrar)
    wire_requests(base, sender, receipts)
    users = Endpoints(base.tenants, endpoints, Guard(base.guard))
    add_EndpointServiceServicer_to_server(EndpointServicer(users), app.server.registrar)
    planning = ChannelPlans(base.tenants, stores.plans, plans)
    add_ChannelPlanServiceServicer_to_server(ChannelPlanServicer(planning), app.server.registrar)
    return lanes, sender


def wire_alarms(base: Base, sender: Sender) -> None:
    """Raised alarms, to whom their rules name."""
    consumer = Consumer(base.nats, alarms.OPTIONS, alarms.alarms_handler(sender), publisher=base.publisher)
    base.app.task("alarms", consumer.run(base.app.stopping), until=Step.STOP_PULLING, patience=PATIENCE)


def wire_requests(base: Base, sender: Sender, receipts: Receipts) -> None:
    """What trusted publishers ask for, a consumer for each tenant."""
    for tenant in base.tenants.names:
        handle = requests.RequestIntake(tenant, sender, receipts, base.publisher)
        consumer = Consumer(base.nats, requests.consumer_options(tenant), handle, publisher=base.publisher)
        name = f"requests of {tenant}"
        base.app.task(name, consumer.run(base.app.stopping), until=Step.STOP_PULLING, patience=PATIENCE)
