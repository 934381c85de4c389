"""Video alerts."""

from datetime import timedelta

from services.chassis.app import Step
from services.chassis.nats import (
    BatchConsumer,
    ConsumerOptions,
)
from services.chassis.nats.topology import VIDEOS
from services.chassis.net_guard import AddressGuard
from services.ingestion.adapters.grpc.alerts import AlertServicer
from services.ingestion.adapters.nats.alert_witnesses import NatsAlertWitnesses
from services.ingestion.adapters.nats.video_events import CONSUMER, STATES_TOGETHER, AlertStates
from services.ingestion.adapters.postgres.alerts import PostgresAlerts
from services.ingestion.adapters.video_guard import MeshVideoGuard
from services.ingestion.application.alert_history import AlertHistories
from services.ingestion.application.alert_retention import AlertRetention
from services.ingestion.application.alerts import AlertDesk
from services.ingestion.bootstrap.base import SERVICE, Base
from tocsin.ingestion.v1.alert_service_pb2_grpc import add_AlertServiceServicer_to_server


def wire_alerts(base: Base) -> None:
    """Video alerts, and the consumer that follows what becomes of their videos."""
    settings = base.settings
    guard = MeshVideoGuard(AddressGuard(mesh=settings.mesh_addresses()))
    alerts = PostgresAlerts(base.database, base.outbox)
    desk = AlertDesk(alerts, settings.video_targets(), guard)
    histories = AlertHistories(alerts, NatsAlertWitnesses(base.nats))
    add_AlertServiceServicer_to_server(AlertServicer(desk, histories), base.app.server.registrar)
    if base.app.worker == 0:
        retention = AlertRetention(alerts, settings.alert_retention)
        base.app.task("retention of alerts", retention.run(), until=Step.STOP_PULLING)
    options = ConsumerOptions(service=SERVICE, name=CONSUMER, stream=VIDEOS, max_in_flight=STATES_TOGETHER)
    handler = AlertStates(base.database)
    consumer = BatchConsumer(base.nats, options, handler.take, publisher=base.publisher)
    base.app.task(
        "alert states", consumer.run(base.app.stopping), until=Step.STOP_PULLING, patience=timedelta(seconds=12)
    )
