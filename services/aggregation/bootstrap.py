"""Puts aggregation together: the only place where its parts meet."""

import asyncio
import time
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from services.aggregation.adapters.grpc.aggregation_servicer import AggregationServicer
from services.aggregation.adapters.grpc.alarm_servicer import AlarmServicer
from services.aggregation.adapters.nats.counting_values import counting_value_answers
from services.aggregation.adapters.nats.reading_batch import parse_descriptor
from services.aggregation.adapters.nats.reading_lane import LaneOptions, open_lane, stream_of_readings
from services.aggregation.adapters.nats.window_events import WindowEncoder, closed_bundle
from services.aggregation.adapters.nats.window_feed import WindowFeed
from services.aggregation.adapters.postgres.alarm_rule_store import PostgresAlarmRuleStore, reload_on_rule_change
from services.aggregation.adapters.postgres.alarm_store import PostgresAlarmStore
from services.aggregation.adapters.postgres.amendments import PostgresAmendmentQueue
from services.aggregation.adapters.postgres.correction_decisions import PostgresDecisionQueue
from services.aggregation.adapters.postgres.correction_log import PostgresCorrectionLog
from services.aggregation.adapters.postgres.counting_values import PostgresCountingValues
from services.aggregation.adapters.postgres.history import PostgresHistory
from services.aggregation.adapters.postgres.lease_store import PostgresLeaseStore
from services.aggregation.adapters.postgres.partition_store import PostgresPartitionStore
from services.aggregation.adapters.postgres.priority_mailbox import PriorityMailbox, listen_for_mail
from services.aggregation.adapters.postgres.reading_conflict_log import PostgresReadingConflictLog
from services.aggregation.adapters.postgres.recomputations import PostgresOwners, PostgresRecomputationQueue, forget_old
from services.aggregation.adapters.postgres.sensor_types import PostgresSensorTypes
from services.aggregation.adapters.postgres.table_partitions import Retention
from services.aggregation.application.alarms.alarm_rules import AlarmRules
from services.aggregation.application.alarms.alarms import Alarms
from services.aggregation.application.alarms.partition_alarms import PartitionAlarms
from services.aggregation.application.alarms.rule_cache import RuleCache
from services.aggregation.application.alarms.rule_trial import RuleTrial
from services.aggregation.application.partition.amendment_request import ReadingAmendments
from services.aggregation.application.partition.decision_request import CorrectionDecisions
from services.aggregation.application.partition.lease_keeper import LeaseKeeper, LeaseKeeperOptions
from services.aggregation.application.partition.lease_store import Lease
from services.aggregation.application.partition.loss_reports import LossReports
from services.aggregation.application.partition.owner import Visibility
from services.aggregation.application.partition.processor import wall_clock_us
from services.aggregation.application.partition.recomputation_request import RoomRecomputation
from services.aggregation.application.partition.worker import PartitionWorker, WorkerOptions
from services.aggregation.application.queries.averages import Averages
from services.aggregation.application.queries.corrections import Corrections
from services.aggregation.application.queries.lists import Lists
from services.aggregation.application.queries.live_watch import Watchers
from services.aggregation.application.queries.reading_conflicts import ReadingConflicts
from services.aggregation.application.queries.series_list import SeriesList
from services.aggregation.domain.rules import Rules
from services.aggregation.settings import AggregationSettings
from services.chassis.app import App, Step
from services.chassis.errors import DomainError
from services.chassis.nats import Consumer, ConsumerOptions, NatsConnection, Publisher, handler_reports, open_nats
from services.chassis.nats.broker_checks import round_trip
from services.chassis.nats.topology import READINGS_PRIORITY
from services.chassis.postgres import Database, InboxHandler, Outbox, OutboxRelay, PoolOptions, open_database, prune
from services.chassis.telemetry.logs import get_logger
from tocsin.aggregation.v1.aggregation_service_pb2_grpc import add_AggregationServiceServicer_to_server
from tocsin.aggregation.v1.alarm_service_pb2_grpc import add_AlarmServiceServicer_to_server

SERVICE = "aggregation"
SOURCE = "tocsin/aggregation"
CONSUMER = "emptied"
_UPKEEP_EVERY = timedelta(minutes=10)

log = get_logger(__name__)


@dataclass(frozen=True)
class Base:
    """What every area stands on."""

    app: App
    settings: AggregationSettings
    rules: Rules
    dsn: str
    database: Database
    nats: NatsConnection
    publisher: Publisher
    relay: OutboxRelay


async def bootstrap(app: App, settings: AggregationSettings) -> None:
    """Opens the stores, starts the work on partitions, and fills the server; the server starts when this returns."""
    base = await wire_base(app, settings)
    await wire_partitions(base)
    await wire_queries(base)
    await wire_answers(base)
    wire_alarms(base)


async def wire_base(app: App, settings: AggregationSettings) -> Base:
    """Connections and the outbox."""
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
    publisher = Publisher(nats, source=SOURCE)
    await app.enter(handler_reports.answering(nats, SERVICE))
    relay = OutboxRelay(dsn, schema=SERVICE, publisher=publisher)
    app.check("postgres", database.ping)
    app.check("nats", partial(round_trip, nats))
    app.task("nats", nats.wait_lost(), until=Step.DRAIN_NATS)
    app.task("outbox", relay.run(app.stopping), patience=timedelta(seconds=5))
    return Base(app, settings, settings.rules, dsn, database, nats, publisher, relay)


async def wire_partitions(base: Base) -> None:
    """Leases and workers, the mailbox of the priority lane, and retention."""
    settings, app = base.settings, base.app
    store = PostgresPartitionStore(
        base.database,
        base.rules,
        Outbox(source=SOURCE),
        bundle=WindowEncoder().bundle,
        bundle_one_by_one=closed_bundle,
        describe=parse_descriptor,
        committed=base.relay.poke,
    )
    await store.table_partitions.ensure_steps(base.rules.steps)
    leases = PostgresLeaseStore(base.database, partitions=settings.partitions, ttl=settings.lease_ttl)
    await leases.prepare()
    lane_options = LaneOptions(max_messages=settings.max_messages)
    worker_options = WorkerOptions(max_rows=settings.max_rows, breath_messages=settings.max_messages // 2)

    rule_cache = RuleCache(PostgresAlarmRuleStore(base.database))
    options = settings.evaluation
    open_alarms = partial(PartitionAlarms, PostgresAlarmStore(base.database), rule_cache, options)

    losses = LossReports(settings.operators)

    def make_worker(lease: Lease) -> PartitionWorker:
        lane = partial(open_lane, base.nats, base.publisher, options=lane_options)
        stream = partial(stream_of_readings, base.nats)
        return PartitionWorker(lease, store, lane, stream, base.rules, worker_options, open_alarms, losses)

    keeper = LeaseKeeper(
        leases,
        settings.owner,
        make_worker,
        LeaseKeeperOptions(partitions=settings.partitions, beat=settings.lease_beat),
    )
    app.task("partitions", keeper.run(app.stopping), until=Step.FINISH, patience=timedelta(seconds=15))
    app.task("mailbox listener", listen_for_mail(base.dsn, SERVICE, keeper.wake), until=Step.STOP_PULLING)

    async def new_rules() -> None:
        await rule_cache.reload()
        keeper.wake(None)

    app.task("rules listener", reload_on_rule_change(base.dsn, SERVICE, new_rules), until=Step.STOP_PULLING)
    mailbox = InboxHandler(base.database, CONSUMER, PriorityMailbox(settings.partitions).put)
    options = ConsumerOptions(service=SERVICE, name=CONSUMER, stream=READINGS_PRIORITY)
    consumer = Consumer(base.nats, options, mailbox, publisher=base.publisher)
    app.task("emptied", consumer.run(app.stopping), until=Step.STOP_PULLING, patience=timedelta(seconds=12))
    if app.worker == 0:
        app.task("upkeep", _retention(base.database, store, settings), until=Step.STOP_PULLING)


async def wire_queries(base: Base) -> None:
    """The gRPC service."""
    settings = base.settings
    history = PostgresHistory(base.database, base.rules)
    feed = WindowFeed(base.nats)
    watchers = Watchers(limit=settings.max_watchers, capacity=settings.watcher_capacity, feed=feed)
    servicer = AggregationServicer(
        Averages(history, base.rules, wall_clock_us),
        Lists(history, base.rules),
        SeriesList(history),
        Corrections(PostgresCorrectionLog(base.database)),
        RoomRecomputation(PostgresRecomputationQueue(base.database)),
        ReadingAmendments(
            PostgresAmendmentQueue(base.database), Visibility(PostgresOwners(base.database), settings.partitions)
        ),
        ReadingConflicts(PostgresReadingConflictLog(base.database)),
        CorrectionDecisions(PostgresDecisionQueue(base.database)),
        watchers,
        announced=base.rules.announced,
        stopping=base.app.server.stopping,
    )
    add_AggregationServiceServicer_to_server(servicer, base.app.server.registrar)


async def wire_answers(base: Base) -> None:
    """What ingestion asks."""
    answers = counting_value_answers(base.nats, PostgresCountingValues(base.database).find)
    await answers.start()
    base.app.at_stop(Step.STOP_PULLING, "counting values", answers.stop)


def wire_alarms(base: Base) -> None:
    """Rules of alarms, and the alarms, for people."""
    rules = PostgresAlarmRuleStore(base.database)
    alarms = PostgresAlarmStore(base.database, Outbox(source=SOURCE), base.relay.poke)
    servicer = AlarmServicer(
        AlarmRules(
            rules,
            PostgresSensorTypes(base.database),
            base.rules,
            base.settings.max_alarm_rules,
            base.settings.tenant_names,
        ),
        Alarms(alarms, rules),
        RuleTrial(PostgresHistory(base.database, base.rules), base.rules, wall_clock_us),
    )
    add_AlarmServiceServicer_to_server(servicer, base.app.server.registrar)


async def _retention(database: Database, store: PostgresPartitionStore, settings: AggregationSettings) -> None:
    retention = Retention(
        raw=settings.raw_retention, fine_windows=settings.fine_retention, windows=settings.window_retention
    )
    while True:
        began = time.monotonic()
        try:
            await store.table_partitions.drop_expired(retention, settings.rules.steps)
            await PostgresAlarmStore(database).drop_expired(settings.alarm_retention)
            async with database.connection() as connection:
                await forget_old(connection, settings.raw_retention)
                while await prune(connection):
                    pass
        except DomainError as error:
            log.warning("upkeep failed", error=repr(error))
        log.debug("upkeep done", seconds=round(time.monotonic() - began, 3))
        await asyncio.sleep(_UPKEEP_EVERY.total_seconds())
