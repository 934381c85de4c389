"""What every area of ingestion stands on: connections, outbox, the directory of series."""

from dataclasses import dataclass
from datetime import timedelta

from services.chassis.app import App, Step
from services.chassis.nats import (
    NatsConnection,
    Publisher,
    handler_reports,
    open_nats,
)
from services.chassis.nats.topology import EDGE
from services.chassis.postgres import Database, Outbox, OutboxRelay, PoolOptions, open_database
from services.ingestion.adapters.nats.broker import Broker
from services.ingestion.adapters.nats.intake_marks import IntakeMarks
from services.ingestion.adapters.postgres.catalogue import PostgresCatalogue
from services.ingestion.adapters.postgres.catalogue_listener import listen
from services.ingestion.adapters.postgres.rule_change_events import RuleChangeEvents
from services.ingestion.application.series_directory import DirectoryOptions, SeriesDirectory
from services.ingestion.domain.reading import TimeLimits
from services.ingestion.settings import IngestionSettings

SERVICE = "ingestion"
SOURCE = "tocsin/ingestion"


@dataclass(frozen=True)
class Base:
    """What every area stands on."""

    app: App
    settings: IngestionSettings
    database: Database
    nats: NatsConnection
    publisher: Publisher
    broker: Broker
    outbox: Outbox
    directory: SeriesDirectory
    catalogue: PostgresCatalogue

    @property
    def limits(self) -> TimeLimits:
        """How far from now an event time may lie."""
        return TimeLimits(self.settings.future_tolerance, self.settings.retention)


async def wire_base(app: App, settings: IngestionSettings) -> Base:
    """Connections, outbox, and the directory of series."""
    dsn = settings.postgres_dsn.get_secret_value()
    options = PoolOptions(max_size=settings.database_pool)
    database = await app.enter(
        open_database(dsn, schema=SERVICE, application_name=f"tocsin-{SERVICE}", options=options)
    )
    nats = await app.enter(
        open_nats(
            settings.nats_url,
            name=SERVICE,
            user=settings.nats_user or None,
            password=settings.nats_password.get_secret_value() or None,
            prefix=settings.nats_prefix,
        )
    )
    publisher = Publisher(nats, source=SOURCE, timeout=settings.publish_timeout)
    await app.enter(handler_reports.answering(nats, SERVICE))
    broker = Broker(nats, publisher, patience=settings.publish_timeout)
    outbox = Outbox(source=SOURCE)
    catalogue = PostgresCatalogue(database, RuleChangeEvents(database, outbox, partitions=settings.partitions))
    directory = SeriesDirectory(
        catalogue,
        DirectoryOptions(
            auto_register=settings.auto_register,
            max_auto_registered=settings.max_auto_registered,
            partitions=settings.partitions,
        ),
    )
    await directory.reload()
    if app.worker == 0:
        await catalogue.tell_sensor_types()
    app.check("postgres", database.ping)
    marks = IntakeMarks(nats, SERVICE)
    app.check("nats", marks.write)
    app.server.health.add_caller(EDGE, marks.asked_by_edge)
    app.task("nats", _watch(nats), until=Step.DRAIN_NATS)
    app.task("catalogue listener", listen(dsn, SERVICE, directory.reload), until=Step.STOP_PULLING)
    relay = OutboxRelay(dsn, schema=SERVICE, publisher=publisher)
    app.task("outbox", relay.run(app.stopping), patience=timedelta(seconds=5))
    return Base(app, settings, database, nats, publisher, broker, outbox, directory, catalogue)


async def _watch(nats: NatsConnection) -> None:
    """Ends, and with it the process, when the broker has refused us for good."""
    await nats.wait_lost()
